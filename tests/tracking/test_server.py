"""A team's MLflow server: a real `mlflow server` process, away and there, on sqlite and PostgreSQL."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import postgres
from helpers.checkpoints import default_settings
from helpers.ports import free_ports
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import Run

from longwriter.config.schema import Settings
from longwriter.core.rows import Failure
from longwriter.core.workspace import Workspace
from longwriter.llm.budget import CallRecord
from longwriter.tracking.logged_models import Benchmark, Scores
from longwriter.tracking.pipeline import log_pipeline_run
from longwriter.tracking.runs import stage_run
from longwriter.tracking.server import SENT, mirrored, send_finished
from longwriter.tracking.store import connect, local_uri
from longwriter.tracking.traces import DraftTraces

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def settings() -> Settings:
    return default_settings()


@pytest.fixture(scope="module")
def port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def start_server(
    port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], MlflowClient]]:
    """Starts the server where it does not run yet, and returns a client of it."""
    folder = tmp_path_factory.mktemp("server")
    started: list[subprocess.Popen[bytes]] = []

    def start() -> MlflowClient:
        if not started:
            started.append(serve(folder, f"sqlite:///{folder}/server.db", port))
        return MlflowClient(f"http://127.0.0.1:{port}")

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def serve(folder: Path, database: str, port: int) -> "subprocess.Popen[bytes]":
    """Starts `mlflow server` and waits until it answers."""
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", database]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    plain = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_TRACKING")}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, env=plain, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while not is_up(f"http://127.0.0.1:{port}"):
        assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.2)
    return process


def is_up(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name in ("MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://someone:planted@127.0.0.1:{port}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkout")


def runs_on(client: MlflowClient) -> dict[str, Run]:
    """Name → run of all that the server has."""
    experiment = client.get_experiment_by_name("longwriter")
    if experiment is None:
        return {}
    runs = client.search_runs([experiment.experiment_id])
    return {str(run.info.run_name).partition(" ")[0]: run for run in runs}


def test_a_server_that_is_away_stops_nothing_and_gets_all_later(
    settings: Settings,
    root: Path,
    tmp_path: Path,
    start_server: Callable[[], MlflowClient],
    capsys: pytest.CaptureFixture[str],
) -> None:
    figure = tmp_path / "scores.svg"
    figure.write_text("<svg/>")
    with stage_run("sft", {"sft": settings.sft}, Workspace(root, root), settings.runtime) as log:
        import mlflow

        log.activate()
        for step in range(1200):  # more than one request takes
            mlflow.log_metric("loss", 2.0 - step / 1000, step=step, synchronous=False)
        log.log({"rows": 37})
    pointers = {"data/sft/train.jsonl": "a" * 32, "models/sft": "b" * 32 + ".dir"}
    benchmark = Benchmark("data/benchmark.jsonl", "sha256:" + "c" * 64)
    scores = {"sft": Scores(benchmark, {"n": 2.0}, {"p": 50.0, "q": 71.4})}
    log_pipeline_run(root, {"sft.max_length": 1024}, {"S_l": 60.7}, [figure], pointers, scores)
    warned = capsys.readouterr().err
    assert "1 run(s) could not be sent" in warned
    assert "2 run(s) could not be sent" in warned
    assert "mlruns/mlflow.db" in warned
    assert "planted" not in warned

    server = start_server()
    assert send_finished(root) == 0
    found = runs_on(server)
    assert found.keys() == {"sft", "pipeline"}
    sft, pipeline = found["sft"], found["pipeline"]
    assert (sft.info.status, pipeline.info.status) == ("FINISHED", "FINISHED")
    assert sft.data.params["sft.learning_rate"] == str(settings.sft.learning_rate)
    assert sft.data.metrics["rows"] == 37.0
    history = server.get_metric_history(sft.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [
        (step, 2.0 - step / 1000) for step in range(1200)
    ]
    assert pipeline.data.metrics == {"S_l": 60.7, "n": 2.0}
    assert pipeline.data.tags["dvc.models/sft"] == "b" * 32 + ".dir"
    assert [file.path for file in server.list_artifacts(pipeline.info.run_id)] == [
        "metrics.json",
        "scores.svg",
    ]
    [model] = server.search_logged_models([pipeline.info.experiment_id])
    assert (model.name, model.tags["dvc.md5"]) == ("sft", "b" * 32 + ".dir")
    assert model.metrics is not None
    assert [(m.key, m.value, m.dataset_name, m.dataset_digest) for m in model.metrics] == [
        ("n", 2.0, "data/benchmark.jsonl", "c" * 32)
    ]
    address = f"{model.artifact_location}/scores.json"
    file = download_artifacts(address, tracking_uri=server.tracking_uri)
    assert json.loads(Path(file).read_text()) == scores["sft"].as_json()
    assert pipeline.inputs is not None
    digests = sorted(i.dataset.digest for i in pipeline.inputs.dataset_inputs)
    assert digests == ["a" * 32, "c" * 32]
    assert not any("planted" in text for run in found.values() for text in run.data.tags.values())


def test_what_the_server_has_is_not_sent_again_and_an_update_is(
    root: Path, start_server: Callable[[], MlflowClient]
) -> None:
    server = start_server()
    before = len(runs_on(server))
    log_pipeline_run(root, {"again": 1}, {"S_l": 1.0}, [], {"models/sft": "c" * 32})
    log_pipeline_run(root, {"again": 1}, {"S_l": 1.0}, [], {"models/sft": "d" * 32})
    experiment = server.get_experiment_by_name("longwriter")
    assert experiment is not None
    found = server.search_runs([experiment.experiment_id])
    assert len(found) == before + 1
    [again] = [run for run in found if run.data.params.get("again") == "1"]
    assert again.data.tags["dvc.models/sft"] == "d" * 32
    assert len(server.get_metric_history(again.info.run_id, "S_l")) == 1


def test_the_server_shows_a_run_while_it_goes_on(
    settings: Settings, root: Path, start_server: Callable[[], MlflowClient]
) -> None:
    server = start_server()
    with (
        stage_run("dpo", {"dpo": settings.dpo}, Workspace(root, root), settings.runtime) as log,
        mirrored(root, log.id, every_s=0.1),
    ):
        log.log({"loss": 0.69})
        deadline = time.monotonic() + 60
        while not (run := runs_on(server).get("dpo")) or "loss" not in run.data.metrics:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert run.info.status == "RUNNING"
    assert runs_on(server)["dpo"].info.status == "FINISHED"


def test_the_server_gets_the_traces_of_a_run_once(
    settings: Settings, root: Path, start_server: Callable[[], MlflowClient]
) -> None:
    server = start_server()
    asked = [{"role": "user", "content": "Schreib über Bienen 🐝."}]
    call = CallRecord("plan", 1000.0, 2.5, 0.5, 2, asked, "No.", "no plan", 10, 3, 0, "m")
    failure = Failure(id="bees", prompt="p", step="plan", error="E", detail="d", attempts=1)
    work = Workspace(root, root)
    with (
        stage_run("agentwrite", {}, work, settings.runtime) as log,
        DraftTraces(2, log) as traces,
    ):
        for _ in range(2):
            traces.keep(failure, [call])
    MlflowClient(local_uri(root)).delete_tag(log.id, SENT)  # as if the sending had broken off
    assert send_finished(root) == 0

    run = runs_on(server)["agentwrite"]
    sent = server.search_traces(locations=[run.info.experiment_id], run_id=run.info.run_id)
    ours = MlflowClient(local_uri(root)).search_traces(locations=[connect(root)], run_id=log.id)
    assert len(sent) == 2
    assert {t.info.trace_id for t in sent} == {t.info.trace_id for t in ours}
    for trace in sent:
        draft, sample = trace.data.spans
        assert (draft.name, sample.name) == ("draft", "plan")
        assert sample.parent_id == draft.span_id
        assert (sample.start_time_ns, sample.end_time_ns) == (1000 * 10**9, 1002_500_000_000)
        assert sample.inputs == {"messages": asked}
        assert sample.get_attribute("fault") == "no plan"
        assert sample.status.status_code.value == "ERROR"
        assert trace.info.token_usage == {
            "input_tokens": 10,
            "output_tokens": 3,
            "total_tokens": 13,
        }
        assert (trace.info.state.value, trace.info.execution_duration) == ("ERROR", 2500)
        assert trace.info.tags["longwriter.draft"] == "bees"


@pytest.mark.skipif(
    postgres.find_programs() is None, reason="no PostgreSQL here (apt-get install postgresql)"
)
def test_a_server_on_postgresql_holds_what_was_sent(
    settings: Settings, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    psycopg = pytest.importorskip("psycopg", reason="needs the extra postgresql")
    programs, port = postgres.find_programs(), free_ports(1)[0]
    assert programs is not None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with postgres.running(programs, free_ports(1)[0]) as database:
        server = serve(tmp_path, database, port)
        try:
            with stage_run(
                "sft", {"sft": settings.sft}, Workspace(root, root), settings.runtime
            ) as log:
                log.log({"on_postgresql": 37})
            pointers = {"models/sft": "b" * 32 + ".dir"}
            log_pipeline_run(root, {"sft.max_length": 1024}, {"on_postgresql": 60.7}, [], pointers)
            found = runs_on(MlflowClient(f"http://127.0.0.1:{port}"))
        finally:
            server.terminate()
            server.wait(20)
        with psycopg.connect(database) as connection:
            kept = connection.execute(
                "SELECT split_part(name, ' ', 1), status, value FROM runs JOIN metrics USING (run_uuid)"
                " WHERE key = 'on_postgresql'"
            ).fetchall()
    assert sorted(kept) == [
        ("pipeline", "FINISHED", 60.7),
        ("sft", "FINISHED", 37.0),
    ]
    assert found["sft"].data.params["sft.learning_rate"] == str(settings.sft.learning_rate)
