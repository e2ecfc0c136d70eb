"""Supervised fine-tuning with TRL: loss on answers only, packed rows, no truncation."""

import importlib.util
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.errors import SettingsError
from longwriter.core.settings import RuntimeSettings
from longwriter.models.checkpoint import load
from longwriter.models.settings import Dtype, StudentSettings
from longwriter.models.training_run import (
    TrainResult,
    checkpoint_folder,
    keeps_float32,
    run_trainer,
    save_weights,
    trainer_config,
    without_prints,
)
from longwriter.sft.packing import Packs, open_packs
from longwriter.sft.settings import Method, SftSettings


class SftResult(NamedTuple):
    """What SFT returns besides the weights on disk."""

    trained: TrainResult
    metrics: dict[str, Any]
    """For metrics/sft.json."""


@dataclass(kw_only=True)
class SftJob:
    """One supervised fine-tuning run."""

    base: Path
    """Checkpoint to start from."""
    packs: Path
    """Folder that `make_packs` wrote."""
    validation: Path | None
    """Folder of packs to evaluate on during training; None: no evaluation."""
    path: Path
    """Folder that the result is written to."""
    cache: Path
    """Folder for checkpoints in progress."""
    sft: SftSettings
    student: StudentSettings
    runtime: RuntimeSettings

    @property
    def checkpoints(self) -> Path:
        """Folder for the checkpoints of this run only."""
        rows = self.packs.name + (self.validation.name if self.validation else "")
        return checkpoint_folder(
            self.cache, "sft", self.sft, self.student, self.runtime, rows, self.base
        )


def train_here(job: SftJob) -> SftResult:
    """Fine-tunes the job's checkpoint on its packs and writes the weights to its `path`.

    It writes either all weights, in the type that they are trained in, or an adapter;
    `models.checkpoint.finish` turns either into a checkpoint. Training runs in this process, which
    may be one of several that accelerate started.

    Raises:
        SettingsError: a setting needs a package that is not installed, or a feature that the model
            lacks.
        TrainingError: training failed.
    """
    sft, folder = job.sft, job.checkpoints
    # Made before the model is loaded: DeepSpeed reads it to partition the weights as they load.
    config = _config(folder, sft, job.runtime)
    model, tokenizer = load(job.base, job.student, **loading_arguments(job))
    packs = open_packs(job.packs)
    validation = open_packs(job.validation) if job.validation else None
    trainer = _trainer(config, model, tokenizer, packs, validation, sft, job.runtime.peak_tflops)
    trained = run_trainer(without_prints(trainer), folder, sft.early_stopping_patience)
    save_weights(trainer, job.path)
    return SftResult(trained, _metrics(packs, trained, trainer, sft))


def check_context(base: Path, sft: SftSettings) -> None:
    """Checks that the model's context holds max_length tokens.

    Raises:
        SettingsError: it does not.
    """
    file = base / "config.json"
    config = json.loads(file.read_bytes()) if file.exists() else {}
    context = config.get("text_config", config).get("max_position_embeddings")
    if context and sft.max_length > context:
        raise SettingsError(
            f"sft.max_length: {sft.max_length} tokens, and the context of {base} is {context}; "
            f"lower it, or set student.rope_scaling={{rope_type: yarn, factor: "
            f"{sft.max_length / context:.3g}}} and run the stage base again"
        )


def loading_arguments(job: SftJob) -> dict[str, Any]:
    """Returns the arguments of `from_pretrained` that the settings imply.

    Raises:
        SettingsError: bitsandbytes or kernels is needed and not installed, or sequence parallelism
            needs another attention kernel.
    """
    from longwriter.sft import attention

    attention.register()
    sft, student = job.sft, job.student
    _check_sequence_parallelism(sft, job.runtime)
    found: dict[str, Any] = {"attn_implementation": sft.attn_implementation or attention.NAME}
    if sft.method is Method.full and not keeps_float32(job.runtime):
        found["dtype"] = Dtype.float32.value
    if sft.use_kernels:
        _require("kernels", "sft.use_kernels")
        found["use_kernels"] = True
    if sft.method is Method.qlora:
        _require("bitsandbytes", "sft.method=qlora")
        import torch
        from transformers import BitsAndBytesConfig

        found["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_quant_storage=getattr(torch, student.dtype.value),  # so that FSDP can shard it
        )
    return found


def _check_sequence_parallelism(sft: SftSettings, runtime: RuntimeSettings) -> None:
    """Checks that the attention kernel works under sequence parallelism, if that is on.

    Each process then has only a part of every row, which our own attention can't combine. Of the
    other kernels, only flash attention still separates the rows of a pack, by their positions.
    """
    parallel = (runtime.accelerate or {}).get("parallelism_config", {})
    if parallel.get("parallelism_config_sp_size", 1) == 1:
        return
    kernel = sft.attn_implementation or ""
    if not kernel or (sft.packing and "flash" not in kernel):
        raise SettingsError(
            f"sft.attn_implementation: {sft.attn_implementation or 'null'}, but with sequence "
            "parallelism only flash_attention_2 separates the rows of a pack; set it, or set "
            "sft.packing=false and use sdpa"
        )


def _require(package: str, setting: str) -> None:
    if importlib.util.find_spec(package) is None:
        extra = {"bitsandbytes": "qlora"}.get(package, package)
        raise SettingsError(
            f"{setting}: needs the package {package}, which is not installed: "
            f"pip install -e '.[{extra}]'"
        )


def _config(folder: Path, sft: SftSettings, runtime: RuntimeSettings) -> Any:
    from trl import SFTConfig

    return trainer_config(
        SFTConfig,
        "sft",
        sft,
        folder,
        runtime,
        activation_offloading=sft.activation_offloading,
        torch_compile=sft.torch_compile,
        dataset_kwargs={"skip_prepare_dataset": True},  # it would truncate and lose the packs
        remove_unused_columns=False,  # a pack is a list of row numbers until it is read
        loss_type="nll",
    )


def _trainer(
    config: Any,
    model: Any,
    tokenizer: Any,
    packs: Packs,
    validation: Packs | None,
    sft: SftSettings,
    peak_tflops: float | None,
) -> Any:
    from peft import LoraConfig

    from longwriter.sft.loss import PackTrainer

    adapter = None
    if sft.method is not Method.full:
        adapter = LoraConfig(task_type="CAUSAL_LM", **asdict(sft.lora))
    batch = config.world_size * sft.per_device_train_batch_size * sft.gradient_accumulation_steps
    return PackTrainer(
        averaging=sft.loss,
        max_length=sft.max_length,
        peak_tflops=peak_tflops,
        model=model,
        args=config,
        train_dataset=packs.dataset(batch, tokenizer.eos_token_id),
        eval_dataset=validation and validation.dataset(config.world_size, tokenizer.eos_token_id),
        processing_class=tokenizer,
        peft_config=adapter,
    )


def _metrics(packs: Packs, trained: TrainResult, trainer: Any, sft: SftSettings) -> dict[str, Any]:
    epochs, packed = round(trainer.state.epoch, 4), len(packs.packs)
    return {
        "rows": len(packs.lengths),
        "skipped_rows": packs.skipped,
        "sequences": packed,
        "packing_efficiency": round(packs.tokens / (packed * sft.max_length), 4),
        "tokens": packs.tokens,
        "target_tokens": packs.targets,
        "longest_row_tokens": packs.longest,
        "epochs": epochs,
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(packs.tokens * epochs),
        "target_tokens_per_s": trained.rate(packs.targets * epochs),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }
