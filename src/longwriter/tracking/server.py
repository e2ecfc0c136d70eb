"""Copies every run in the checkout's database to a team's MLflow server.

Every run is logged into the checkout's own database, and copied to the server that
MLFLOW_TRACKING_URI names: by a thread while it runs, and once more when it has ended. So a server
that is down neither stops nor slows training; what it lacks is sent when the next stage ends, or by

    python -m longwriter.tracking.server
"""

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from longwriter.tracking.logged_models import BENCHMARK, MD5, SCORES_FILE, logged_models
from longwriter.tracking.store import connect, experiment_id, local_uri, lock, server_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run, Trace

SENT, COPY_OF = "longwriter.sent", "longwriter.copy_of"
"""Tags: SENT, on a completely sent run, is the server; COPY_OF, on its copy, our run's id."""

BATCH = {"metrics": 1000, "params": 100}
"""Maximum items that a server accepts in one request."""


@contextmanager
def mirrored(root: Path, run_id: str, every_s: float = 10) -> Iterator[None]:
    """Copies the run to the server every `every_s` seconds while the block runs."""
    server = server_uri()
    if server is None:
        yield
        return
    ended = threading.Event()

    def copy() -> None:
        while not ended.wait(every_s):
            try:
                _send(_client(local_uri(root)), _client(server), run_id)
            except Exception as error:  # a server's error must not stop the stage
                _warn(server, error)

    thread = threading.Thread(target=copy, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def send_finished(root: Path) -> int:
    """Sends every ended run that the server lacks.

    Returns how many could not be sent; if any, it prints a warning.
    """
    server = server_uri()
    if server is None:
        return 0
    with lock(root, ".sending"):
        experiment = connect(root)
        ours, theirs = _client(local_uri(root)), _client(server)
        ended = "attributes.status != 'RUNNING'"
        left = [
            run
            for run in ours.search_runs([experiment], ended, order_by=["attributes.start_time"])
            if run.data.tags.get(SENT) != _public(server)
        ]
        while left:
            try:
                _send(ours, theirs, left[0].info.run_id)
            except Exception as error:  # a server's error must not stop the stage
                _warn(server, error, len(left))
                break
            ours.set_tag(left.pop(0).info.run_id, SENT, _public(server))
    return len(left)


def _send(ours: "MlflowClient", theirs: "MlflowClient", run_id: str) -> None:
    """Updates the server's copy of a run, sending only what it lacks."""
    run = ours.get_run(run_id)
    copy = _copy_of(theirs, run)
    name = copy.info.run_id
    _send_values(ours, theirs, run, copy)
    if run.inputs and run.inputs.dataset_inputs:
        theirs.log_inputs(name, datasets=run.inputs.dataset_inputs)
    if run.info.status == "RUNNING":
        return
    with tempfile.TemporaryDirectory() as folder:
        for file in ours.list_artifacts(run_id):
            theirs.log_artifact(name, ours.download_artifacts(run_id, file.path, folder))
    _send_models(ours, theirs, run, copy)
    _send_traces(ours, theirs, run, copy)
    theirs.set_terminated(name, run.info.status, run.info.end_time)


def _copy_of(theirs: "MlflowClient", run: "Run") -> "Run":
    experiment = experiment_id(theirs)
    found = theirs.search_runs([experiment], f"tags.`{COPY_OF}` = '{run.info.run_id}'")
    if found:
        return found[0]
    tags = {COPY_OF: run.info.run_id}
    return theirs.create_run(experiment, run.info.start_time, tags, run.info.run_name)


def _send_values(ours: "MlflowClient", theirs: "MlflowClient", run: "Run", copy: "Run") -> None:
    from mlflow.entities import Param, RunTag

    name, known = copy.info.run_id, copy.data
    points = []
    for key in run.data.metrics:
        there = theirs.get_metric_history(name, key) if key in known.metrics else []
        seen = {(point.step, point.timestamp, point.value) for point in there}
        points += [
            point
            for point in ours.get_metric_history(run.info.run_id, key)
            if (point.step, point.timestamp, point.value) not in seen
        ]
    params = [Param(*item) for item in run.data.params.items() if item[0] not in known.params]
    tags = [RunTag(*item) for item in run.data.tags.items() if known.tags.get(item[0]) != item[1]]
    for start in range(0, len(points), BATCH["metrics"]):
        theirs.log_batch(name, metrics=points[start : start + BATCH["metrics"]])
    for start in range(0, max(len(params), len(tags)), BATCH["params"]):
        part = slice(start, start + BATCH["params"])
        theirs.log_batch(name, params=params[part], tags=tags[part])


def _send_models(ours: "MlflowClient", theirs: "MlflowClient", run: "Run", copy: "Run") -> None:
    experiment, name = copy.info.experiment_id, copy.info.run_id
    there = {
        (model.name, model.tags.get(MD5)): model
        for model in logged_models(theirs, experiment, name)
    }
    for model in logged_models(ours, run.info.experiment_id, run.info.run_id):
        copied = there.get((model.name, model.tags.get(MD5)))
        if copied is None:
            tags = {key: value for key, value in model.tags.items() if key != BENCHMARK}
            copied = theirs.create_logged_model(experiment, model.name, name, tags)
            theirs.finalize_logged_model(copied.model_id, "READY")
        if BENCHMARK in model.tags and BENCHMARK not in copied.tags:
            _send_scores(ours, theirs, model, copied)


def _send_scores(
    ours: "MlflowClient", theirs: "MlflowClient", model: "LoggedModel", copied: "LoggedModel"
) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.entities import Metric

    with tempfile.TemporaryDirectory() as folder:
        address = f"{model.artifact_location}/{SCORES_FILE}"
        file = download_artifacts(address, dst_path=folder, tracking_uri=ours.tracking_uri)
        theirs.log_model_artifact(copied.model_id, file)
    metrics = [
        Metric(
            m.key, m.value, m.timestamp, m.step, copied.model_id, m.dataset_name, m.dataset_digest
        )
        for m in model.metrics or []
    ]
    theirs.log_batch(str(copied.source_run_id), metrics=metrics)
    theirs.set_logged_model_tags(copied.model_id, {BENCHMARK: model.tags[BENCHMARK]})


def _send_traces(ours: "MlflowClient", theirs: "MlflowClient", run: "Run", copy: "Run") -> None:
    from mlflow.entities import TraceLocation
    from mlflow.tracing.client import TracingClient
    from mlflow.tracing.constant import TraceMetadataKey, TraceTagKey

    ours_of_it = list(_traces(ours, run))
    there = {trace.info.trace_id for trace in _traces(theirs, copy)} if ours_of_it else set()
    target = TracingClient(theirs.tracking_uri)
    for trace in ours_of_it:
        info = trace.info
        if info.trace_id in there:
            continue
        info.trace_location = TraceLocation.from_experiment_id(copy.info.experiment_id)
        info.trace_metadata = {TraceMetadataKey.SOURCE_RUN: copy.info.run_id}
        info.tags = {
            key: value
            for key, value in info.tags.items()
            if key == TraceTagKey.TRACE_NAME or not key.startswith("mlflow.")
        }
        try:
            target.log_spans(copy.info.experiment_id, trace.data.spans)
        except NotImplementedError:  # MLflow before 3.4 cannot store spans
            return
        target.start_trace(info)  # last, so that an interrupted trace is sent again


def _traces(client: "MlflowClient", run: "Run") -> "Iterator[Trace]":
    token, more = None, True
    while more:
        where, of_it = [run.info.experiment_id], run.info.run_id
        page = client.search_traces(locations=where, run_id=of_it, page_token=token)
        yield from page
        token, more = page.token, bool(page.token)


def _client(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _public(uri: str) -> str:
    """Returns the address without user name and password."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _warn(server: str, error: Exception, left: int = 1) -> None:
    what = str(error).splitlines()[0].replace(server, _public(server))[:200]
    print(
        f"warning: {left} run(s) could not be sent to MLflow's server {_public(server)}: {what}. "
        "Nothing is lost: they are in this checkout's mlruns/mlflow.db and are sent when a later stage "
        "ends, or by `python -m longwriter.tracking.server`",
        file=sys.stderr,
        flush=True,
    )


def main() -> None:
    """Sends the runs that the server lacks; exits with 1 if any could not be sent."""
    if server_uri() is None:
        sys.exit("error: MLFLOW_TRACKING_URI names no server (http://…)")
    left = send_finished(Path.cwd())
    sys.exit(f"{left} run(s) were not sent" if left else 0)


if __name__ == "__main__":
    main()
