"""Measures seconds to score 120 predictions of 20,000 to 30,000 words: S_l, health, statistics.

    python benchmarks/score.py [--words 30000] [--rows 120]

The texts are random words, half of them Chinese characters, some with loops; required lengths are
spread like LongBench-Write's. The time is that of the command `longwriter score`, startup included.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

LENGTHS = [200, 400, 800, 1000, 2000, 3000, 5000, 10000, 20000]


def text(random: Random, words: int, vocabulary: list[str]) -> str:
    """Returns `words` random words; one text in five ends in a loop."""
    chosen = random.choices(vocabulary, k=words)
    if random.random() < 0.2:
        chosen[-words // 5 :] = (chosen[:40] * words)[: words // 5]
    return " ".join(chosen) + "."


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--words", type=int, default=30_000, help="most words of a text")
    parser.add_argument("--rows", type=int, default=120)
    options = parser.parse_args()
    random = Random(0)
    english = ["".join(random.choices("abcdefghijklmnop", k=6)) for _ in range(8000)]
    chinese = [chr(random.randrange(0x4E00, 0x9000)) for _ in range(3000)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "predictions.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for number in range(options.rows):
                words = random.randint(options.words * 2 // 3, options.words)
                row = {
                    "prompt": f"Write text {number}." if number % 2 else f"写第{number}篇。",
                    "type": f"type {number % 7}",
                    "length": LENGTHS[number % len(LENGTHS)],
                    "response": text(random, words, english if number % 2 else chinese),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        start = time.perf_counter()
        command = [sys.executable, "-m", "longwriter.cli.main", "score", str(path), "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - start
    [found] = json.loads(done.stdout)["files"].values()
    print(
        f"{found['n']} texts, {found['mean_words']:,.0f} words on average, "
        f"{found['health']['looping']:.0%} looping: {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
