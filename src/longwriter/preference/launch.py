"""Runs DPO in this process, or in several that `accelerate launch` starts (`models.launch`)."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longwriter.core.rows import Pair
from longwriter.models.checkpoint import finish
from longwriter.models.launch import in_process, read_job, run_processes
from longwriter.models.training_run import TrainResult
from longwriter.preference.dpo import DpoJob, DpoResult, train_here, write_dpo_card
from longwriter.preference.validation import summarise_validation


def train(
    job: DpoJob, validation: Sequence[Pair], tracking: Mapping[str, str]
) -> tuple[TrainResult, dict[str, Any]]:
    """Aligns the job's checkpoint on its pairs and writes the result, with a card, to its `path`.

    Training runs in the processes that runtime.accelerate describes, or in this one if it is null.

    Args:
        validation: the pairs to measure after training, in the same order as in the job.
        tracking: environment variables that tell the processes which MLflow run to log to.

    Returns:
        What the run reports, and the content of metrics/dpo.json.

    Raises:
        TrainingError: training failed.
    """
    if job.runtime.accelerate:
        result = DpoResult(*run_processes(__name__, job, tracking))
    else:
        result = train_here(job)
    finish(job.start, job.path, job.student, adapter=job.dpo.lora is not None, merge=job.dpo.merge)
    metrics = result.metrics
    if validation:
        metrics["validation"] = summarise_validation(validation, result.rewards)
    write_dpo_card(job, metrics)
    return result.trained, metrics


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    in_process(FOLDER, lambda: train_here(read_job(FOLDER, DpoJob)))
