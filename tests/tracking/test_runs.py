import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest
from helpers.checkpoints import default_settings
from mlflow import MlflowClient
from mlflow.entities import Run

from longwriter.config.schema import Settings
from longwriter.core.settings import flatten_settings
from longwriter.core.workspace import Workspace
from longwriter.tracking.pipeline import COMPARED, compared_settings, log_pipeline_run, log_report
from longwriter.tracking.provenance import git_state
from longwriter.tracking.runs import maker_finder, stage_run
from longwriter.tracking.store import connect, tracking_uri
from longwriter.tracking.values import flatten

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return default_settings()


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose database is migrated: that takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)


def runs(root: Path, filter_string: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("longwriter")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], filter_string))


def test_database_lies_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tracking_uri(Path("/checkout")) == "sqlite+pysqlite:////checkout/mlruns/mlflow.db"
    monkeypatch.setenv("DVC_ROOT", "/parent")  # dvc exp run --temp
    assert tracking_uri(Path("/checkout")) == "sqlite+pysqlite:////parent/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri(Path("/checkout")) == "http://server:5000"


def test_stage_run_is_read_back(
    settings: Settings, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "filter")
    groups = {"filter": settings.filter}
    work = Workspace(database, database)
    with stage_run("filter", groups, work, settings.runtime) as log:
        log.log({"kept": 25, "rejected": {"too_short": 4}})
    [run] = runs(database, f"attributes.run_id = '{log.id}'")
    assert run.info.run_name == "filter"
    assert run.info.status == "FINISHED"
    assert run.data.params == flatten_settings(groups)
    assert run.data.metrics == {"kept": 25.0, "rejected/too_short": 4.0}
    assert run.data.tags["longwriter.kind"] == "stage"
    assert run.data.tags["longwriter.dvc_stage"] == "filter"
    assert run.info.artifact_uri.startswith(f"file://{database}/mlruns/artifacts/")


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "FAILED"), (SystemExit, "FAILED"), (KeyboardInterrupt, "KILLED")],
)
def test_stage_run_ends_as_the_stage_does(
    settings: Settings, database: Path, error: type[BaseException], status: str
) -> None:
    work = Workspace(database, database)
    with pytest.raises(error), stage_run("sft", {}, work, settings.runtime) as log:
        raise error
    [run] = runs(database, f"attributes.run_id = '{log.id}'")
    assert run.info.status == status
    assert mlflow.active_run() is None


