"""Supervised fine-tuning with TRL: loss on the answer only, rows packed, nothing cut."""

import importlib.util
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.rows import PackedRow, TrainingRow
from longwriter.core.settings import RuntimeSettings
from longwriter.models.checkpoint import load, save
from longwriter.models.settings import StudentSettings
from longwriter.models.training_run import (
    TrainResult,
    checkpoint_folder,
    run_trainer,
    trainer_arguments,
    without_prints,
)
from longwriter.sft.packing import Packs, fill, pack
from longwriter.sft.settings import Method, SftSettings


class SftResult(NamedTuple):
    """What SFT returns besides the weights on disk."""

    trained: TrainResult
    metrics: dict[str, Any]
    """For metrics/sft.json."""
    packs: list[PackedRow]
    """For data/sft/packs.jsonl."""


@dataclass(kw_only=True)
class SftJob:
    """One supervised fine-tuning."""

    base: Path
    """Checkpoint to start from."""
    path: Path
    """Folder that the result is written to."""
    cache: Path
    """Folder of checkpoints in progress."""
    sft: SftSettings
    student: StudentSettings
    runtime: RuntimeSettings

    def checkpoints(self, rows: list[TrainingRow]) -> Path:
        """Folder of the checkpoints of exactly this run."""
        return checkpoint_folder(
            self.cache, "sft", self.sft, self.student, self.runtime, rows, self.base
        )


def train_here(job: SftJob, rows: list[TrainingRow]) -> SftResult:
    """Tunes the job's checkpoint on `rows` and writes the result to its `path`.

    It trains in this process, which may be one of several that accelerate started.

    Raises:
        SettingsError: a setting needs what is not installed, or what the model lacks.
        TrainingError: a row does not fit max_length or has no target; training failed.
    """
    base, sft, folder = job.base, job.sft, job.checkpoints(rows)
    if not base.is_dir():
        raise TrainingError(f"{base}: no such checkpoint; `dvc repro base` writes it")
    check_context(base, sft)
    # Before the model is loaded: DeepSpeed reads the config to partition the weights as they load.
    config = _config(folder, sft, job.runtime)
    model, tokenizer = load(base, job.student, **loading_arguments(job.student, sft))
    packs = pack(rows, tokenizer, sft)
    trainer = _trainer(config, model, tokenizer, packs, sft, job.runtime.peak_tflops)
    trained = run_trainer(without_prints(trainer), folder)
    _save(trainer, tokenizer, base, job.path, job.student)
    return SftResult(trained, _metrics(rows, packs, trained, trainer, sft), packs.rows)


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


def loading_arguments(student: StudentSettings, sft: SftSettings) -> dict[str, Any]:
    """Returns the arguments of `from_pretrained` that the settings imply.

    Raises:
        SettingsError: bitsandbytes or kernels is not installed.
    """
    from longwriter.sft import attention

    attention.register()
    found: dict[str, Any] = {"attn_implementation": sft.attn_implementation or attention.NAME}
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


def _require(package: str, setting: str) -> None:
    if importlib.util.find_spec(package) is None:
        extra = {"bitsandbytes": "qlora"}.get(package, package)
        raise SettingsError(
            f"{setting}: needs the package {package}, which is not installed: "
            f"pip install -e '.[{extra}]'"
        )


def _config(folder: Path, sft: SftSettings, runtime: RuntimeSettings) -> Any:
    from trl import SFTConfig

    return SFTConfig(
        **trainer_arguments(sft, folder, runtime),
        activation_offloading=sft.activation_offloading,
        torch_compile=sft.torch_compile,
        ddp_find_unused_parameters=False,
        dataset_kwargs={"skip_prepare_dataset": True},  # it would cut, and packs would be lost
    )


def _trainer(
    config: Any,
    model: Any,
    tokenizer: Any,
    packs: Packs,
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
        train_dataset=fill(packs.dataset, batch, tokenizer.eos_token_id),
        processing_class=tokenizer,
        peft_config=adapter,
    )


def _save(trainer: Any, tokenizer: Any, base: Path, path: Path, student: StudentSettings) -> None:
    """Writes the tuned model, gathered from all processes; an adapter is merged into `base`."""
    from accelerate.utils import is_peft_model
    from peft import PeftModel

    adapted = is_peft_model(trainer.model)
    target = path / "adapter" if adapted else path
    trainer.save_model(str(target))
    if not trainer.is_world_process_zero():
        return
    if adapted:  # merged at full precision, whatever precision it was trained at
        model, _ = load(base, student)
        merged = PeftModel.from_pretrained(model, target).merge_and_unload()
        shutil.rmtree(target)
        save(merged, tokenizer, path)
    else:
        (path / "training_args.bin").unlink()  # a pickle that holds this machine's paths


def _metrics(
    rows: list[TrainingRow], packs: Packs, trained: TrainResult, trainer: Any, sft: SftSettings
) -> dict[str, Any]:
    epochs = sft.num_train_epochs
    return {
        "rows": len(rows),
        "skipped_rows": packs.skipped,
        "sequences": len(packs.dataset),
        "packing_efficiency": round(packs.tokens / (len(packs.dataset) * sft.max_length), 4),
        "tokens": packs.tokens,
        "target_tokens": packs.targets,
        "longest_row_tokens": packs.longest,
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(packs.tokens * epochs),
        "target_tokens_per_s": trained.rate(packs.targets * epochs),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }
