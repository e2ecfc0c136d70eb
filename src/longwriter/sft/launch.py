"""Runs SFT in this process, or in several that `accelerate launch` starts (`models.launch`)."""

import sys
from collections.abc import Mapping
from pathlib import Path

from longwriter.models.checkpoint import finish
from longwriter.models.launch import in_process, read_job, run_processes
from longwriter.sft.settings import Method
from longwriter.sft.trainer import SftJob, SftResult, train_here


def train(job: SftJob, tracking: Mapping[str, str]) -> SftResult:
    """Fine-tunes the job's checkpoint on its packs and writes the result to its `path`.

    Training runs in the processes that runtime.accelerate describes, or in this one if it is null.

    Args:
        tracking: environment variables that tell the processes which MLflow run to log to.

    Raises:
        SettingsError: a setting needs a package that is not installed, or a feature that the model
            lacks.
        TrainingError: training failed.
    """
    if job.runtime.accelerate:
        tuned = SftResult(*run_processes(__name__, job, tracking))
    else:
        tuned = train_here(job)
    adapter = job.sft.method is not Method.full
    finish(job.base, job.path, job.student, adapter=adapter, merge=True)
    return tuned


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    in_process(FOLDER, lambda: train_here(read_job(FOLDER, SftJob)))
