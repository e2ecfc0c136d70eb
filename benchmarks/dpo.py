"""Compares DPO's peak memory and pairs/s with TRL's defaults, on the same pairs.

    python benchmarks/dpo.py [--checkpoint FOLDER] [--tokens 512 64] [--pairs 4] [--epochs 1]
    python benchmarks/dpo.py --lengths 1024 4096 6144

Each variant runs in its own process, so that its peak memory is measured separately. The pairs are
random tokens; --tokens gives the lengths of the chosen and the rejected answer, which are swapped
in every other pair. The second command measures memory by length, with both answers of that length
and activation checkpointing as in conf/dpo/paper.yaml. There, freed memory is returned to the
system at once; otherwise the peak would mostly be what malloc keeps. Without --checkpoint, the
student's starting checkpoint is created first.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.rows import Message, Pair
from longwriter.models.checkpoint import load, materialise

WAYS = ("TRL", "TRL, no checkpointing", "longwriter, checkpointing", "longwriter")
GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "1000000"}
"""Block size in bytes from which glibc returns freed memory to the system.

By default glibc raises this threshold itself, up to 32 MiB.
"""


def make_pairs(tokenizer: Any, tokens: tuple[int, int], number: int) -> list[Pair]:
    """Returns pairs with answers of about the given lengths; each word is a single token."""
    rng = random.Random(0)
    words = [" river", " stone", " light", " paper", " night", " green", " water", " house"]

    def text(length: int) -> Message:
        return Message(role="assistant", content="".join(rng.choices(words, k=length)).strip())

    return [
        Pair(
            prompt=[Message(role="user", content=f"Write text {place}.")],
            chosen=[text(tokens[place % 2])],
            rejected=[text(tokens[1 - place % 2])],
            id=str(place),
        )
        for place in range(number)
    ]


def trl_defaults(model: Any, tokenizer: Any, pairs: list[Pair], folder: Path, options: Any) -> Any:
    """Returns TRL's trainer with LoRA and its defaults, at one pair per step as in longwriter.

    Pairs are padded and the reference is computed at each step; activation checkpointing is on,
    except in the variant without it.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    changes = {} if options.way == "TRL" else {"gradient_checkpointing": False}
    rows = [pair.model_dump(include={"prompt", "chosen", "rejected"}) for pair in pairs]
    return DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=1,
            num_train_epochs=options.epochs,
            max_length=None,
            bf16=options.bf16,
            use_cpu=True,
            report_to="none",
            save_strategy="no",
            dataloader_pin_memory=False,
            **changes,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear"),
    )


def measure(settings: Settings, options: Any, folder: Path) -> dict[str, float]:
    """Returns seconds and peak memory of one variant, run in this process."""
    import peft  # noqa: F401  before the clock starts, as the next
    import torch
    import trl.trainer.dpo_trainer  # noqa: F401

    from longwriter.models import training_run
    from longwriter.models.training_run import bf16_here, peak_memory_mb
    from longwriter.preference.dpo import DpoJob, _config, build_trainer
    from longwriter.preference.tokens import make_tokens, open_tokens

    warnings.filterwarnings("ignore")
    settings.runtime.threads = options.threads
    torch.set_num_threads(options.threads)
    options.bf16 = bf16_here()
    model, tokenizer = load(options.checkpoint, settings.student)
    pairs = make_pairs(tokenizer, options.tokens, options.pairs)
    loaded, start = peak_memory_mb(), time.perf_counter()
    if GIVE_BACK.items() <= os.environ.items():
        training_run.keep_freed_memory = lambda: None
    if options.way.startswith("TRL"):
        trainer = trl_defaults(model, tokenizer, pairs, folder, options)
    else:
        settings.dpo = replace(
            settings.dpo,
            num_train_epochs=options.epochs,
            max_length=2 * sum(options.tokens) + 200,
            activation_checkpointing="checkpointing" in options.way,
            save_steps=10_000,
        )
        job = DpoJob(
            start=options.checkpoint,
            pairs=make_tokens(
                pairs,
                [],
                options.checkpoint,
                settings.dpo.max_length,
                settings.student,
                folder / "cache",
            ),
            path=folder / "dpo",
            cache=folder / "cache",
            dpo=settings.dpo,
            student=settings.student,
            runtime=settings.runtime,
        )
        config = _config(job)
        config.report_to = []
        trainer = build_trainer(job, config, model, tokenizer, open_tokens(job.pairs))
    trainer.train()
    return {
        "seconds": time.perf_counter() - start,
        "peak_mb": peak_memory_mb(),
        "above_model_mb": peak_memory_mb() - loaded,
    }


def in_its_own_process(way: str, tokens: tuple[int, int], options: Any) -> dict[str, float]:
    command = [sys.executable, __file__, "--way", way, "--checkpoint", str(options.checkpoint)]
    command += ["--tokens", *map(str, tokens), "--pairs", str(options.pairs)]
    command += ["--epochs", str(options.epochs), "--threads", str(options.threads)]
    environment = os.environ | (GIVE_BACK if options.lengths else {})
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(f"{way}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare(options: Any) -> None:
    first: dict[str, float] = {}
    seen = options.pairs * options.epochs
    print(f"{options.pairs} pairs of {options.tokens} tokens, {options.epochs} epochs")
    for way in options.ways:
        found = in_its_own_process(way, tuple(options.tokens), options)
        first = first or found
        print(
            f"{way:27} {seen / found['seconds']:6.3f} pairs/s "
            f"({first['seconds'] / found['seconds']:.2f} x the first line), peak "
            f"{found['peak_mb']:6.0f} MiB ({found['peak_mb'] / first['peak_mb']:.2f} x), above the "
            f"model {found['above_model_mb']:6.0f} MiB"
        )


def memory_over_length(options: Any) -> None:
    for length in options.lengths:
        found = in_its_own_process("longwriter, checkpointing", (length, length), options)
        a_token = found["above_model_mb"] / (2 * length) * 1024
        print(
            f"2 x {length:5} tokens: {found['above_model_mb']:6.0f} MiB above the model, "
            f"{a_token:5.0f} KiB a token"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tokens", type=int, nargs=2, default=(512, 64))
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lengths", type=int, nargs="+")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    config = OmegaConf.create(compose_params(Path(__file__).resolve().parent.parent))
    assert isinstance(config, DictConfig)
    settings = validate(config)
    with tempfile.TemporaryDirectory() as folder:
        if not options.checkpoint:
            options.checkpoint = Path(folder) / "base"
            materialise(settings.student, options.checkpoint)
        if options.way:
            print(json.dumps(measure(settings, options, Path(folder))))
        elif options.lengths:
            options.pairs = 1
            memory_over_length(options)
        else:
            compare(options)


if __name__ == "__main__":
    main()