def test_a_stage_begins_while_its_run_opens(
    settings: Settings, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def connect_late(root: Path) -> str:
        assert begun.wait(60)
        return connect(root)

    monkeypatch.setattr("longwriter.tracking.runs.connect", connect_late)
    with stage_run("filter", {}, Workspace(database, database), settings.runtime) as log:
        begun.set()
    [run] = runs(database, f"attributes.run_id = '{log.id}'")
    assert run.info.status == "FINISHED"


def test_a_run_that_cannot_open_is_told_at_once_and_fails_the_stage(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlruns").touch()  # where the database's folder belongs
    worked = False
    with (
        pytest.raises(FileExistsError, match="mlruns"),
        stage_run("filter", {}, Workspace(tmp_path, tmp_path), settings.runtime) as log,
    ):
        with pytest.raises(FileExistsError):
            assert log.id
        assert "MLflow: " in capsys.readouterr().err
        worked = True
    assert worked


def test_a_run_that_was_killed_does_not_go_on_for_ever(settings: Settings, database: Path) -> None:
    work = Workspace(database, database)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with stage_run("sft", {}, work, settings.runtime) as log:
        pass
    [run] = runs(database, f"attributes.run_id = '{log.id}'")
    assert run.data.tags["longwriter.pid"] == str(os.getpid())
    here = run.data.tags["longwriter.host"]
    client, left = MlflowClient(tracking_uri(database)), {}
    for pid, host in ((str(gone.pid), here), ("1", here), (str(gone.pid), "elsewhere")):
        tags = {"longwriter.host": host, "longwriter.pid": pid}
        left[pid, host] = client.create_run(run.info.experiment_id, tags=tags).info.run_id
    with stage_run("sft", {}, work, settings.runtime) as log:
        log.activate()
        found = [client.get_run(name).info.status for name in left.values()]
    assert found == ["KILLED", "RUNNING", "RUNNING"]


def test_what_the_trainer_logs_late_is_kept(settings: Settings, database: Path) -> None:
    with stage_run("dpo", {}, Workspace(database, database), settings.runtime) as log:
        log.activate()
        for step in range(50):
            mlflow.log_metrics({"loss": float(step)}, step=step, synchronous=False)
    history = MlflowClient(tracking_uri(database)).get_metric_history(log.id, "loss")
    assert [(point.step, point.value) for point in history] == [(n, float(n)) for n in range(50)]


def test_system_metrics_are_logged_every_second(settings: Settings, database: Path) -> None:
    settings.runtime.system_metrics = True
    try:
        with stage_run("sft", {}, Workspace(database, database), settings.runtime) as log:
            time.sleep(2.5)
    finally:
        settings.runtime.system_metrics = False
    [run] = runs(database, f"attributes.run_id = '{log.id}'")
    assert "system/cpu_utilization_percentage" in run.data.metrics


def test_pipeline_run_is_updated_not_repeated(database: Path, tmp_path: Path) -> None:
    figure = tmp_path / "scores.svg"
    figure.write_text("<svg/>")
    params, metrics = {"sft.learning_rate": "1e-05"}, {"eval": {"sft": {"S_l": 58.0}}}

    def report(md5: str) -> str:
        pointers = {"data/sft/train.jsonl": md5, "models/sft": f"{md5}.dir", "reports": md5}
        return log_pipeline_run(database, params, metrics, [figure], pointers)

    first, again = report("a" * 32), report("b" * 32)
    assert again == first
    [run] = runs(database, "tags.`longwriter.kind` = 'pipeline'")
    assert run.info.run_id == first
    assert run.info.status == "FINISHED"
    assert run.data.params == params
    assert run.data.metrics == {"eval/sft/S_l": 58.0}
    assert run.data.tags["dvc.models/sft"] == "b" * 32 + ".dir"
    assert run.data.tags["dvc.reports"] == "b" * 32

    client = MlflowClient(tracking_uri(database))
    assert len(client.get_metric_history(first, "eval/sft/S_l")) == 1
    assert [file.path for file in client.list_artifacts(first)] == [
        "metrics.json",
        "scores.svg",
    ]
    report("b" * 32)
    models = client.search_logged_models([run.info.experiment_id])
    assert {(model.name, model.source_run_id) for model in models} == {("sft", first)}
    digests = sorted(model.tags["dvc.md5"] for model in models)  # one for each checkpoint
    assert digests == ["a" * 32 + ".dir", "b" * 32 + ".dir"]
    datasets = {(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs}
    assert ("data/sft/train.jsonl", "b" * 32) in datasets

    other = log_pipeline_run(database, {"sft.learning_rate": "2e-05"}, metrics, [], {})
    assert other != first
    assert len(runs(database, "tags.`longwriter.kind` = 'pipeline'")) == 2


def test_the_maker_of_bytes_is_the_run_that_wrote_them(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DAG's run, runs by hand in a folder of their own, and one that was stopped."""

    def run(out: Path, text: str, *, by_dvc: bool, stopped: bool = False) -> str:
        if by_dvc:
            monkeypatch.setenv("DVC_STAGE", "filter")
        else:
            monkeypatch.delenv("DVC_STAGE", raising=False)
        work = Workspace(tmp_path, out)
        path = work.output("data/sft/train.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        with (
            suppress(KeyboardInterrupt),
            stage_run("filter", {}, work, settings.runtime) as log,
        ):
            log.wrote(work, path)
            if stopped:
                raise KeyboardInterrupt
        return log.id

    by_hand = tmp_path / "outputs/one"
    first = run(tmp_path, "one\n", by_dvc=True)
    other = run(by_hand, "two\n", by_dvc=False)
    run(by_hand, "one\n", by_dvc=False)  # the same bytes, which DVC does not have from it
    run(by_hand, "two\n", by_dvc=False, stopped=True)
    find = maker_finder(tmp_path)
    made = {text: find("data/sft/train.jsonl", md5(text)) for text in ("one\n", "two\n", "three\n")}
    assert {text: maker and maker.run_id for text, maker in made.items()} == {
        "one\n": first,
        "two\n": other,
        "three\n": None,
    }
    assert find("data/sft/other.jsonl", md5("one\n")) is None

    monkeypatch.setenv("DVC_STAGE", "filter")
    work = Workspace(tmp_path, tmp_path)
    with stage_run("filter", {}, work, settings.runtime) as log:
        log.wrote(work, work.output("data/sft/train.jsonl"))
        time.sleep(0.3)
    found = find("data/sft/train.jsonl", md5("one\n"))
    assert found is not None
    assert (found.run_id, found.stage, found.code) == (log.id, "filter", "no commit")
    assert 0.3 <= found.seconds < 60


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def test_a_table_of_rows_is_found_by_mlflow_and_replaced(database: Path, tmp_path: Path) -> None:
    run_id = log_pipeline_run(database, {"a": "1"}, {"b": 2}, [], {})
    table = tmp_path / "rows.json"
    for value in (1, 2):
        table.write_text(json.dumps({"columns": ["x"], "data": [[value]]}))
        log_report(database, run_id, table)
    client = MlflowClient(tracking_uri(database))
    experiment = client.get_run(run_id).info.experiment_id
    rows = client.load_table(experiment, "rows.json", run_ids=[run_id])
    assert rows.to_dict("list") == {"x": [2]}


TWENTY = """
import os, sys, traceback
from pathlib import Path
import mlflow.store.tracking.sqlalchemy_store
from longwriter.tracking.pipeline import log_pipeline_run

def log(who):
    try:
        log_pipeline_run(Path(sys.argv[1]), {"who": who}, {"n": who}, [], {"models/sft": "a" * 32})
    except BaseException:
        traceback.print_exc()
        return 1
    return 0

children = []
for who in range(20):
    child = os.fork()  # MLflow, which takes seconds to import, is there already
    if child == 0:
        os._exit(log(who))
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_twenty_runs_at_once_open_a_fresh_database(tmp_path: Path) -> None:
    run_python(TWENTY, os.environ, str(tmp_path))
    found = runs(tmp_path, "attributes.status = 'FINISHED'")
    assert sorted(int(run.data.params["who"]) for run in found) == list(range(20))
    assert all(run.data.metrics["n"] == float(run.data.params["who"]) for run in found)
    with sqlite3.connect(tmp_path / "mlruns/mlflow.db") as connection:
        names = connection.execute("SELECT name FROM experiments").fetchall()
        [models] = connection.execute("SELECT COUNT(*) FROM logged_models").fetchall()
    assert names.count(("longwriter",)) == 1
    assert models == (20,)


def test_flatten_gives_names_that_mlflow_takes(database: Path) -> None:
    metrics = {
        "S_l": 46,
        "S_q": None,
        "ok": True,
        "loss": float("nan"),
        "intervals": {"S_l": [40.0, 52.0]},
        "by_length": {"[0,100)": {"S_l": 1.5}, "[4000, 20000]": {"n": 2}, "[400,∞)": {"n": 3}},
        "by_type": {"Literature and Creative Writing": {"n": 3}, "Q&A (new)": {"n": 4}},
    }
    flat = flatten(metrics)
    assert flat == {
        "S_l": 46.0,
        "by_length/0-100/S_l": 1.5,
        "by_length/4000-20000/n": 2.0,
        "by_length/400-up/n": 3.0,
        "by_type/Literature and Creative Writing/n": 3.0,
        "by_type/Q_A _new_/n": 4.0,
    }
    run_id = log_pipeline_run(database, {}, metrics, [], {})  # MLflow refuses other names
    assert MlflowClient(tracking_uri(database)).get_run(run_id).data.metrics == flat


def test_parameters_are_flat_short_and_without_null(settings: Settings) -> None:
    groups = {"judge": settings.judge, "dpo": settings.dpo, "second_judge": None}
    found = flatten_settings(groups)
    assert found["judge.kind"] == "llama_cpp"
    assert found["dpo.loss_type"] == "sigmoid"
    assert found["dpo.lora.r"] == str(settings.dpo.lora.r)
    assert "judge.api_key_env" not in found
    assert not any(key.startswith(("sft.", "second_judge")) for key in found)
    far = replace(settings.judge, base_url="http://" + "x" * 400)
    assert len(flatten_settings({"judge": far})["judge.base_url"]) == 250


def test_compared_settings_exist(settings: Settings) -> None:
    for key in COMPARED.split():
        group, name = key.split(".")
        assert hasattr(getattr(settings, group), name), key
    found = compared_settings(flatten_settings(vars(settings)))
    assert found["sft.learning_rate"] == str(settings.sft.learning_rate)
    assert len(found) >= 15


def test_git_state(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=e"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_state(tmp_path) == ("", False)  # no checkout
    git("init", "-q")
    (tmp_path / "src").mkdir()
    code = tmp_path / "src/code.py"
    code.write_text("1\n")
    assert git_state(tmp_path) == ("", False)  # no commit
    assert str(git_state(tmp_path)) == "no commit"
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    head = git("rev-parse", "HEAD")
    (tmp_path / "metrics.json").write_text("{}")  # an output, not code
    assert git_state(tmp_path) == (head, False)
    code.write_text("2\n")
    assert git_state(tmp_path) == (head, True)
    assert str(git_state(tmp_path)) == f"{head} + uncommitted changes"


def test_neither_mlflow_nor_torch_is_imported_before_a_run() -> None:
    code = "import sys, longwriter.tracking; print({'mlflow', 'torch'} & sys.modules.keys())"
    assert run_python(code, os.environ) == "set()\n"


def test_nothing_reaches_for_the_network(database: Path) -> None:
    code = f"""
import sys
seen = []
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        seen.append((event, arguments[-1]))
sys.addaudithook(hook)
from pathlib import Path
from longwriter.tracking.pipeline import log_pipeline_run
from mlflow.telemetry.utils import is_telemetry_disabled
log_pipeline_run(Path({str(database)!r}), {{"a": 1}}, {{"n": 1}}, [], {{"models/sft": "a" * 32}})
print(is_telemetry_disabled(), seen)
"""
    # MLflow takes pytest and CI for a reason to be silent: without them it must be silent too
    hidden = ("PYTEST", "CI", "GITHUB", "MLFLOW", "DO_NOT_TRACK")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    assert run_python(code, environment) == "True []\n"


def run_python(code: str, environment: Mapping[str, str], *arguments: str) -> str:
    """What a fresh interpreter that runs `code` prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**environment, "PYTHONPATH": str(CHECKOUT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
