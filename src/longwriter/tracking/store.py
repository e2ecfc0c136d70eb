"""Where runs are stored: the checkout's database, or the one that MLFLOW_TRACKING_URI names.

    python -m longwriter.tracking.store

prints the address of the current checkout's database.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from longwriter.core.files import network_disk

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "longwriter"


def tracking_uri(root: Path) -> str:
    """Returns MLFLOW_TRACKING_URI if set, else the sqlite database of the checkout `root`."""
    return os.environ.get("MLFLOW_TRACKING_URI") or local_uri(root)


def local_uri(root: Path) -> str:
    """Returns the address of the sqlite database of the checkout `root`."""
    return sqlite_uri(folder(root) / "mlflow.db")


def sqlite_uri(path: Path) -> str:
    """Returns the address of the sqlite database `path`, with `%`, `?` and the like quoted.

    The address names the driver, because MLflow takes what follows a plain `sqlite:///` for a path
    as it is, still quoted, and creates that path's folder.
    """
    from sqlalchemy import URL

    return URL.create("sqlite+pysqlite", database=str(path)).render_as_string()


def server_uri() -> str | None:
    """Returns MLFLOW_TRACKING_URI if it is a server's address, else None."""
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    return uri if uri.startswith(("http://", "https://")) else None


def folder(root: Path) -> Path:
    """Returns the folder of MLflow's files; under `dvc exp run --temp`, the parent repository's."""
    return Path(os.environ.get("DVC_ROOT", root)).absolute() / "mlruns"


def lock(root: Path, name: str = ".lock") -> FileLock:
    """Returns a lock that all stages of the checkout share."""
    place = folder(root)
    place.mkdir(parents=True, exist_ok=True)
    return FileLock(place / name)


def connect(root: Path) -> str:
    """Points MLflow at the database, created or migrated if needed; returns the experiment's id.

    Runs go into the checkout's database even if MLFLOW_TRACKING_URI is a server's address: a stage
    must not wait for a server, and `longwriter.tracking.server` copies the runs there.

    Two stages may start at once, so only one process at a time migrates and creates.
    """
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    given = os.environ.get("MLFLOW_TRACKING_URI")
    uri = local_uri(root) if server_uri() else tracking_uri(root)
    local = uri.startswith("sqlite")
    mlflow.set_tracking_uri(uri)
    if given:  # MLflow sets the variable; a later call with another root must not see it
        os.environ["MLFLOW_TRACKING_URI"] = given
    else:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    if local and (kind := network_disk(folder(root))):
        print(
            f"MLflow: {folder(root)} is on {kind}: where several machines write there, name a database server in "
            "MLFLOW_TRACKING_URI (postgresql://…)",
            file=sys.stderr,
        )
    with lock(root):
        if local:
            _migrate(uri)
        artifacts = (folder(root) / "artifacts").as_uri() if local else None
        return experiment_id(mlflow.MlflowClient(), artifacts)


def experiment_id(client: "MlflowClient", artifacts: str | None = None) -> str:
    """Returns the experiment's id; creates the experiment if missing, restores it if deleted."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(EXPERIMENT)
    if found is None:
        try:
            return client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        except MlflowException:  # another process was faster, maybe on another machine
            found = client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":  # takes one click in MLflow's UI
        client.restore_experiment(found.experiment_id)
        print(f"MLflow: the experiment {EXPERIMENT} was deleted; restored it", file=sys.stderr)
    if artifacts is not None and found.artifact_location.rstrip("/") != artifacts:
        print(
            "MLflow: this checkout was copied, and its runs still store artifacts in the "
            f"original's folder, {found.artifact_location}; move mlruns/mlflow.db away to start a "
            "new database",
            file=sys.stderr,
        )
    return str(found.experiment_id)


def _migrate(uri: str) -> None:
    """Runs `mlflow db upgrade`: 5 s on a new database, 0.04 s on a current one."""
    from mlflow.db import upgrade

    upgrade.callback(uri)  # type: ignore[misc]


if __name__ == "__main__":
    print(local_uri(Path()))
