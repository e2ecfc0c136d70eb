"""Supervised fine-tuning with TRL: loss on the completion only, rows packed, nothing cut."""

from pathlib import Path
from typing import Any

from longwriter.errors import TrainingError
from longwriter.records import TrainingRow
from longwriter.settings import Settings, Workspace
from longwriter.training.model import load, save
from longwriter.training.trainer import (
    Trained,
    arguments,
    checkpoint_folder,
    run,
    without_prints,
)


def train(
    base: Path, rows: list[TrainingRow], path: Path, settings: Settings, work: Workspace
) -> tuple[Trained, dict[str, Any]]:
    """Tunes the checkpoint `base` on `rows` and writes the result to `path`.

    Returns:
        What the run reports, and counts for metrics/sft.json.

    Raises:
        TrainingError: a row does not fit max_length or has no target; training failed.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    folder = checkpoint_folder(work, "sft", settings.sft, settings, rows, base)
    model, tokenizer = load(base, settings.student)
    tokenized = [tokenize(row, tokenizer, settings.sft.max_length) for row in rows]
    config = SFTConfig(
        **arguments(settings.sft, folder, settings),
        packing=settings.sft.packing,
        completion_only_loss=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(tokenized),
        processing_class=tokenizer,
    )
    trained = run(without_prints(trainer), folder)
    save(trainer.model, tokenizer, path)

    tokens = sum(len(row["input_ids"]) for row in tokenized)
    targets = sum(sum(row["completion_mask"]) for row in tokenized)
    return trained, {
        "rows": len(rows),
        "sequences": len(trainer.train_dataset),
        "tokens": tokens,
        "target_tokens": targets,
        "longest_row_tokens": max(len(row["input_ids"]) for row in tokenized),
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(tokens * settings.sft.num_train_epochs),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }


def tokenize(row: TrainingRow, tokenizer: Any, max_length: int) -> dict[str, list[int]]:
    """`input_ids` of the whole chat and `completion_mask`, 1 on the tokens of the last answer.

    Raises:
        TrainingError: the row is longer than max_length, or its end-of-turn is no target.
    """
    messages = [message.model_dump() for message in row.messages]
    chat = {"tokenize": True, "return_dict": False}
    ids = tokenizer.apply_chat_template(messages, **chat)
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, **chat)
    if ids[: len(prompt)] != prompt:
        raise TrainingError(f"row {row.id}: the chat template renders the prompt alone differently")
    if len(ids) > max_length:
        raise TrainingError(
            f"row {row.id}: {len(ids)} tokens, and sft.max_length is {max_length}; raise it in "
            "conf/sft/, or ask for shorter texts: a row is never cut"
        )
    if tokenizer.eos_token_id not in ids[len(prompt) :]:
        raise TrainingError(f"row {row.id}: the chat template ends no turn with the end-of-text")
    return {
        "input_ids": ids,
        "completion_mask": [0] * len(prompt) + [1] * (len(ids) - len(prompt)),
    }
