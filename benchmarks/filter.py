"""Measures the filter's speed, its use of the cores, and its memory.

    python benchmarks/filter.py             # 6,000 rows of 5,000 words
    python benchmarks/filter.py --short     # 1,000, 10,000 and 100,000 rows of 40 words
    python benchmarks/filter.py --words 200 --rows 100000 1000000

Rows are words from the project's own instructions in data/, drawn by frequency, so that all default
rules are applied and none ends the work early. Prints seconds, CPU time of all processes over wall
time (2.0 means two full cores), peak memory, and the bytes per row of the near-duplicate index. For
several sizes it also compares the time per row of the largest with the smallest, and prints the
memory of each further row.
"""

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import numpy as np
import psutil
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.workspace import Workspace
from longwriter.dataset.stage import filter_rows
from longwriter.text.minhash import PERMUTATIONS, InOrder

ROOT = Path(__file__).resolve().parent.parent


class Measured(NamedTuple):
    """One run."""

    rows: int
    words: int
    seconds: float
    cores: float
    peak_mib: float
    workers_mib: float
    kept: int


def vocabulary() -> list[str]:
    """Returns the English words of all instructions, repeated as often as they occur.

    "words" is left out, because after a number it would ask for a length.
    """
    prompts = [
        json.loads(line)["prompt"]
        for path in sorted((ROOT / "data").glob("instructions*.jsonl"))
        for line in path.read_text().splitlines()
    ]
    return [word for word in re.findall("[a-z]+", " ".join(prompts).lower()) if word != "words"]


def write_rows(path: Path, rows: int, words: int) -> None:
    """Writes drafts of randomly drawn words, in sentences of twelve."""
    source, known = random.Random(0), vocabulary()
    with path.open("w") as file:
        for number in range(rows):
            drawn = source.choices(known, k=words)
            parts = (" ".join(drawn[i : i + 12]) for i in range(0, words, 12))
            response = " ".join(f"{part.capitalize()}." for part in parts)
            prompt = " ".join(source.choices(known, k=15))
            row = {"id": f"r{number:06}", "prompt": prompt, "response": response}
            file.write(json.dumps(row) + "\n")


def settings(drafts: Path) -> Settings:
    """Returns the default settings, without limits that would reject all long or short rows."""
    config = OmegaConf.create(compose_params(ROOT))
    assert isinstance(config, DictConfig)
    loaded = validate(config)
    loaded.filter.drafts = str(drafts)
    loaded.filter.max_length = None
    loaded.filter.min_words = 0
    return loaded


def measure(rows: int, words: int) -> Measured:
    """Filters `rows` rows of `words` words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "drafts.jsonl", rows, words)
        work = Workspace(ROOT, folder / "out")
        watch, start = _Watch(), time.perf_counter()
        watch.start()
        chosen = settings(folder / "drafts.jsonl")
        metrics = filter_rows(chosen.filter, chosen.contamination, chosen.runtime, work, "")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        cores = watch.end() / seconds
        return Measured(rows, words, seconds, cores, peak, watch.workers_mib, metrics["kept"])


def in_a_process(rows: int, words: int) -> Measured:
    """Runs `measure` in its own process, so that its peak memory is separate."""
    command = [sys.executable, __file__, "--one", str(rows), str(words)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Measured(*json.loads(answer.splitlines()[-1]))


def line(run: Measured) -> str:
    """Returns a run as a line of text."""
    return (
        f"{run.rows:7} rows of {run.words} words: {run.seconds:.1f} s, "
        f"{run.seconds / run.rows * 1e3:.2f} ms a row, {run.cores:.2f} cores, peak "
        f"{run.peak_mib:.0f} MiB here, {run.workers_mib:.0f} MiB in all workers, kept {run.kept}"
    )


def growth(runs: Sequence[Measured]) -> str:
    """Returns the last run's time per row over the first's, and the memory per further row."""
    first, last = runs[0], runs[-1]
    time_ratio = last.seconds / last.rows / (first.seconds / first.rows)
    memory = (last.peak_mib - first.peak_mib) * 2**20 / (last.rows - first.rows)
    return (
        f"time a row, {last.rows} rows over {first.rows}: {time_ratio:.2f}; "
        f"memory: {memory:.0f} bytes for each further row"
    )


class _Watch(Thread):
    """Sums the CPU time of this process and its children, and records the workers' peak memory.

    It polls, because the CPU time of a child can't be read once it has ended.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._over = Event()
        self._used: dict[int, float] = {}
        self.workers_mib = 0.0

    def run(self) -> None:
        own = psutil.Process()
        while not self._over.wait(0.2):
            memory = 0
            for process in (own, *own.children(recursive=True)):
                try:
                    self._used[process.pid] = sum(process.cpu_times()[:2])
                    memory += process.memory_info().rss if process != own else 0
                except psutil.Error:
                    continue
            self.workers_mib = max(self.workers_mib, memory / 2**20)

    def end(self) -> float:
        """Stops watching and returns the seconds of CPU time."""
        self._over.set()
        self.join()
        return sum(self._used.values())


def index_bytes(rows: int) -> float:
    """Returns the bytes per row of both near-duplicate indexes, without on-disk signatures."""
    draws = np.random.default_rng(0).integers(0, 2**32, (rows, PERMUTATIONS), dtype=np.uint32)
    tracemalloc.start()
    index = InOrder(draws)
    for number in range(rows):
        index.keep(number)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return 2 * taken / rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", help="other numbers of rows")
    parser.add_argument("--words", type=int, help="of each row")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one)))
        return
    numbers = arguments.rows or ([1_000, 10_000, 100_000] if arguments.short else [6_000])
    runs = []
    for number in numbers:
        words = arguments.words or (40 if arguments.short else 5_000)
        runs.append(in_a_process(number, words))
        print(line(runs[-1]), flush=True)
    if len(runs) > 1:
        print(growth(runs))
    print(f"index of near duplicates: {index_bytes(100_000):.0f} bytes a row")


if __name__ == "__main__":
    main()
