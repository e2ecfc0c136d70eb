"""One comparable MLflow run for the whole pipeline."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from longwriter.core.settings import LONGEST_VALUE
from longwriter.tracking.logged_models import Scores, log_models
from longwriter.tracking.provenance import SWEEP, owner, provenance, sweep_overrides
from longwriter.tracking.server import SENT, send_finished
from longwriter.tracking.store import connect, lock
from longwriter.tracking.values import flatten, valid

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPARED = """
teacher.model student.checkpoint judge.model
agentwrite.limit agentwrite.step_words
filter.min_words filter.min_length_score filter.max_repetition filter.max_copied
sft.learning_rate sft.num_train_epochs sft.max_length sft.packing
pairs.samples pairs.temperature
dpo.learning_rate dpo.num_train_epochs dpo.beta dpo.loss_type
bench.path runtime.seed sft.seed dpo.seed
"""
"""Settings logged to the pipeline's run; few, to keep MLflow's compare view readable."""


SETTINGS_FILE = "settings.json"
"""Artifact of a pipeline run: all settings, and the digests of their input files."""


def compared_settings(flat: Mapping[str, str]) -> dict[str, str]:
    """Returns the settings worth comparing between pipelines.

    Args:
        flat: full key → value, as returned by `flatten_settings`.
    """
    return {key: flat[key] for key in COMPARED.split() if key in flat}


def log_pipeline_run(
    root: Path,
    params: Mapping[str, object],
    metrics: Mapping[str, object],
    figures: Sequence[Path],
    pointers: Mapping[str, str],
    scores: Mapping[str, Scores] | None = None,
    *,
    everything: Mapping[str, object] | None = None,
    description: str = "",
    settings: Mapping[str, str] | None = None,
) -> str:
    """Writes the MLflow run of the whole pipeline, or updates an existing one.

    DVC skips stages that are up to date, and a skipped stage logs nothing. This run is written from
    the stages' outputs, so every pipeline has one that can be compared. It is identified by a hash
    of `params`, all numbers and the sweep's id, if any: reporting the same results again adds no
    run.

    Args:
        root: the checkout.
        params: parameters worth comparing (see `compared_settings`).
        metrics: numbers to compare, nested to any depth.
        figures: files to keep as artifacts.
        pointers: path → md5 in DVC. Those below data/ and models/ are linked as data sets and
            external models; all become tags `dvc.<path>`.
        scores: model, such as `sft` → the scores of its LoggedModel (see `model_scores`).
        everything: all numbers, saved as an artifact; None if `metrics` has them all.
        description: Markdown that MLflow shows with the run.
        settings: all settings and digests of input files, saved as an artifact.

    Returns:
        The run's id.
    """
    from mlflow import MlflowClient

    experiment = connect(root)
    client = MlflowClient()
    numbers = flatten(metrics)
    params = sweep_overrides() | dict(params)
    sweep = os.environ.get(SWEEP, "")
    every = everything or metrics
    identity = json.dumps(
        [params, flatten(every), *filter(None, [sweep])], sort_keys=True, default=str
    )
    with lock(root):
        run = _pipeline_run(client, experiment, hashlib.sha256(identity.encode()).hexdigest()[:16])
    origin = provenance(root)
    tags = origin | {f"dvc.{valid(path)}": md5 for path, md5 in pointers.items()}
    if description:
        tags["mlflow.note.content"] = description
    client.log_dict(run.info.run_id, dict(every), "metrics.json")
    if settings:
        client.log_dict(run.info.run_id, dict(settings), SETTINGS_FILE)
    _log_batch(client, run, params, numbers, tags)
    for path in figures:
        client.log_artifact(run.info.run_id, str(path))
    _link_datasets(client, run.info.run_id, pointers)
    log_models(client, run, pointers, scores or {}, origin)
    client.set_terminated(run.info.run_id)
    send_finished(root)
    return str(run.info.run_id)


def log_report(root: Path, run_id: str, table: Path, pages: Sequence[Path] = ()) -> None:
    """Logs `pages` as artifacts of a run, and `table` where MLflow's evaluation view finds it.

    `table` is a JSON file of `columns` and `data`. Earlier artifacts of the same names are
    replaced.
    """
    from mlflow import MlflowClient

    connect(root)
    client = MlflowClient()
    for path in (table, *pages):
        client.log_artifact(run_id, str(path))
    tables = json.dumps([{"path": table.name, "type": "table"}])
    client.set_tag(run_id, "mlflow.loggedArtifacts", tables)
    _send_again(client, client.get_run(run_id))
    send_finished(root)


def adopt(root: Path, run_id: str, stages: Sequence[str]) -> None:
    """Makes stage runs children of a pipeline's run; a run that has a parent keeps it."""
    from mlflow import MlflowClient

    connect(root)
    client = MlflowClient()
    for stage in stages:
        if "mlflow.parentRunId" not in client.get_run(stage).data.tags:
            client.set_tag(stage, "mlflow.parentRunId", run_id)


def run_address(root: Path, run_id: str) -> str:
    """Returns the URL at which `make ui` shows a run."""
    return f"http://127.0.0.1:5000/#/experiments/{connect(root)}/runs/{run_id}"


def _pipeline_run(client: "MlflowClient", experiment: str, identity: str) -> "Run":
    found = client.search_runs([experiment], f"tags.`longwriter.pipeline_id` = '{identity}'")
    if found:
        _send_again(client, found[0])
        return found[0]
    now = datetime.now().astimezone()
    return client.create_run(
        experiment,
        run_name=os.environ.get("DVC_EXP_NAME", f"pipeline {now:%m-%d %H:%M}"),
        tags={"longwriter.kind": "pipeline", "longwriter.pipeline_id": identity, **owner()},
    )


def _send_again(client: "MlflowClient", run: "Run") -> None:
    """Makes the next `send_finished` update a server's copy of the run."""
    if SENT in run.data.tags:
        client.delete_tag(run.info.run_id, SENT)


def _log_batch(
    client: "MlflowClient",
    run: "Run",
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    """Logs everything at the run's start time, so that logging twice adds no second points."""
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, run.info.start_time, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)[:LONGEST_VALUE]) for key, value in params.items()],
        tags=[RunTag(key, value) for key, value in tags.items()],
    )


def _link_datasets(client: "MlflowClient", run_id: str, pointers: Mapping[str, str]) -> None:
    from mlflow.entities import Dataset, DatasetInput

    datasets = [
        Dataset(name=path, digest=md5, source_type="local", source=json.dumps({"uri": path}))
        for path, md5 in pointers.items()
        if path.startswith("data/")
    ]
    client.log_inputs(run_id, datasets=[DatasetInput(dataset, tags=[]) for dataset in datasets])
