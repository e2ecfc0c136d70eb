"""Direct preference optimisation of the SFT model with TRL, by LoRA or of all weights."""

import warnings
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
from longwriter.models.chat import chat_tokens_of
from longwriter.models.checkpoint import load, save
from longwriter.models.settings import StudentSettings
from longwriter.models.training_run import (
    TrainResult,
    checkpoint_folder,
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
    folder = checkpoint_folder(job.cache, "dpo", dpo, student, job.runtime, pairs, start)
    model, tokenizer = load(start, student)
    tokens = sum(count_tokens(pair, tokenizer, dpo.max_length) for pair in pairs)
    for pair in validation:
        count_tokens(pair, tokenizer, dpo.max_length)
    trainer = build_trainer(job, model, tokenizer, pairs, validation, folder)
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
    save_aligned(trainer.model, tokenizer, job.path, merge=dpo.merge)
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
    pairs: list[Pair],
    validation: list[Pair],
    folder: Path,
) -> Any:
    """Returns the trainer, after it has computed the reference's log-probabilities of all pairs.

    Args:
        model, tokenizer: the checkpoint `job.start`, loaded.
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

    def dataset(rows: list[Pair]) -> Any:
        return Dataset.from_list([tokenize(pair, tokenizer) for pair in rows])

    return PreferenceTrainer(
        reference=job.cache / "reference",
        identity={"model": weights_digest(job.start), "dtype": job.student.dtype.value},
        model=model,
        args=config,
        train_dataset=dataset(pairs),
        eval_dataset=dataset(validation) if validation else None,
        processing_class=tokenizer,
        peft_config=dpo.lora and LoraConfig(task_type="CAUSAL_LM", **asdict(dpo.lora)),
    )


def save_aligned(model: Any, tokenizer: Any, path: Path, *, merge: bool) -> None:
    """Writes one checkpoint to `path`: whole weights, or the adapter alone of a model that has one and
    is not to be merged."""
    adapted = hasattr(model, "merge_and_unload")
    if adapted and not merge:
        model.save_pretrained(path, selected_adapters=["default"])
        tokenizer.save_pretrained(path)
    else:
        save(model.merge_and_unload() if adapted else model, tokenizer, path)


def tokenize(pair: Pair, tokenizer: Any) -> dict[str, list[int]]:
    """Returns `prompt_ids`, `chosen_ids` and `rejected_ids`, the columns that TRL would make of a pair.

    Raises:
        TrainingError: the chat template renders the prompt alone differently.
    """
    chosen = chat_tokens_of(tokenizer, pair.prompt, pair.chosen)
    rejected = chat_tokens_of(tokenizer, pair.prompt, pair.rejected)
    if chosen is None or rejected is None:
        raise TrainingError(
            f"pair {pair.id}: the chat template renders the prompt alone differently; name another "
            "file in student.chat_template_path"
        )
    return {
        "prompt_ids": chosen.prompt,
        "chosen_ids": chosen.answer,
        "rejected_ids": rejected.answer,
    }


def count_tokens(pair: Pair, tokenizer: Any, max_length: int) -> int:
    """Returns the tokens of prompt + chosen and of prompt + rejected, added up.

    Raises:
        TrainingError: one of the two is longer than max_length.
    """
    found = tokenize(pair, tokenizer)
    lengths = [len(found["prompt_ids"]) + len(found[key]) for key in ("chosen_ids", "rejected_ids")]
    if max(lengths) > max_length:
        raise TrainingError(
            f"pair {pair.id}: {max(lengths)} tokens, and dpo.max_length is {max_length}; raise it "
            "in conf/dpo/ or lower pairs.max_tokens: a pair is never cut"
        )
    return sum(lengths)
