"""Runs SFT in this process, or in several that `accelerate launch` starts.

The stage reads, tracks and writes; the processes only train. They communicate through a folder, which
for several machines must be on a disk that all of them see (LONGWRITER_CACHE):

    job.yaml          `SftJob`, written by the stage
    rows.jsonl        training rows, written by the stage
    accelerate.yaml   runtime.accelerate as the file that `accelerate launch` reads
    result.json       what `train_here` returned, written by the first process
    packs.jsonl       its `packs`
    error.txt         or the message of the error that ended it
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
from longwriter.core.workspace import cores
from longwriter.models.training_run import TrainResult
from longwriter.sft.trainer import SftJob, SftResult, train_here

STDOUT = 1
JOB, ROWS, ACCELERATE = "job.yaml", "rows.jsonl", "accelerate.yaml"
RESULT, PACKS, ERROR = "result.json", "packs.jsonl", "error.txt"


def train(job: SftJob, rows: list[TrainingRow], tracking: Mapping[str, str]) -> SftResult:
    """Tunes the job's checkpoint on `rows` and writes the result to its `path`.

    It trains in the processes that runtime.accelerate describes; in this one where that is null.

    Args:
        tracking: environment variables for the processes that name the MLflow run to log into.

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

    The processes end with this one, however it ends.

    Raises:
        TrainingError: any error of theirs, with its message.
    """
    checkpoints = job.checkpoints(rows)
    folder = checkpoints.with_name(f"{checkpoints.name}.job")
    shutil.rmtree(folder, ignore_errors=True)
    write_job(folder, job, rows)
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(folder / ACCELERATE)]
    command += ["--module", "longwriter.sft.launch", str(folder)]
    # All of them, which the processes share; unset, `accelerate launch` gives each process one.
    threads = {"OMP_NUM_THREADS": str(job.runtime.threads or cores())}
    with own_session(command, STDOUT, {**os.environ, **threads, **tracking}) as processes:
        status = processes.wait()
    if (folder / ERROR).exists():
        raise TrainingError((folder / ERROR).read_text(encoding="utf-8"))
    if status or not (folder / RESULT).exists():
        raise TrainingError(
            f"`accelerate launch` ended with status {status}; the reason is printed above. "
            "Checkpoints are kept: the same command resumes from the last one"
        )
    result = json.loads((folder / RESULT).read_bytes())
    packs = read_jsonl(folder / PACKS, PackedRow)
    shutil.rmtree(folder)
    trained = TrainResult(**result["trained"] | {"checkpoints": checkpoints})
    return SftResult(trained, result["metrics"], packs)


def write_job(folder: Path, job: SftJob, rows: list[TrainingRow]) -> None:
    """Writes to `folder` what its processes read."""
    write_jsonl(folder / ROWS, rows)
    write_text(folder / JOB, OmegaConf.to_yaml(OmegaConf.structured(job)))
    write_text(folder / ACCELERATE, OmegaConf.to_yaml(job.runtime.accelerate or {}))


def read_job(folder: Path) -> tuple[SftJob, list[TrainingRow]]:
    """Returns the job and the rows that `write_job` wrote to `folder`, equal to what it was given."""
    typed = OmegaConf.merge(OmegaConf.structured(SftJob), OmegaConf.load(folder / JOB))
    job = OmegaConf.to_object(typed)
    assert isinstance(job, SftJob)
    return job, read_jsonl(folder / ROWS, TrainingRow)


def work_off(folder: Path) -> None:
    """Trains as `folder` says: the whole of each process.

    The first process writes the result there, or the message of the error that ended it.
    """
    job, rows = read_job(folder)
    first = os.environ.get("RANK", "0") == "0"
    try:
        tuned = train_here(job, rows)
    except LongwriterError as error:
        if first:
            write_text(folder / ERROR, str(error))
        raise SystemExit(1) from None
    if first:
        write_jsonl(folder / PACKS, tuned.packs)
        trained = asdict(tuned.trained) | {"checkpoints": str(tuned.trained.checkpoints)}
        write_json(folder / RESULT, {"trained": trained, "metrics": tuned.metrics})


if __name__ == "__main__":
    work_off(Path(sys.argv[1]))
