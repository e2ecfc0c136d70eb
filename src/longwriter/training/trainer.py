"""What SFT and DPO share: TRL arguments, checkpoints that survive a kill, and what a run reports."""

import hashlib
import json
import os
import resource
import shutil
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from longwriter.chat.servers import cores, digest
from longwriter.errors import TrainingError
from longwriter.records import Record
from longwriter.settings import Settings, Workspace
from longwriter.training.settings import TrainerSettings


@dataclass(frozen=True)
class Trained:
    """What a training run leaves besides its weights."""

    curve: list[dict[str, float]]
    """TRL's log, one entry every logging_steps: `step`, `loss`, `learning_rate`, …"""
    seconds: float
    """Wall time of this process's optimiser steps; steps before a resume are not in it."""
    share: float
    """Optimiser steps of this process, of all; 0 where a resumed run had none left."""
    train_loss: float
    """Mean of the logged losses."""
    checkpoints: Path
    """Folder of the run's checkpoints, to be removed when all that the run leaves is written."""
    peak_memory_mb: float
    """Most memory held, in MiB: on the GPU where there is one, else of the process."""

    def rate(self, tokens: float) -> float | None:
        """Tokens/s of this process, for a whole run of `tokens`; None where it made no step."""
        return round(tokens * self.share / self.seconds, 1) if self.share else None


def bf16_here() -> bool:
    """Whether this machine computes in bfloat16 natively: its GPU, else the processor's AVX-512."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported())


def arguments(settings: TrainerSettings, folder: Path, all_settings: Settings) -> dict[str, Any]:
    """Arguments for SFTConfig or DPOConfig: the settings as they are, and what a stage fixes."""
    import torch

    runtime = all_settings.runtime
    torch.set_num_threads(runtime.threads or cores())
    return {field.name: getattr(settings, field.name) for field in fields(TrainerSettings)} | {
        "output_dir": str(folder),
        "seed": runtime.seed,
        "data_seed": runtime.seed,
        "bf16": bf16_here(),
        "use_cpu": not torch.cuda.is_available(),
        "save_strategy": "steps",
        "save_total_limit": 2,
        "logging_first_step": True,  # so there is a curve, however few the steps
        "logging_nan_inf_filter": False,  # it would log a loss that is not a number as 0
        "report_to": ["mlflow"],
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def checkpoint_folder(
    work: Workspace, stage: str, settings: Any, all_settings: Settings, rows: list[Any], model: Path
) -> Path:
    """Folder for the checkpoints of this very run: its name is a hash of settings, rows and model."""
    shape = {
        "settings": {k: str(v) for k, v in asdict(settings).items() if k not in ("data", "pairs")},
        "seed": all_settings.runtime.seed,
        "dtype": all_settings.student.dtype.value,
        "rows": [row.model_dump() if isinstance(row, Record) else row for row in rows],
        "model": [digest(shard) for shard in sorted(model.glob("*.safetensors"))],
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    return work.cache / "checkpoints" / f"{stage}-{key}"


def run(trainer: Any, folder: Path) -> Trained:
    """Trains, going on from the last whole checkpoint in `folder` if there is one.

    Raises:
        TrainingError: out of memory, or the loss is not a number.
    """
    import torch

    start = _last_whole_checkpoint(folder)
    if start:
        print(f"going on from {start}", flush=True)
    try:
        result = trainer.train(resume_from_checkpoint=start and str(start))
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"out of GPU memory: {error}. Lower max_length or per_device_train_batch_size, or set "
            "activation_checkpointing=true; checkpoints are kept"
        ) from None
    curve = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = [entry["loss"] for entry in curve]
    if not all(loss == loss for loss in losses):
        raise TrainingError("the loss became NaN; lower learning_rate or max_grad_norm")
    first = int(start.name.removeprefix("checkpoint-")) if start else 0
    return Trained(
        curve=curve,
        seconds=result.metrics["train_runtime"],
        share=1 - first / trainer.state.global_step,
        train_loss=sum(losses) / len(losses),
        checkpoints=folder,
        peak_memory_mb=_peak_memory_mb(),
    )


def _last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end; what a kill left half written goes.

    transformers writes trainer_state.json last.
    """
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / "trainer_state.json").read_bytes())
            whole.append(checkpoint)
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)


def _peak_memory_mb() -> float:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if os.uname().sysname == "Darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def without_prints(trainer: Any) -> Any:
    """Takes away the lines that transformers prints at every log where no one watches."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer
