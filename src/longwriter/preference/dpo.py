"""Direct preference optimisation of the SFT model with TRL, by LoRA or of all weights."""

import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.files import checkpoint_digest, weights_digest
from longwriter.core.rows import Pair
from longwriter.core.settings import RuntimeSettings
from longwriter.core.sources import checked, open_source
from longwriter.core.statistics import mean_interval
from longwriter.core.workspace import Workspace
from longwriter.llm.settings import ServerKind
from longwriter.models.cards import write_card
from longwriter.models.chat import answer_tokens
from longwriter.models.checkpoint import load, merge_adapter, save
from longwriter.models.settings import Dtype, StudentSettings
from longwriter.models.training_run import (
    TrainResult,
    checkpoint_folder,
    keeps_float32,
    run_trainer,
    trainer_arguments,
    without_prints,
)
from longwriter.preference.chat_pairs import as_pair
from longwriter.preference.settings import DpoSettings
from longwriter.preference.validation import instruction_margins, summarise_validation


def read_pairs(dpo: DpoSettings, work: Workspace) -> tuple[list[Pair], list[Pair]]:
    """Returns the pairs to train on and the validation pairs.

    There are no validation pairs where the stage `pairs` set none aside, or where `dpo.pairs` is given
    without `dpo.validation`.

    Raises:
        DataError: a file is missing or holds a bad row, or there is no pair to train on.
    """
    train = _read(work.input(dpo.pairs, "data/dpo/pairs.jsonl"))
    path = work.input(dpo.validation, "data/dpo/validation.jsonl")
    if dpo.pairs and not dpo.validation:
        return train, []
    empty = path.exists() and not path.stat().st_size
    return train, [] if empty else _read(path)


def _read(path: Path) -> list[Pair]:
    """The pairs of a file: our own, with all that they say, or any of TRL's preference formats."""
    return [
        checked(row, Pair, where)
        if "id" in row and isinstance(row.get("prompt"), list)
        else as_pair(row, path.name, where)
        for where, row in open_source(None, None, path, "dpo.pairs").rows()
    ]


@dataclass(kw_only=True)
class DpoJob:
    """One preference optimisation."""

    start: Path
    """Checkpoint to align, which is also the reference policy."""
    path: Path
    """Folder that the result is written to."""
    cache: Path
    """Folder of checkpoints in progress and of the reference's log-probabilities."""
    dpo: DpoSettings
    student: StudentSettings
    runtime: RuntimeSettings


def train(
    job: DpoJob, pairs: list[Pair], validation: list[Pair]
) -> tuple[TrainResult, dict[str, Any]]:
    """Aligns the job's checkpoint on `pairs` and writes the result to its `path`.

    The reference's log-probabilities are computed once and kept in `cache`/reference.

    Args:
        validation: pairs that are measured after training and never trained on; may be empty.

    Returns:
        What the run reports, and metrics/dpo.json.

    Raises:
        SettingsError: losses and weights do not fit each other, or the server needs merged weights.
        TrainingError: a pair does not fit max_length; training failed.
    """
    dpo, student, start = job.dpo, job.student, job.start
    check(dpo, student)
    data = json.dumps([[pair.model_dump() for pair in part] for part in (pairs, validation)])
    key = hashlib.sha256(data.encode()).hexdigest()
    folder = checkpoint_folder(job.cache, "dpo", dpo, student, job.runtime, key, start)
    masters = {} if dpo.lora or keeps_float32(job.runtime) else {"dtype": Dtype.float32.value}
    model, tokenizer = load(start, student, **masters)
    train_rows, held_out = (
        [tokenize(pair, tokenizer, dpo.max_length) for pair in part] for part in (pairs, validation)
    )
    tokens = count_tokens(train_rows)
    trainer = build_trainer(job, model, tokenizer, train_rows, held_out, folder)
    trained = run_trainer(without_prints(trainer), folder)
    last = trained.curve[-1]
    metrics = {
        "pairs": len(pairs),
        "tokens": tokens,
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "final_reward_margin": round(last["rewards/margins"], 4),
        "final_reward_accuracy": round(last["rewards/accuracies"], 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(tokens * dpo.num_train_epochs),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }
    if validation:
        metrics["validation"] = summarise_validation(validation, trainer.validation_rewards())
    save_aligned(trainer.model, tokenizer, job)
    _write_card(job, metrics)
    return trained, metrics


def _write_card(job: DpoJob, metrics: dict[str, Any]) -> None:
    """Writes the aligned model's card beside its weights."""
    dpo, found = job.dpo, metrics.get("validation")
    write_card(
        job.path,
        "dpo",
        dpo=dpo,
        student=job.student,
        start=f"{job.start.parent.name}/{job.start.name}",
        weights=checkpoint_digest(job.start),
        metrics=metrics,
        losses=" + ".join(
            f"{weight:g} · {loss.value}"
            for loss, weight in zip(dpo.loss_type, dpo.loss_weights, strict=True)
        ),
        adapter=dpo.lora is not None and not dpo.merge,
        method="all weights" if dpo.lora is None else f"LoRA of rank {dpo.lora.r}",
        validation=found,
        interval=found and mean_interval(instruction_margins(found)),
    )


def check(dpo: DpoSettings, student: StudentSettings) -> None:
    """Checks settings that must fit each other.

    Raises:
        SettingsError: losses and weights differ in number, or the adapter alone would be saved and
            the student's server is llama.cpp.
    """
    if not dpo.loss_type or len(dpo.loss_type) != len(dpo.loss_weights):
        raise SettingsError(
            f"dpo.loss_weights: {len(dpo.loss_weights)} for {len(dpo.loss_type)} of dpo.loss_type; "
            "give each loss one weight in conf/dpo/"
        )
    if dpo.lora and not dpo.merge and student.server.kind is ServerKind.llama_cpp:
        raise SettingsError(
            "dpo.merge: is false, and llama.cpp, the student's server, takes whole weights; set "
            "dpo.merge=true, or student.server.kind=endpoint and serve adapter and base yourself"
        )


def build_trainer(
    job: DpoJob,
    model: Any,
    tokenizer: Any,
    pairs: list[dict[str, list[int]]],
    validation: list[dict[str, list[int]]],
    folder: Path,
) -> Any:
    """Returns the trainer, after it has computed the reference's log-probabilities of all pairs.

    Args:
        model, tokenizer: the checkpoint `job.start`, loaded.
        pairs, validation: as `tokenize` returns them.
        folder: for checkpoints.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig

    from longwriter.preference.trainer import PreferenceTrainer

    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)  # peft's
    dpo = job.dpo
    config = DPOConfig(
        **trainer_arguments(dpo, folder, job.runtime),
        beta=dpo.beta,
        loss_type=[loss.value for loss in dpo.loss_type],
        loss_weights=dpo.loss_weights,
        ld_alpha=dpo.ld_alpha,
        precompute_ref_log_probs=True,
    )

    return PreferenceTrainer(
        reference=job.cache / "reference",
        identity={"model": weights_digest(job.start), "dtype": job.student.dtype.value},
        model=model,
        args=config,
        train_dataset=Dataset.from_list(pairs),
        eval_dataset=Dataset.from_list(validation) if validation else None,
        processing_class=tokenizer,
        peft_config=dpo.lora and LoraConfig(task_type="CAUSAL_LM", **asdict(dpo.lora)),
    )


def save_aligned(model: Any, tokenizer: Any, job: DpoJob) -> None:
    """Writes the job's checkpoint in student.dtype: whole weights, or the adapter alone where it has one
    that is not to be merged."""
    import torch

    if job.dpo.lora is None:
        save(model.to(getattr(torch, job.student.dtype.value)), tokenizer, job.path)
        return
    model.save_pretrained(job.path, selected_adapters=["default"])
    if job.dpo.merge:
        merge_adapter(job.start, job.path, job.student)
    else:
        tokenizer.save_pretrained(job.path)


def tokenize(pair: Pair, tokenizer: Any, max_length: int) -> dict[str, list[int]]:
    """Returns `prompt_ids`, `chosen_ids` and `rejected_ids`, the columns that TRL would make of a pair.

    A rejected answer that was cut off has no end-of-turn: it wrote none, and DPO would make it less
    likely.

    Raises:
        TrainingError: as `answer_tokens`; prompt and an answer are longer than max_length.
    """
    what, first = f"pair {pair.id}", len(pair.prompt)
    prompt, chosen = answer_tokens(tokenizer, pair.prompt + pair.chosen, [first], what)
    _, rejected = answer_tokens(tokenizer, pair.prompt + pair.rejected, [first], what)
    if pair.rejected_cut:
        rejected = rejected[: len(rejected) - 1 - rejected[::-1].index(tokenizer.eos_token_id)]
    longest = len(prompt) + max(len(chosen), len(rejected))
    if longest > max_length:
        raise TrainingError(
            f"{what}: {longest} tokens, and dpo.max_length is {max_length}; raise it in conf/dpo/ or "
            "lower pairs.max_tokens: a pair is never cut"
        )
    return {"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected}


def count_tokens(rows: Iterable[dict[str, list[int]]]) -> int:
    """Returns the tokens of prompt + chosen and of prompt + rejected of all pairs, added up."""
    return sum(
        2 * len(row["prompt_ids"]) + len(row["chosen_ids"]) + len(row["rejected_ids"])
        for row in rows
    )
