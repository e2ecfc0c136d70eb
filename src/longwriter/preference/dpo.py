"""Direct preference optimisation of the SFT model with TRL, of a LoRA adapter or all weights."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.errors import SettingsError
from longwriter.core.files import checkpoint_digest, weights_digest
from longwriter.core.rows import Pair
from longwriter.core.settings import RuntimeSettings
from longwriter.core.sources import checked, open_source
from longwriter.core.statistics import interval
from longwriter.core.workspace import Workspace
from longwriter.llm.settings import ServerKind
from longwriter.models.cards import write_card
from longwriter.models.checkpoint import load
from longwriter.models.server_kind import server_kind
from longwriter.models.settings import Dtype, StudentSettings
from longwriter.models.training_run import (
    TrainResult,
    checkpoint_folder,
    keeps_float32,
    require_validation,
    run_trainer,
    save_weights,
    trainer_config,
    without_prints,
)
from longwriter.preference.chat_pairs import as_pair
from longwriter.preference.settings import DpoSettings
from longwriter.preference.tokens import TokenizedPairs, open_tokens
from longwriter.preference.validation import instruction_margins


def read_pairs(dpo: DpoSettings, work: Workspace) -> tuple[list[Pair], list[Pair]]:
    """Returns the pairs to train on and the validation pairs.

    There are no validation pairs if the stage `pairs` set none aside, or if `dpo.pairs` is given
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
    """Returns the pairs of a file, in our own format or any of TRL's preference formats."""
    return [
        checked(row, Pair, where)
        if "id" in row and isinstance(row.get("prompt"), list)
        else as_pair(row, path.name, where)
        for where, row in open_source(None, None, path, "dpo.pairs").rows()
    ]


@dataclass(kw_only=True)
class DpoJob:
    """One DPO run."""

    start: Path
    """Checkpoint to align, which is also the reference policy."""
    pairs: Path
    """Folder that `make_tokens` wrote."""
    path: Path
    """Folder that the result is written to."""
    cache: Path
    """Folder for checkpoints in progress and the reference's log-probabilities."""
    dpo: DpoSettings
    student: StudentSettings
    runtime: RuntimeSettings

    @property
    def checkpoints(self) -> Path:
        """Folder for the checkpoints of this run only."""
        return checkpoint_folder(
            self.cache, "dpo", self.dpo, self.student, self.runtime, self.pairs.name, self.start
        )


class DpoResult(NamedTuple):
    """What DPO returns besides the weights on disk."""

    trained: TrainResult
    metrics: dict[str, Any]
    """For metrics/dpo.json, without `validation`."""
    rewards: list[tuple[float, float]]
    """Rewards of the chosen and the rejected answer of each validation pair."""


def train_here(job: DpoJob) -> DpoResult:
    """Aligns the job's checkpoint on its pairs and writes the weights to its `path`.

    It writes either all weights, in the type that they are trained in, or an adapter;
    `models.checkpoint.finish` turns either into a checkpoint. Training runs in this process, which
    may be one of several that accelerate started. The reference's log-probabilities are computed
    once and kept in `cache`/reference.

    Raises:
        TrainingError: training failed.
    """
    dpo, folder = job.dpo, job.checkpoints
    config = _config(
        job
    )  # before the model is loaded: DeepSpeed partitions the weights as they load
    masters = {} if dpo.lora or keeps_float32(job.runtime) else {"dtype": Dtype.float32.value}
    model, tokenizer = load(job.start, job.student, **masters)
    pairs = open_tokens(job.pairs)
    require_validation("dpo", dpo, bool(pairs.validation))
    tokens = sum(
        len(row["chosen_ids"]) + len(row["rejected_ids"]) + 2 * len(row["prompt_ids"])
        for row in pairs.train
    )
    trainer = build_trainer(job, config, model, tokenizer, pairs)
    trained = run_trainer(without_prints(trainer), folder, dpo.early_stopping_patience)
    last = trained.curve[-1]
    metrics = {
        "pairs": len(pairs.train),
        "tokens": tokens,
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "final_reward_margin": round(last["rewards/margins"], 4),
        "final_reward_accuracy": round(last["rewards/accuracies"], 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(tokens * trainer.state.epoch),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }
    rewards = trainer.validation_rewards() if pairs.validation else []
    save_weights(trainer, job.path)
    return DpoResult(trained, metrics, rewards)


def write_dpo_card(job: DpoJob, metrics: dict[str, Any]) -> None:
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
        interval=found and interval(instruction_margins(found)),
    )


def check(dpo: DpoSettings, student: StudentSettings, start: Path, cache: Path) -> None:
    """Checks that settings fit each other.

    Raises:
        SettingsError: there is no loss or not one weight for each, or only the adapter would be
            saved and the student's server is llama.cpp.
    """
    if not dpo.loss_type or len(dpo.loss_type) != len(dpo.loss_weights):
        raise SettingsError(
            f"dpo.loss_weights: {len(dpo.loss_weights)} weight(s) for the {len(dpo.loss_type)} "
            "loss(es) in dpo.loss_type; give each loss one weight in conf/dpo/"
        )
    if not dpo.lora or dpo.merge:
        return
    if server_kind(student, start, cache).kind is ServerKind.llama_cpp:
        raise SettingsError(
            "dpo.merge: is false, and llama.cpp, the student's server, takes whole weights; set "
            "dpo.merge=true, or student.server.kind=endpoint and serve adapter and base yourself"
        )


def _config(job: DpoJob) -> Any:
    from trl import DPOConfig

    dpo = job.dpo
    return trainer_config(
        DPOConfig,
        "dpo",
        dpo,
        job.checkpoints,
        job.runtime,
        # Rows go through the model one at a time, so larger batches would only cost memory.
        per_device_train_batch_size=1,
        gradient_accumulation_steps=(
            dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps
        ),
        beta=dpo.beta,
        loss_type=[loss.value for loss in dpo.loss_type],
        loss_weights=dpo.loss_weights,
        ld_alpha=dpo.ld_alpha,
        precompute_ref_log_probs=True,
    )


def build_trainer(
    job: DpoJob, config: Any, model: Any, tokenizer: Any, pairs: TokenizedPairs
) -> Any:
    """Returns the trainer, which has computed the reference's log-probabilities of all pairs.

    Args:
        config: a DPOConfig.
        model, tokenizer: the checkpoint `job.start`, loaded.
    """
    from peft import LoraConfig

    from longwriter.preference.trainer import PreferenceTrainer, filled

    dpo = job.dpo
    step = config.world_size * config.gradient_accumulation_steps
    return PreferenceTrainer(
        reference=job.cache / "reference",
        identity={"model": weights_digest(job.start), "dtype": job.student.dtype.value},
        model=model,
        args=config,
        train_dataset=filled(pairs.train, step),
        eval_dataset=pairs.validation,
        processing_class=tokenizer,
        peft_config=dpo.lora and LoraConfig(task_type="CAUSAL_LM", **asdict(dpo.lora)),
    )
