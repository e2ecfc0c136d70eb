"""Where runs are stored."""

import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from longwriter.tracking.store import EXPERIMENT, connect, folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)


def test_a_checkout_may_have_any_name(tmp_path: Path) -> None:
    root = tmp_path / "Repo%20Name 'a' \"b\" #1?, [字]"
    root.mkdir()
    experiment = connect(root)
    assert [path.name for path in tmp_path.iterdir()] == [root.name]  # no stray folder
    assert (folder(root) / "mlflow.db").is_file()
    client = MlflowClient()
    run = client.create_run(experiment).info.run_id
    client.log_metric(run, "S_l", 61.5)
    client.log_text(run, "words", "text.txt")
    assert client.get_run(run).data.metrics == {"S_l": 61.5}
    [file] = (folder(root) / "artifacts").rglob("text.txt")
    assert file.read_text() == "words"


def test_a_deleted_experiment_comes_back_with_its_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = connect(tmp_path)
    client = MlflowClient()
    run = client.create_run(experiment).info.run_id
    client.delete_experiment(experiment)
    assert connect(tmp_path) == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"
    assert f"the experiment {EXPERIMENT} was deleted; restored it" in capsys.readouterr().err
    [found] = client.search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY)
    assert found.info.run_id == run
    client.create_run(experiment)


def test_a_copied_checkout_says_where_its_files_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(tmp_path / "first")
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    capsys.readouterr()
    connect(tmp_path / "second")
    said = capsys.readouterr().err
    assert f"artifacts in the original's folder, {(tmp_path / 'first').as_uri()}" in said
    connect(tmp_path / "first")
    assert capsys.readouterr().err == ""
