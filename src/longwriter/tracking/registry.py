"""Scores of the pipeline's models in MLflow, and the registered model, whose champion is the best so far.

DVC keeps the weights. A LoggedModel is a pointer to them (tags `dvc.path` and `dvc.md5`) with the scores; a
version of the registered model points to a LoggedModel.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from longwriter.core.errors import DataError
from longwriter.core.files import write_json
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import Interval, paired
from longwriter.tracking.store import connect
from longwriter.tracking.values import flatten

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

REGISTERED, CHAMPION = "longwriter", "champion"
"""Name of the registered model; alias of its best version."""

_SCORES = "scores"
"""Folder of a run's artifacts: NAME.json, S_l by prompt."""


class ModelScores(NamedTuple):
    """What a benchmark says of a model."""

    metrics: Mapping[str, float]
    """Such as S_l, for MLflow's list of models."""
    by_prompt: Mapping[str, float]
    """S_l of each prompt; of several samples their mean."""


def log_scores(root: Path, run_id: str, benchmark: str, scores: Mapping[str, ModelScores]) -> None:
    """Links each model's scores to its LoggedModel of the pipeline's run, and keeps them by prompt, by which
    models of other runs can be compared with it. The same scores again add nothing.

    Args:
        benchmark: its name.
        scores: model → scores, in the order of training, which is the step of the run's metrics.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Dataset, DatasetInput, Metric

    connect(root)
    client = MlflowClient()
    run = client.get_run(run_id)
    found = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    models = {model.name: model for model in found}
    for step, (name, score) in enumerate(scores.items()):
        digest = _digest(score.by_prompt)
        data = Dataset(benchmark, digest, "local", json.dumps({"uri": benchmark}))
        client.log_inputs(run_id, datasets=[DatasetInput(data, tags=[])])
        with TemporaryDirectory() as folder:
            file = Path(folder) / f"{name}.json"
            write_json(file, dict(score.by_prompt))
            client.log_artifact(run_id, str(file), _SCORES)
        if name in models:  # a stage that was skipped may have no checkpoint here
            at = run.info.start_time  # so that a point that exists is not added again
            ids = models[name].model_id, benchmark, digest
            metrics = flatten(score.metrics).items()
            client.log_batch(
                run_id, metrics=[Metric(key, value, at, step, *ids) for key, value in metrics]
            )


def _digest(by_prompt: Mapping[str, float]) -> str:
    """Of a benchmark's prompts."""
    return hashlib.sha256(json.dumps(sorted(by_prompt)).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Promotion:
    """What became of a model that wants to be champion."""

    version: str
    """Of the registered model; the present champion's where `new` is False."""
    new: bool
    difference: Interval | None
    """S_l minus the champion's, paired by prompt; None: there was no champion."""
    prompts: int
    against: str
    """The version that it was compared with; empty: none."""


def promote(
    root: Path, name: str, md5: str, statistics: StatisticsSettings, anyway: bool
) -> Promotion:
    """Makes the model with these weights the champion, where it is better than the present one.

    Args:
        name: of the model in the pipeline.
        md5: of its weights, in DVC.
        anyway: also where it is not shown to be better, which its version says.

    Raises:
        DataError: the weights have no scores in MLflow, or other prompts than the champion's; the interval
            of the difference is not above 0.
    """
    from mlflow import MlflowClient

    experiment = connect(root)
    client = MlflowClient()
    model = _logged(client, experiment, name, md5)
    champion = _champion(client)
    tags = {"dvc.md5": md5, "dvc.path": f"models/{name}"}
    difference, prompts, against = None, 0, ""
    if champion is not None:
        against = str(champion.version)
        if champion.tags.get("dvc.md5") == md5:
            return Promotion(against, False, None, 0, "")
        difference, prompts = _difference(client, champion, model, statistics)
        low, high = difference.low, difference.high
        said = f"{difference.mean:+.1f} [{low:+.1f}, {high:+.1f}] over {prompts} prompts"
        if not low > 0 and not anyway:
            raise DataError(
                f"{name}: S_l minus that of version {against}, the champion: {said}. That does not show it "
                "to be better; more prompts or samples would narrow the interval, --anyway promotes it "
                "all the same"
            )
        tags |= {"compared_with": against, "S_l_difference": said}
        tags |= {"anyway": "true"} if not low > 0 else {}
    if champion is None and not _registered(client):
        client.create_registered_model(
            REGISTERED, description="Models that write long; the alias champion is the best so far."
        )
    version = client.create_model_version(
        REGISTERED, f"models:/{model.model_id}", model.source_run_id, tags, model_id=model.model_id
    )
    client.set_registered_model_alias(REGISTERED, CHAMPION, version.version)
    return Promotion(str(version.version), True, difference, prompts, against)


def _logged(client: "MlflowClient", experiment: str, name: str, md5: str) -> "LoggedModel":
    """The newest LoggedModel of these weights."""
    found = client.search_logged_models(
        [experiment],
        f"name = '{name}' AND tags.`dvc.md5` = '{md5}'",
        order_by=[{"field_name": "creation_timestamp", "ascending": False}],
    )
    for model in found:
        if _artifact(client, str(model.source_run_id), name) is not None:
            return model
    raise DataError(
        f"models/{name}: MLflow holds no scores of these weights; `dvc repro` scores and reports them"
    )


def _champion(client: "MlflowClient") -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(REGISTERED, CHAMPION)
    except MlflowException:
        return None


def _registered(client: "MlflowClient") -> bool:
    return bool(client.search_registered_models(f"name = '{REGISTERED}'"))


def _difference(
    client: "MlflowClient",
    champion: "ModelVersion",
    model: "LoggedModel",
    statistics: StatisticsSettings,
) -> tuple[Interval, int]:
    """S_l of the model minus the champion's, and the number of prompts."""
    name = champion.tags["dvc.path"].removeprefix("models/")
    before = _artifact(client, str(champion.run_id), name)
    after = _artifact(client, str(model.source_run_id), model.name)
    assert after is not None
    if before is None or sorted(before) != sorted(after):
        shared = len(set(before or {}) & set(after))
        raise DataError(
            f"{model.name}: was asked {len(after)} prompts, version {champion.version}, the champion, "
            f"{len(before or {})}, and {shared} are the same; score both on one benchmark (`bench`)"
        )
    prompts = sorted(after)
    found = paired(
        [before[prompt] for prompt in prompts], [after[prompt] for prompt in prompts], statistics
    )
    if found is None:
        raise DataError(f"{model.name}: {len(prompts)} prompts are too few for an interval")
    return found, len(prompts)


def _artifact(client: "MlflowClient", run_id: str, name: str) -> dict[str, float] | None:
    """S_l by prompt of a model of a run; None where the run holds none."""
    from mlflow.exceptions import MlflowException

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with TemporaryDirectory() as folder:
        try:
            path = client.download_artifacts(run_id, f"{_SCORES}/{name}.json", folder)
        except (MlflowException, OSError):
            return None
        scores: dict[str, float] = json.loads(Path(path).read_text("utf-8"))
        return scores
