"""How fast the filter is, whether it uses all cores, and what it keeps in memory.

    python benchmarks/filter.py             # 6,000 rows of 5,000 words
    python benchmarks/filter.py --short     # 1,000, 10,000 and 100,000 rows of 40 words

Rows are random words, so that no rule ends the work early: those on language, which need real words,
are off. Prints seconds, rows a second, the processor time of all processes over the wall time (2.0: two
cores full), the peak memory of the parent, and the bytes that the index of near duplicates takes a row.
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

import numpy as np
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
        before, start = _processor(), time.perf_counter()
        metrics = filter_rows(settings(folder / "drafts.jsonl"), work, "")
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{rows:7} rows of {words} words: {seconds:.1f} s, {seconds / rows * 1e3:.2f} ms a row, "
            f"{(_processor() - before) / seconds:.2f} cores, parent's peak {peak:.0f} MiB, "
            f"kept {metrics['kept']}"
        )


def _processor() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


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
