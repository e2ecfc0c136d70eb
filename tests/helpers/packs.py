"""Trains a tiny model on packs without shuffling and at a learning rate of 0, so that every step's
loss is that of the first weights. Run by accelerate, it leaves what each case logs in a file."""

import json
import sys
import tempfile
from pathlib import Path

from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import SFTConfig

from longwriter.sft import attention
from longwriter.sft.loss import PackTrainer
from longwriter.sft.packing import Packs
from longwriter.sft.settings import Averaging

PACKS = [  # a pack: its rows, a row: (prompt tokens, target tokens)
    [(3, 9), (4, 2), (2, 6)],
    [(5, 20)],
    [(2, 1), (3, 12)],
    [(4, 7), (2, 2), (6, 3), (2, 1)],
    [(3, 30)],
    [(2, 5)],
    [(7, 4), (3, 3)],
]
CASES = [(averaging, accumulation) for averaging in Averaging for accumulation in (1, 8)]


def tokens(pack: int, row: int) -> dict[str, list[int]]:
    """A row: its tokens follow a rule of its own."""
    prompt, targets = PACKS[pack][row]
    ids = [(97 * pack + 31 * row + 7 * n * n) % 4000 + 10 for n in range(prompt + targets)]
    return {"input_ids": ids, "targets": [prompt, prompt + targets]}


def packs() -> Packs:
    places = [(number, row) for number, rows in enumerate(PACKS) for row in range(len(rows))]
    rows = Dataset.from_list([tokens(*place) for place in places])
    return Packs(
        key="",
        rows=rows,
        packs=[[n for n, place in enumerate(places) if place[0] == k] for k in range(len(PACKS))],
        lengths=[len(ids) for ids in rows["input_ids"]],
        targets=sum(targets for rows in PACKS for _, targets in rows),
    )


def logged(base: Path, averaging: Averaging, accumulation: int) -> list[dict[str, float]]:
    """What one epoch over PACKS logs."""
    attention.register()
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            learning_rate=0.0,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=accumulation,
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            bf16=False,
            use_cpu=True,
            activation_checkpointing=False,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataset_kwargs={"skip_prepare_dataset": True},
            remove_unused_columns=False,
        )
        trainer = PackTrainer(
            averaging=averaging,
            max_length=64,
            peak_tflops=1e-3,
            model=AutoModelForCausalLM.from_pretrained(base, attn_implementation=attention.NAME),
            args=config,
            train_dataset=packs().dataset(config.world_size, 5),
            processing_class=AutoTokenizer.from_pretrained(base),
        )
        trainer.train()
    return [entry for entry in trainer.state.log_history if "loss" in entry]


if __name__ == "__main__":
    import os

    found = [logged(Path(sys.argv[1]), *case) for case in CASES]
    if os.environ["RANK"] == "0":
        Path(sys.argv[2]).write_text(json.dumps(found))
