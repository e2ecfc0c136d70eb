"""SFT in this process, or in several: `accelerate launch` as a process of this stage, and what each of
its processes does.

The stage reads, tracks and writes; the processes only train. They are told what by a folder, which
on several machines must lie on a disk that all of them see (LONGWRITER_CACHE).
"""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from longwriter.core.errors import LongwriterError, TrainingError
from longwriter.core.files import write_json, write_jsonl, write_text
from longwriter.core.process import own_session
from longwriter.core.rows import PackedRow, TrainingRow
from longwriter.core.sources import read_jsonl
from longwriter.models.training_run import TrainResult
from longwriter.sft.trainer import SftJob, SftResult, train_here

STDOUT = 1


def train(job: SftJob, rows: list[TrainingRow], tracking: Mapping[str, str]) -> SftResult:
    """Tunes the job's checkpoint on `rows` and writes the result to its `path`.

    In the processes that runtime.accelerate asks for, else in this one.

    Args:
        tracking: environment of the processes, in which they find the MLflow run to log into.

    Raises:
        SettingsError: a setting needs what is not installed, or what the model lacks.
        TrainingError: a row does not fit max_length or has no target; training failed.
    """
    if job.runtime.accelerate:
        return train_in_processes(job, rows, tracking)
    return train_here(job, rows)


def train_in_processes(
    job: SftJob, rows: list[TrainingRow], tracking: Mapping[str, str]
) -> SftResult:
    """As `train`, in the processes that runtime.accelerate describes.

    They end with this process, however it ends.
    """
    checkpoints = job.checkpoints(rows)
    folder = checkpoints.with_name(f"{checkpoints.name}.job")
    shutil.rmtree(folder, ignore_errors=True)
    write_jsonl(folder / "rows.jsonl", rows)
    write_text(folder / "job.yaml", OmegaConf.to_yaml(OmegaConf.structured(job)))
    write_text(folder / "accelerate.yaml", OmegaConf.to_yaml(job.runtime.accelerate))
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(folder / "accelerate.yaml")]
    command += ["--module", "longwriter.sft.launch", str(folder)]
    with own_session(command, STDOUT, {**os.environ, **tracking}) as processes:
        status = processes.wait()
    if (folder / "error.txt").exists():
        raise TrainingError((folder / "error.txt").read_text(encoding="utf-8"))
    if status or not (folder / "result.json").exists():
        raise TrainingError(
            f"`accelerate launch` ended with status {status}: the reason stands above; checkpoints "
            "are kept, the same command goes on"
        )
    result = json.loads((folder / "result.json").read_bytes())
    packs = read_jsonl(folder / "packs.jsonl", PackedRow)
    shutil.rmtree(folder)
    trained = TrainResult(**result["trained"] | {"checkpoints": checkpoints})
    return SftResult(trained, result["metrics"], packs)


def work_off(folder: Path) -> None:
    """What each of the processes does: the training that `folder` describes. The first one leaves the
    result there, or the reason why there is none."""
    job = OmegaConf.to_object(
        OmegaConf.merge(OmegaConf.structured(SftJob), OmegaConf.load(folder / "job.yaml"))
    )
    assert isinstance(job, SftJob)
    rows = read_jsonl(folder / "rows.jsonl", TrainingRow)
    first = os.environ.get("RANK", "0") == "0"
    try:
        tuned = train_here(job, rows)
    except LongwriterError as error:
        if first:
            write_text(folder / "error.txt", str(error))
        raise SystemExit(1) from None
    if first:
        write_jsonl(folder / "packs.jsonl", tuned.packs)
        trained = asdict(tuned.trained) | {"checkpoints": str(tuned.trained.checkpoints)}
        write_json(folder / "result.json", {"trained": trained, "metrics": tuned.metrics})


if __name__ == "__main__":
    work_off(Path(sys.argv[1]))
