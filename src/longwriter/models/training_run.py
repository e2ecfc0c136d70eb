"""Shared by SFT and DPO: TRL's arguments, resuming from checkpoints, and what a run reports."""

import ctypes
import hashlib
import json
import os
import resource
import shutil
import sys
import warnings
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.files import digest
from longwriter.core.progress import progress
from longwriter.core.settings import RuntimeSettings, file_settings
from longwriter.core.workspace import cores
from longwriter.models.settings import StudentSettings, TrainerSettings

THROUGHPUT = ("tokens_per_s", "target_tokens_per_s", "packing_efficiency", "peak_memory_mb", "mfu")
"""Log keys that vary from run to run, so they go to MLflow but not into the loss curve."""

DECIDED = frozenset(
    [
        "packing",
        "packing_strategy",
        "padding_free",
        "eval_packing",
        "assistant_only_loss",
        "completion_only_loss",
        "chat_template_path",
        "eos_token",
        "pad_token",
        "model_init_kwargs",
        "label_smoothing_factor",
        "max_steps",
    ]
)
"""TRL arguments that the trainers would ignore: rows arrive packed and with targets, and the
trainers compute the loss themselves."""

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""mallopt parameters, with the values of <malloc.h>."""


@dataclass(frozen=True)
class TrainResult:
    """What a training run returns besides its weights."""

    curve: list[dict[str, float]]
    """TRL's log, one entry every logging_steps: `step`, `loss`, `learning_rate`, …, and `eval_loss`
    at steps with an evaluation."""
    seconds: float
    """Wall time of this process's optimiser steps, including evaluations but not the steps before a
    resume."""
    share: float
    """Share of the run's optimiser steps made by this process; 0 if a resumed run had none left."""
    train_loss: float
    """Mean of the logged losses."""
    checkpoints: Path
    """Folder of the run's checkpoints, which can go once the stage has written its outputs."""
    peak_memory_mb: float
    """Peak memory in MiB, of the GPU if there is one, else of the process."""

    def rate(self, tokens: float) -> float | None:
        """Returns this process's tokens/s from the run's `tokens`; None if it made no step."""
        return round(tokens * self.share / self.seconds, 1) if self.share else None


def bf16_here() -> bool:
    """Returns whether the GPU, or without one the CPU (by AVX-512), supports bfloat16 natively."""
    import torch

    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    # A private function, because torch has no public one: torch.backends.cpu.get_cpu_capability()
    # returns "AVX512" for CPUs with and without bfloat16 instructions.
    return bool(torch.cpu._is_avx512_bf16_supported())


def keeps_float32(runtime: RuntimeSettings) -> bool:
    """Returns whether the training backend keeps a float32 copy of bfloat16 weights.

    FSDP and DeepSpeed do; a single process and DDP don't.
    """
    kind = (runtime.accelerate or {}).get("distributed_type")
    return kind in ("FSDP", "DEEPSPEED")


