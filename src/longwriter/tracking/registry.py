"""MLflow's model registry: the champion, and whether another model beats it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from longwriter.core.errors import DataError
from longwriter.core.tables import round_floats
from longwriter.tracking.comparing import Comparison, read_scores
from longwriter.tracking.logged_models import BENCHMARK, MD5, PATH, Scores, logged_models
from longwriter.tracking.provenance import locked_stages
from longwriter.tracking.store import connect

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

ALIAS = "champion"

ADDRESS = "models:/"
"""Prefix of a LoggedModel's id in a model version's source."""


class Champion(NamedTuple):
    """The registered model version that has the alias ALIAS."""

    version: str
    path: str
    md5: str
    scores: Scores

    def __str__(self) -> str:
        return f"version {self.version} ({self.path})"


def find_model(root: Path, name: str) -> "LoggedModel":
    """Returns the LoggedModel of models/`name` as in dvc.lock, from the newest pipeline run.

    Raises:
        DataError: dvc.lock has no such checkpoint, or no run has scores of exactly these bytes.
    """
    from mlflow import MlflowClient

    path, experiment, client = f"models/{name}", connect(root), MlflowClient()
    md5 = _locked_md5(root, path)
    of_it = f"tags.`longwriter.kind` = 'pipeline' AND tags.`dvc.{path}` = '{md5}'"
    for run in client.search_runs([experiment], of_it, order_by=["end_time DESC"]):
        for model in logged_models(client, experiment, run.info.run_id):
            tags = model.tags
            if (tags.get(PATH), tags.get(MD5)) == (path, md5) and BENCHMARK in tags:
                return model
    raise DataError(
        f"{path}: MLflow has no scores of this checkpoint ({md5}); run `dvc repro`, whose stage "
        "`report` logs them"
    )


def _locked_md5(root: Path, path: str) -> str:
    for stage in locked_stages(root).values():
        for out in stage.get("outs", []):
            if out["path"] == path:
                return str(out["md5"])
    raise DataError(f"{root / 'dvc.lock'}: has no {path}; run `dvc repro`, which makes it")


def find_champion(registered: str) -> Champion | None:
    """Returns the champion of a registered model; None if there is none yet.

    Raises:
        DataError: its scores are no longer in MLflow.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    found = client.search_registered_models(f"name = '{registered}'")
    if not found or ALIAS not in found[0].aliases:
        return None
    version = client.get_model_version_by_alias(registered, ALIAS)
    tags = version.tags
    return Champion(
        str(version.version),
        tags[PATH],
        tags[MD5],
        read_scores(str(version.source).removeprefix(ADDRESS)),
    )


def register(
    registered: str, model: "LoggedModel", champion: Champion | None, comparison: Comparison | None
) -> str:
    """Registers a LoggedModel as a new version and as the champion; returns the version number.

    The version's tags say which version it was compared with, and the result.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    if not client.search_registered_models(f"name = '{registered}'"):
        client.create_registered_model(registered, description="Models that write long texts")
    version = client.create_model_version(
        registered,
        f"{ADDRESS}{model.model_id}",
        run_id=model.source_run_id,
        tags={**_kept(model.tags), **_outcome(champion, comparison)},
        model_id=model.model_id,
    )
    client.set_registered_model_alias(registered, ALIAS, version.version)
    return str(version.version)


def _kept(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.startswith(("dvc.", "longwriter."))}


def _outcome(champion: Champion | None, comparison: Comparison | None) -> dict[str, str]:
    if champion is None or comparison is None:
        return {"longwriter.against": "none"}
    tags = {
        "longwriter.against": champion.version,
        "longwriter.n": str(comparison.shared),
        "longwriter.anyway": str(not comparison.better).lower(),
    }
    if comparison.difference is None:
        return tags | {"longwriter.fault": comparison.fault}
    difference = comparison.difference
    return tags | {
        "longwriter.difference": str(round(difference.mean, 4)),
        "longwriter.interval": str(round_floats(difference.bounds)),
    }
