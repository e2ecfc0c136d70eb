"""How fast the filter is, whether it uses all cores, and what it keeps in memory.

    python benchmarks/filter.py             # 6,000 rows of 5,000 words
    python benchmarks/filter.py --short     # 1,000, 10,000 and 100,000 rows of 40 words

Rows are random words, so that no rule ends the work early: those on language, which need real words,
are off. Prints seconds, the processor time of all processes over the wall time (2.0: two cores full), peak
memory, and the bytes that the index of near duplicates takes a row.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
from omegaconf import DictConfig, OmegaConf

from longwriter.dataset.duplicates import PERMUTATIONS, NearIndex
from longwriter.dataset.run import filter_rows
from longwriter.settings import Settings, Workspace, compose_params, validate

ROOT = Path(__file__).resolve().parent.parent
OFF = ("wrong_language", "mixed_script", "low_variety")


def write_rows(path: Path, rows: int, words: int) -> None:
    """Writes drafts of random words in sentences of twelve."""
    source = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary = ["".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(50_000)]
    with path.open("w") as file:
        for number in range(rows):
            drawn = source.choices(vocabulary, k=words)
            response = " ".join(" ".join(drawn[i : i + 12]) + "." for i in range(0, words, 12))
            prompt = " ".join(source.choices(vocabulary, k=15))
            row = {"id": f"r{number:06}", "prompt": prompt, "response": response}
            file.write(json.dumps(row) + "\n")


def settings(drafts: Path) -> Settings:
    """The default's, without a limit of tokens."""
    config = OmegaConf.create(compose_params(ROOT))
    assert isinstance(config, DictConfig)
    loaded = validate(config)
    loaded.filter.drafts = str(drafts)
    loaded.filter.max_length = None
    loaded.filter.min_words = 0
    loaded.filter.rules = [rule for rule in loaded.filter.rules if rule not in OFF]
    return loaded


def measure(rows: int, words: int) -> None:
    """Prints one line for so many rows of so many words."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(folder / "drafts.jsonl", rows, words)
        work = Workspace(ROOT, folder / "out")
        watch, start = _Watch(), time.perf_counter()
        watch.start()
        metrics = filter_rows(settings(folder / "drafts.jsonl"), work, "")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{rows:7} rows of {words} words: {seconds:.1f} s, {seconds / rows * 1e3:.2f} ms a row, "
            f"{watch.end() / seconds:.2f} cores, peak {peak:.0f} MiB here, "
            f"{watch.workers_mib:.0f} MiB in all workers, "
            f"kept {metrics['kept']}"
        )


class _Watch(Thread):
    """Adds up the processor time of this process and its children, who are nobody's to ask once they
    have ended, and keeps the most memory that they took."""

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
        """Seconds of processor time."""
        self._over.set()
        self.join()
        return sum(self._used.values())


def index_bytes(rows: int) -> float:
    """Bytes that the two indexes of near duplicates take a row."""
    draws = np.random.default_rng(0).integers(0, 2**32, (rows, PERMUTATIONS), dtype=np.uint32)
    tracemalloc.start()
    index = NearIndex()
    for key, values in enumerate(draws):
        index.insert(key, values.copy())
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return 2 * taken / rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--one", nargs=2, type=int, metavar=("ROWS", "WORDS"), help="one line")
    arguments = parser.parse_args()
    if arguments.one:
        measure(*arguments.one)
        return
    sizes = [(1_000, 40), (10_000, 40), (100_000, 40)] if arguments.short else [(6_000, 5_000)]
    for size in sizes:  # each in a process of its own, for its peak memory
        subprocess.run([sys.executable, __file__, "--one", *map(str, size)], check=True)
    print(f"index of near duplicates: {index_bytes(5_000):.0f} bytes a row")


if __name__ == "__main__":
    main()
