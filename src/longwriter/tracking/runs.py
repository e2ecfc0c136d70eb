"""One MLflow run per stage."""

import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from longwriter.core.files import dvc_md5
from longwriter.core.settings import RuntimeSettings, flatten_settings
from longwriter.core.workspace import Workspace
from longwriter.tracking.provenance import HOST, PID, STARTED, GitState, owner, provenance
from longwriter.tracking.server import mirrored, send_finished
from longwriter.tracking.store import connect, tracking_uri
from longwriter.tracking.values import flatten

WROTE = "longwriter.wrote."
"""Prefix of the tags that record, for each path a run wrote, the md5 of its bytes."""


class StageLog:
    """The MLflow run of a stage while it runs."""

    def __init__(self, opening: Future[str], root: Path) -> None:
        self._opening, self._root = opening, root

    @property
    def id(self) -> str:
        """The run's id; waits until the run is open."""
        return self._opening.result()

    def activate(self) -> None:
        """Makes it this thread's active run, so that TRL's `report_to=["mlflow"]` logs into it."""
        run_id = self.id
        import mlflow

        if mlflow.active_run() is None:
            mlflow.start_run(run_id=run_id, log_system_metrics=False)  # `_open` starts them

    def environment(self) -> dict[str, str]:
        """Returns environment variables for the stage's other processes to log into this run."""
        return {"MLFLOW_TRACKING_URI": tracking_uri(self._root), "MLFLOW_RUN_ID": self.id}

    def wrote(self, work: Workspace, *paths: Path) -> None:
        """Records the md5 of everything in `paths`, which the stage has written.

        Lineage then names this run as the maker of exactly these bytes.
        """
        run_id = self.id  # waits until MLflow knows its database
        from mlflow import MlflowClient

        client = MlflowClient()
        for path in paths:
            name = path.relative_to(work.out).as_posix()
            client.set_tag(run_id, f"{WROTE}{name}", dvc_md5(path))

    def log(self, metrics: Mapping[str, object]) -> None:
        """Logs the numbers in `metrics`, nested to any depth."""
        self.activate()
        import mlflow

        mlflow.log_metrics(flatten(metrics))


@contextmanager
def stage_run(
    name: str, groups: Mapping[str, Any], work: Workspace, runtime: RuntimeSettings
) -> Iterator[StageLog]:
    """Opens the MLflow run of a stage.

    It opens in a thread, because MLflow takes seconds to import and to open its database, and the
    stage can load its model meanwhile. The run ends as FINISHED, as KILLED on Ctrl-C or SIGTERM,
    and as FAILED on any other error.

    Args:
        name: the stage, e.g. `sft`.
        groups: name → group of settings, logged as parameters such as `sft.learning_rate`.
        work: the stage's workspace.
        runtime: its `system_metrics` says whether to log CPU, memory and GPU use as well.
    """
    with ExitStack() as open_while_it_runs, ThreadPoolExecutor(1) as thread:
        run = StageLog(
            thread.submit(_open, name, groups, work, runtime.system_metrics, open_while_it_runs),
            work.root,
        )
        status = "FAILED"
        try:
            yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.activate()
            import mlflow

            mlflow.flush_async_logging()
            mlflow.end_run(status)
    send_finished(work.root)


def _open(
    name: str,
    groups: Mapping[str, Any],
    work: Workspace,
    system_metrics: bool,
    stack: ExitStack,
) -> str:
    try:
        import mlflow

        experiment = connect(work.root)
        end_killed_runs(experiment)
        run = mlflow.start_run(
            experiment_id=experiment,
            run_name=name,
            tags={
                "longwriter.kind": "stage",
                "longwriter.stage": name,
                **owner(),
                **provenance(work.root),
            },
            log_system_metrics=system_metrics,
        )
        mlflow.log_params(flatten_settings(groups))
        stack.enter_context(mirrored(work.root, run.info.run_id))
    except Exception as error:
        print(
            f"MLflow: {error}. The stage continues, but will fail with this error when it ends; "
            "finished calls are kept. Fix mlruns/ or MLFLOW_TRACKING_URI, then run the same "
            "command.",
            file=sys.stderr,
        )
        raise
    return str(run.info.run_id)


class StageRun(NamedTuple):
    """What MLflow knows about a stage's finished run."""

    run_id: str
    stage: str
    """Such as `sft` or `eval sft`."""
    code: str
    """The commit, and whether there were uncommitted changes."""
    seconds: float
    """Duration of the run.

    Cached calls, and steps before a checkpoint that it resumed from, are not part of it.
    """


FindMaker = Callable[[str, str], StageRun | None]
"""Maps an output's path and md5, as in dvc.lock, to the run that wrote exactly these bytes there.

None if MLflow knows no such run. Of several, the latest that DVC started wins, or else the latest
that was started by hand.
"""


def maker_finder(root: Path) -> FindMaker:
    """Returns a function that finds the finished stage run that wrote an output."""
    from mlflow import MlflowClient

    experiment, client = connect(root), MlflowClient()

    def find(path: str, md5: str) -> StageRun | None:
        wrote_it = (
            "tags.`longwriter.kind` = 'stage' AND attributes.status = 'FINISHED' "
            f"AND tags.`{WROTE}{path}` = '{md5}'"
        )
        last_first = client.search_runs([experiment], wrote_it, order_by=["start_time DESC"])
        by_dvc = [run for run in last_first if "longwriter.dvc_stage" in run.data.tags]
        for run in by_dvc or last_first:
            seconds = (run.info.end_time - run.info.start_time) / 1000
            tags = run.data.tags
            return StageRun(
                run.info.run_id, tags["longwriter.stage"], str(GitState.of(tags)), seconds
            )
        return None

    return find


def end_runs_of_sweep(root: Path, sweep: str) -> None:
    """Marks a sweep's runs that MLflow lists as running as killed, on whatever machine they ran.

    Call it only once no job of the sweep is running.
    """
    from mlflow import MlflowClient

    experiment = connect(root)
    client = MlflowClient()
    of_it = f"attributes.status = 'RUNNING' AND tags.`longwriter.sweep` = '{sweep}'"
    for run in client.search_runs([experiment], of_it):
        client.set_terminated(run.info.run_id, "KILLED")


def end_killed_runs(experiment: str) -> None:
    """Marks this machine's runs as killed if their process is gone.

    After `kill -9`, MLflow still lists them as running.
    """
    from mlflow import MlflowClient

    client = MlflowClient()
    running = f"attributes.status = 'RUNNING' AND tags.`{HOST}` = '{socket.gethostname()}'"
    for run in client.search_runs([experiment], running):
        if not _is_alive(run.data.tags):
            client.set_terminated(run.info.run_id, "KILLED")


def _is_alive(tags: Mapping[str, str]) -> bool:
    try:
        started = float(psutil.Process(int(tags[PID])).create_time())
    except psutil.NoSuchProcess:
        return False
    return abs(started - float(tags.get(STARTED, started))) < 1