def set_threads(runtime: RuntimeSettings) -> None:
    """Sets torch's threads to runtime.threads, divided among this machine's training processes."""
    import torch

    processes = int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    torch.set_num_threads(max(1, (runtime.threads or cores()) // processes))


def use_one_gpu(runtime: RuntimeSettings) -> None:
    """Limits this process to the first of several GPUs, unless a launcher assigns GPUs.

    TRL refuses to train on several GPUs in one process.
    """
    import torch

    if runtime.accelerate or torch.cuda.device_count() < 2:
        return
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
    os.environ["CUDA_VISIBLE_DEVICES"] = first = visible.partition(",")[0]
    print(
        f"training on GPU {first} of {torch.cuda.device_count()}; runtime=fsdp2 uses several",
        flush=True,
    )


def keep_freed_memory() -> None:
    """On Linux with glibc, keeps the memory of freed tensors in the process for the next step.

    By default malloc returns every block above 32 MiB to the system at once, and the system has to
    zero each page of the next one, which takes a third of a step on a CPU (docs/log.md). Source:
    mallopt(3).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, 2**28)):
            mallopt(option, value)


def trainer_config(
    kind: Any,
    name: str,
    settings: TrainerSettings,
    folder: Path,
    runtime: RuntimeSettings,
    **more: Any,
) -> Any:
    """Returns TRL's configuration: the settings, the fixed arguments and those of `settings.trl`.

    It also sets torch's threads, malloc's behaviour and the visible GPU, which must happen before
    training, and hides a warning that peft's own code causes.

    Args:
        kind: SFTConfig or DPOConfig.
        name: name of the settings group, for errors.
        folder: folder for checkpoints.
        more: further arguments of `kind`.

    Raises:
        SettingsError: `settings.trl` names an argument that TRL doesn't know, that has a setting of
            its own or that the trainers handle themselves; TRL rejects the values; or early
            stopping is set without load_best_model_at_end.
    """
    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)  # peft's
    fixed = _arguments(settings, folder, runtime) | more
    known = {field.name for field in fields(kind)}
    for argument in settings.trl:
        if argument not in known:
            raise SettingsError(f"{name}.trl.{argument}: {kind.__name__} has no such argument")
        if argument in fixed or argument in DECIDED:
            raise SettingsError(
                f"{name}.trl.{argument}: is set by the stage or has its own setting in "
                f"conf/{name}/; remove it"
            )
    if settings.early_stopping_patience and not settings.trl.get("load_best_model_at_end"):
        raise SettingsError(
            f"{name}.early_stopping_patience: needs evaluation during training and the best "
            f"checkpoint kept; set {name}.trl={{eval_strategy: steps, "
            f"eval_steps: {settings.save_steps}, "
            "load_best_model_at_end: true}"
        )
    try:
        return kind(**fixed, **settings.trl)
    except ValueError as error:
        raise SettingsError(f"{name}.trl: {error}") from None


def require_validation(name: str, settings: TrainerSettings, found: bool) -> None:
    """Checks that there are validation rows if training evaluates.

    Args:
        name: name of the settings group, for the error.
        found: whether there are any.

    Raises:
        SettingsError: there are none.
    """
    if settings.evaluates and not found:
        raise SettingsError(
            f"{name}.trl.eval_strategy: {settings.trl['eval_strategy']}, and nothing was set aside for "
            f"validation; name a file in {name}.validation, or set it to no"
        )


def _arguments(settings: TrainerSettings, folder: Path, runtime: RuntimeSettings) -> dict[str, Any]:
    import torch

    set_threads(runtime)
    keep_freed_memory()
    use_one_gpu(runtime)
    own = ("trl", "early_stopping_patience")
    names = [field.name for field in fields(TrainerSettings) if field.name not in own]
    return {name: getattr(settings, name) for name in names} | {
        "output_dir": str(folder),
        "data_seed": settings.seed,
        "bf16": bf16_here(),
        "use_cpu": not torch.cuda.is_available(),
        "save_strategy": "steps",
        "save_total_limit": 2,
        "per_device_eval_batch_size": 1,
        "logging_first_step": True,  # so there is a curve even with very few steps
        "logging_nan_inf_filter": False,  # would log NaN as 0
        "report_to": ["mlflow"],
        "ddp_find_unused_parameters": False,
        "disable_tqdm": not sys.stderr.isatty(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def checkpoint_folder(
    cache: Path,
    stage: str,
    settings: TrainerSettings,
    student: StudentSettings,
    runtime: RuntimeSettings,
    data: str,
    model: Path,
) -> Path:
    """Returns the folder for this run's checkpoints, named by a hash of settings, rows and model.

    Settings that name files are left out of the hash, because the rows themselves are in it.

    Args:
        data: a digest of the rows.
    """
    files = {found.key for found in file_settings(settings)}
    shape = {
        "settings": {k: str(v) for k, v in asdict(settings).items() if k not in files},
        "processes": runtime.accelerate,
        "dtype": student.dtype.value,
        "rows": data,
        "model": [digest(shard) for shard in sorted(model.glob("*.safetensors"))],
    }
    key = hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
    return cache / "checkpoints" / f"{stage}-{key}"


def save_weights(trainer: Any, path: Path) -> None:
    """Writes the trained weights, gathered from all processes, to the folder `path`."""
    if trainer.is_fsdp_enabled:  # its checkpoints are sharded
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(path))


def run_trainer(trainer: Any, folder: Path, patience: int | None) -> TrainResult:
    """Trains, resuming from the last complete checkpoint in `folder` if there is one.

    Args:
        patience: early_stopping_patience.

    Raises:
        TrainingError: memory ran out, the loss became NaN, or the checkpoint is damaged.
    """
    from transformers import EarlyStoppingCallback

    if patience:
        trainer.add_callback(EarlyStoppingCallback(patience))
    with trainer.accelerator.main_process_first():
        start = _last_whole_checkpoint(folder)
    if start and trainer.is_world_process_zero():
        print(f"resuming from {start}", flush=True)
    result = _train(trainer, start)
    history = trainer.state.log_history
    evaluated = {entry["step"]: entry["eval_loss"] for entry in history if "eval_loss" in entry}
    curve = [
        {key: value for key, value in entry.items() if key not in THROUGHPUT}
        | ({"eval_loss": evaluated[entry["step"]]} if entry["step"] in evaluated else {})
        for entry in history
        if "loss" in entry
    ]
    losses = [entry["loss"] for entry in curve]
    if not all(loss == loss for loss in losses):
        raise TrainingError("the loss became NaN; lower learning_rate or max_grad_norm")
    first = int(start.name.removeprefix("checkpoint-")) if start else 0
    return TrainResult(
        curve=curve,
        seconds=result.metrics["train_runtime"],
        share=1 - first / trainer.state.global_step,
        train_loss=sum(losses) / len(losses),
        checkpoints=folder,
        peak_memory_mb=peak_memory_mb(),
    )


def _train(trainer: Any, start: Path | None) -> Any:
    from transformers import TrainerCallback

    class Begun(TrainerCallback):
        """Records that training has begun, which means that the checkpoint could be read."""

        happened = False

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.happened = True

    class Steps(TrainerCallback):
        """Shows the progress if stderr is no terminal; there, transformers shows its own bar."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.bar = progress("steps", total=state.max_steps, done=state.global_step)

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.bar.update()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.bar.close()

    begun = Begun()
    trainer.add_callback(begun)
    if not sys.stderr.isatty() and trainer.is_world_process_zero():
        trainer.add_callback(Steps())
    try:
        return trainer.train(resume_from_checkpoint=start and str(start))
    except Exception as error:
        if _is_out_of_memory(error):
            raise TrainingError(
                f"out of memory: {error}. Lower max_length or per_device_train_batch_size, set "
                "activation_checkpointing=true, or train with sft.method=qlora or on more devices "
                "(runtime); checkpoints are kept"
            ) from None
        if start and not begun.happened:
            raise TrainingError(
                f"{start}: cannot be read as a checkpoint ({error}). Remove it (rm -r {start}); the "
                "next run resumes from the one before it"
            ) from None
        raise


def _is_out_of_memory(error: Exception) -> bool:
    """Returns whether the GPU or the host ran out of memory.

    On the host PyTorch raises a bare RuntimeError.
    """
    import torch

    host = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return host or isinstance(error, torch.OutOfMemoryError | MemoryError)


def _last_whole_checkpoint(folder: Path) -> Path | None:
    """Returns the newest complete checkpoint, and removes those that a killed run left incomplete.

    transformers writes trainer_state.json last, so a checkpoint that has it is complete.
    """
    whole = []
    for checkpoint in folder.glob("checkpoint-*"):
        try:
            json.loads((checkpoint / "trainer_state.json").read_bytes())
            whole.append(checkpoint)
        except (OSError, ValueError):
            shutil.rmtree(checkpoint)
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)


def peak_memory_mb() -> float:
    """Returns peak memory so far in MiB, of the GPU if there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**20
    unit = 1 if os.uname().sysname == "Darwin" else 1024  # ru_maxrss: bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def without_prints(trainer: Any) -> Any:
    """Returns `trainer` without the callback that prints log entries if there is no terminal."""
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer
