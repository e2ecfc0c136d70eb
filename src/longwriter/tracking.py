"""MLflow: one run a stage, and one comparable run for the whole pipeline.

Both kinds lie in the experiment `longwriter`; the tag `longwriter.kind` tells them apart. DVC owns
the bytes: checkpoints and data sets are linked by path and md5, never copied into MLflow.

MLflow takes seconds to import, so it is imported only where it is used.
"""

import hashlib
import json
import math
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
from filelock import FileLock

from longwriter.settings import Settings, Workspace

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

EXPERIMENT = "longwriter"
LONGEST_PARAMETER = 250
"""Characters of a parameter's value that are kept."""

for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL": "1",  # seconds: many a stage is short
    "MLFLOW_MAX_LOG_PARAMS": "0",  # the Trainer's own callback adds metrics, no parameters
}.items():
    os.environ.setdefault(_name, _value)


class GitState(NamedTuple):
    """The code that ran. `commit` is empty outside a git checkout and before its first commit."""

    commit: str
    dirty: bool
    """Code or settings differ from `commit`; outputs of the pipeline do not count."""

    def __str__(self) -> str:
        return f"{self.commit or 'no commit'}{' + uncommitted changes' if self.dirty else ''}"


def tracking_uri(root: Path) -> str:
    """Returns MLFLOW_TRACKING_URI where set, else the sqlite database of the checkout `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{_folder(root)}/mlflow.db"


@contextmanager
def stage_run(
    name: str, settings: Settings, work: Workspace, groups: Sequence[str]
) -> Iterator[str]:
    """Opens the MLflow run of a stage and yields its id.

    It is this thread's active run, so TRL's `report_to=["mlflow"]` logs into it. It ends as
    FINISHED, KILLED on Ctrl-C or SIGTERM, and FAILED on any other error.

    Args:
        name: the stage, e.g. `sft`.
        settings: all settings.
        work: the stage's workspace.
        groups: names of the groups of settings to log, as parameters like `sft.learning_rate`.
    """
    import mlflow

    experiment = _connect(work.root)
    _end_killed_runs(experiment)
    run = mlflow.start_run(
        experiment_id=experiment,
        run_name=name,
        tags={
            "longwriter.kind": "stage",
            "longwriter.stage": name,
            "longwriter.host": socket.gethostname(),
            "longwriter.pid": str(os.getpid()),
            **_provenance(work.root),
        },
        log_system_metrics=settings.runtime.system_metrics,
    )
    status = "FAILED"
    try:
        mlflow.log_params(parameters(settings, groups))
        yield run.info.run_id
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        mlflow.flush_async_logging()
        mlflow.end_run(status)


def _end_killed_runs(experiment: str) -> None:
    """Marks stage runs of this machine whose process is gone: `kill -9` left them as running."""
    from mlflow import MlflowClient

    client = MlflowClient()
    running = f"attributes.status = 'RUNNING' AND tags.`longwriter.host` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], running):
        if not psutil.pid_exists(int(run.data.tags["longwriter.pid"])):
            client.set_terminated(run.info.run_id, "KILLED")


def log_metrics(metrics: Mapping[str, object]) -> None:
    """Logs the numbers of `metrics`, nested as they may be, to the run that `stage_run` opened."""
    import mlflow

    if mlflow.active_run() is None:
        raise RuntimeError("log_metrics belongs inside stage_run, in the thread that opened it")
    mlflow.log_metrics(flatten(metrics))


def log_pipeline_run(
    root: Path,
    params: Mapping[str, object],
    metrics: Mapping[str, object],
    figures: Sequence[Path],
    pointers: Mapping[str, str],
) -> str:
    """Writes the run that stands for the pipeline as a whole, or updates the one it wrote before.

    DVC skips stages that are up to date, and a skipped stage logs nothing; this run is written from
    the stages' outputs, so that every pipeline has one to compare. Its identity is a hash of
    `params` and `metrics`: reporting the same results again adds no run.

    Args:
        root: the checkout.
        params: parameters worth comparing.
        metrics: numbers, nested as they may be.
        figures: files to keep as artifacts.
        pointers: path → md5 in DVC. Those below data/ and models/ are linked as data sets and
            external models, all become tags `dvc.<path>`.

    Returns:
        The run's id.
    """
    from mlflow import MlflowClient

    experiment = _connect(root)
    client = MlflowClient()
    numbers = flatten(metrics)
    identity = json.dumps([params, numbers], sort_keys=True, default=str)
    with _lock(root):
        run = _pipeline_run(client, experiment, hashlib.sha256(identity.encode()).hexdigest()[:16])
    tags = _provenance(root) | {f"dvc.{_valid(path)}": md5 for path, md5 in pointers.items()}
    _log_batch(client, run, params, numbers, tags)
    for path in figures:
        client.log_artifact(run.info.run_id, str(path))
    _link_datasets(client, run.info.run_id, pointers)
    _link_models(client, run, pointers)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def stage_seconds(root: Path) -> dict[str, float]:
    """Returns stage → seconds of its last run that ended well. Calls and steps that were kept from
    before took none of them."""
    from mlflow import MlflowClient

    experiment = _connect(root)
    finished = "tags.`longwriter.kind` = 'stage' AND attributes.status = 'FINISHED'"
    runs = MlflowClient().search_runs([experiment], finished, order_by=["start_time DESC"])
    return {
        run.data.tags["longwriter.stage"]: (run.info.end_time - run.info.start_time) / 1000
        for run in reversed(runs)
    }


def log_table(root: Path, run_id: str, path: Path) -> None:
    """Keeps the table in `path` (JSON of `columns` and `data`) with a run, where MLflow's evaluation
    view finds it. It takes the place of an earlier one of the same name."""
    from mlflow import MlflowClient

    _connect(root)
    client = MlflowClient()
    client.log_artifact(run_id, str(path))
    client.set_tag(
        run_id, "mlflow.loggedArtifacts", json.dumps([{"path": path.name, "type": "table"}])
    )


def parameters(settings: Settings, groups: Sequence[str]) -> dict[str, str]:
    """Returns the settings of `groups` as full key → short text, those that are null left out."""
    flat: dict[str, str] = {}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        elif value is not None:
            items = value if isinstance(value, list) else [value]
            texts = [str(item.value if isinstance(item, Enum) else item) for item in items]
            flat[prefix] = ", ".join(texts)[:LONGEST_PARAMETER]

    for group in groups:
        add(group, asdict(getattr(settings, group)))
    return flat


def flatten(metrics: Mapping[str, object]) -> dict[str, float]:
    """Returns every finite number in `metrics` under a name that MLflow takes.

    Nested keys are joined by `/`, which groups charts; a bin `[0,100)` becomes `0-100`, `[400,∞)`
    becomes `400-up`. Text, lists, booleans and null are left out.
    """
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{_valid(key)}/{inner}": n for inner, n in flatten(value).items()}
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        elif math.isfinite(value):
            flat[_valid(key)] = float(value)
    return flat


def git_state(root: Path) -> GitState:
    """Returns commit of the checkout `root` and whether its code or settings differ from it."""
    code = ["src", "stages", "conf", "dvc.yaml", "pyproject.toml", "requirements.lock"]
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return GitState(commit, bool(commit and _git(root, "status", "--porcelain", "--", *code)))


def _git(root: Path, *arguments: str) -> str:
    """Returns what git prints; empty text where there is no git, no checkout or no commit."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "--no-optional-locks", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""


def _folder(root: Path) -> Path:
    """Where MLflow's files lie: under `dvc exp run --temp` in the parent repository."""
    return Path(os.environ.get("DVC_ROOT", root)).absolute() / "mlruns"


def _lock(root: Path) -> FileLock:
    folder = _folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / ".lock")


def _connect(root: Path) -> str:
    """Points MLflow at the database, created or migrated where needed; returns the experiment's id.

    Two stages may come here at once, so one process at a time migrates and creates.
    """
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = tracking_uri(root)
    local = uri.startswith("sqlite:")
    given = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    if not given:  # MLflow sets it; a later call with another root must not find it
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    with _lock(root):
        if local:
            _migrate(uri)
        client = mlflow.MlflowClient()
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            return experiment.experiment_id
        artifacts = (_folder(root) / "artifacts").as_uri() if local else None
        return client.create_experiment(EXPERIMENT, artifact_location=artifacts)


def _migrate(uri: str) -> None:
    """Does what `mlflow db upgrade` does: 5 s on a new database, 0.04 s on a current one."""
    from mlflow.db import upgrade

    upgrade.callback(uri)  # type: ignore[misc]


def _provenance(root: Path) -> dict[str, str]:
    git = git_state(root)
    tags = {"longwriter.git_commit": git.commit, "longwriter.git_dirty": str(git.dirty).lower()}
    variables = {"DVC_STAGE": "longwriter.dvc_stage", "DVC_EXP_NAME": "longwriter.dvc_experiment"}
    return tags | {tag: os.environ[name] for name, tag in variables.items() if name in os.environ}


def _pipeline_run(client: "MlflowClient", experiment: str, identity: str) -> "Run":
    found = client.search_runs([experiment], f"tags.`longwriter.pipeline_id` = '{identity}'")
    if found:
        return found[0]
    return client.create_run(
        experiment,
        run_name=os.environ.get("DVC_EXP_NAME", "pipeline"),
        tags={"longwriter.kind": "pipeline", "longwriter.pipeline_id": identity},
    )


def _log_batch(
    client: "MlflowClient",
    run: "Run",
    params: Mapping[str, object],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
) -> None:
    """Logs all at the run's start time: a point that is there already is not added again."""
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run.info.run_id,
        metrics=[Metric(key, value, run.info.start_time, 0) for key, value in metrics.items()],
        params=[Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in params.items()],
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


def _link_models(client: "MlflowClient", run: "Run", pointers: Mapping[str, str]) -> None:
    import mlflow

    experiment, run_id = run.info.experiment_id, run.info.run_id
    found = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    known = {model.name: model.model_id for model in found}
    for path, md5 in pointers.items():
        if not path.startswith("models/"):
            continue
        name = re.sub(r"[^\w-]", "-", path.removeprefix("models/"))
        tags = {"dvc.path": path, "dvc.md5": md5}
        if name in known:
            client.set_logged_model_tags(known[name], tags)
        else:
            mlflow.create_external_model(
                name=name, source_run_id=run_id, tags=tags, experiment_id=experiment
            )


def _valid(name: str) -> str:
    """Returns `name` with what MLflow refuses in names replaced."""
    name = re.sub(r"\[(\d+),\s*∞\)", r"\1-up", name)
    name = re.sub(r"\[(\d+),\s*(\d+)[)\]]", r"\1-\2", name)
    return re.sub(r"[^\w./ -]", "_", name) or "_"
