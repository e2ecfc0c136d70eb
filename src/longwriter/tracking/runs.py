"""One MLflow run a stage."""

import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from longwriter.settings import Settings, Workspace
from longwriter.tracking.provenance import HOST, PID, STARTED, GitState, owner, provenance
from longwriter.tracking.server import mirrored, send_finished
from longwriter.tracking.store import connect
from longwriter.tracking.values import flatten, parameters


class StageLog:
    """The MLflow run of a stage at work."""

    def __init__(self, opening: Future[str]) -> None:
        self._opening = opening

    @property
    def id(self) -> str:
        """The run's id, as soon as it is open."""
        return self._opening.result()

    def activate(self) -> None:
        """Makes it this thread's active run, which TRL's `report_to=["mlflow"]` logs into."""
        run_id = self.id
        import mlflow

        if mlflow.active_run() is None:
            mlflow.start_run(run_id=run_id, log_system_metrics=False)  # `_open` has begun them

    def log(self, metrics: Mapping[str, object]) -> None:
        """Logs the numbers of `metrics`, nested as they may be."""
        self.activate()
        import mlflow

        mlflow.log_metrics(flatten(metrics))


@contextmanager
def stage_run(
    name: str, settings: Settings, work: Workspace, groups: Sequence[str]
) -> Iterator[StageLog]:
    """Opens the MLflow run of a stage.

    It opens in a thread: MLflow takes seconds to import and to look at its database, in which the
    stage loads its model and asks it. The run ends as FINISHED, KILLED on Ctrl-C or SIGTERM, and
    FAILED on any other error.

    Args:
        name: the stage, e.g. `sft`.
        settings: all settings.
        work: the stage's workspace.
        groups: names of the groups of settings to log, as parameters like `sft.learning_rate`.
    """
    with ExitStack() as open_while_it_runs, ThreadPoolExecutor(1) as thread:
        run = StageLog(thread.submit(_open, name, settings, work, groups, open_while_it_runs))
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
    name: str, settings: Settings, work: Workspace, groups: Sequence[str], stack: ExitStack
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
            log_system_metrics=settings.runtime.system_metrics,
        )
        mlflow.log_params(parameters(settings, groups))
        stack.enter_context(mirrored(work.root, run.info.run_id))
    except Exception as error:
        print(
            f"MLflow: {error}. The stage goes on and fails with this at its end; finished calls are "
            "kept. Mend mlruns/ or MLFLOW_TRACKING_URI, then run the same command.",
            file=sys.stderr,
        )
        raise
    return str(run.info.run_id)


class StageRun(NamedTuple):
    """What MLflow knows of a stage's last run that ended well."""

    run_id: str
    code: str
    """The commit, and whether anything was not committed."""
    seconds: float
    """What it took. Calls and steps that were kept from before took none of them."""


def stage_runs(root: Path) -> dict[str, StageRun]:
    """Returns stage, such as `sft` or `eval sft`, → its last run that ended well."""
    from mlflow import MlflowClient

    experiment = connect(root)
    finished = "tags.`longwriter.kind` = 'stage' AND attributes.status = 'FINISHED'"
    runs = MlflowClient().search_runs([experiment], finished, order_by=["start_time DESC"])
    return {
        run.data.tags["longwriter.stage"]: StageRun(
            run.info.run_id,
            str(GitState.of(run.data.tags)),
            (run.info.end_time - run.info.start_time) / 1000,
        )
        for run in reversed(runs)
    }


def end_runs_of_sweep(root: Path, sweep: str) -> None:
    """Marks what still runs of a sweep as killed, on whatever machine it ran: none of its jobs does
    any more."""
    from mlflow import MlflowClient

    experiment = connect(root)
    client = MlflowClient()
    of_it = f"attributes.status = 'RUNNING' AND tags.`longwriter.sweep` = '{sweep}'"
    for run in client.search_runs([experiment], of_it):
        client.set_terminated(run.info.run_id, "KILLED")


def end_killed_runs(experiment: str) -> None:
    """Marks runs of this machine whose process is gone: `kill -9` left them as running."""
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
