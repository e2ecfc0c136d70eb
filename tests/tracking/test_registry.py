"""Scores linked to models in MLflow, and the champion among them."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from longwriter.core.errors import DataError
from longwriter.core.settings import StatisticsSettings
from longwriter.models.lineup import MODELS
from longwriter.tracking.pipeline import log_pipeline_run
from longwriter.tracking.registry import (
    CHAMPION,
    REGISTERED,
    ModelScores,
    Promotion,
    log_scores,
    promote,
)
from longwriter.tracking.store import _migrate, sqlite_uri, tracking_uri

CHECKOUT = Path(__file__).parents[2]
STATISTICS = StatisticsSettings(resamples=1000, seed=0)
PROMPTS = [f"Write {number} words." for number in range(20)]

pytestmark = pytest.mark.xdist_group("registry")


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, which takes seconds."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    _migrate(sqlite_uri(path))
    return path


@pytest.fixture
def root(migrated: Path, tmp_path: Path) -> Path:
    (tmp_path / "mlruns").mkdir()
    shutil.copy(migrated, tmp_path / "mlruns/mlflow.db")
    return tmp_path


def report(root: Path, md5: str, lift: float, prompts: list[str] = PROMPTS) -> str:
    """A pipeline run whose models sft and dpo score 50 and 50 + lift, more or less."""
    run = log_pipeline_run(
        root, {"lift": lift}, {}, [], {f"models/{n}": f"{md5}-{n}" for n in ("sft", "dpo")}
    )
    of = {
        "sft": {prompt: 50.0 + number % 5 for number, prompt in enumerate(prompts)},
        "dpo": {prompt: 50.0 + lift + number % 5 for number, prompt in enumerate(prompts)},
    }
    scores = {
        name: ModelScores({"S_l": sum(by.values()) / len(by), "n": len(by)}, by)
        for name, by in of.items()
    }
    log_scores(root, run, "data/benchmark.jsonl", scores)
    return run


def test_scores_are_linked_once(root: Path) -> None:
    run = report(root, "a", 5)
    assert report(root, "a", 5) == run
    client = MlflowClient(tracking_uri(root))
    found = {
        model.name: model
        for model in client.search_logged_models([client.get_run(run).info.experiment_id])
    }
    assert set(found) == {"sft", "dpo"}
    metrics = {(m.key, m.value, m.dataset_name) for m in found["dpo"].metrics}
    assert metrics == {
        ("S_l", 57.0, "data/benchmark.jsonl"),
        ("n", 20.0, "data/benchmark.jsonl"),
    }
    assert found["dpo"].tags["dvc.md5"] == "a-dpo"
    # By the steps of training: the run's own number is its last model's.
    history = client.get_metric_history(run, "S_l")
    assert [(m.step, m.value) for m in history] == [(0, 52.0), (1, 57.0)]


def test_the_first_champion_has_none_to_beat(root: Path) -> None:
    report(root, "a", 5)
    assert promote(root, "sft", "a-sft", STATISTICS, False) == Promotion("1", True, None, 0, "")
    client = MlflowClient(tracking_uri(root))
    version = client.get_model_version_by_alias(REGISTERED, CHAMPION)
    assert version.tags == {"dvc.md5": "a-sft", "dvc.path": "models/sft"}
    assert version.source.startswith("models:/m-")
    # Again: it is the champion already.
    assert promote(root, "sft", "a-sft", STATISTICS, False) == Promotion("1", False, None, 0, "")
    assert len(client.search_model_versions(f"name = '{REGISTERED}'")) == 1


def test_a_better_model_of_another_run_is_promoted(root: Path) -> None:
    report(root, "a", 5)
    promote(root, "sft", "a-sft", STATISTICS, False)
    report(root, "b", 3)
    done = promote(root, "dpo", "b-dpo", STATISTICS, False)
    # Every prompt gained 3, so the interval is a point.
    assert (done.version, done.new, done.difference, done.prompts) == ("2", True, (3, 3, 3), 20)
    client = MlflowClient(tracking_uri(root))
    version = client.get_model_version_by_alias(REGISTERED, CHAMPION)
    assert version.version == 2
    assert version.tags["S_l_difference"] == "+3.0 [+3.0, +3.0] over 20 prompts"
    assert version.tags["compared_with"] == "1"
    assert "anyway" not in version.tags


def test_one_that_is_not_better_is_refused_or_promoted_anyway(root: Path) -> None:
    report(root, "a", 5)
    promote(root, "dpo", "a-dpo", STATISTICS, False)
    with pytest.raises(DataError) as raised:
        promote(root, "sft", "a-sft", STATISTICS, False)
    assert "version 1, the champion: -5.0 [-5.0, -5.0] over 20 prompts" in str(raised.value)
    client = MlflowClient(tracking_uri(root))
    assert client.get_model_version_by_alias(REGISTERED, CHAMPION).version == 1
    assert promote(root, "sft", "a-sft", STATISTICS, True).version == "2"
    version = client.get_model_version_by_alias(REGISTERED, CHAMPION)
    assert (version.version, version.tags["anyway"]) == (2, "true")


def test_other_prompts_are_not_compared(root: Path) -> None:
    report(root, "a", 5)
    promote(root, "sft", "a-sft", STATISTICS, False)
    report(root, "b", 9, [*PROMPTS[:18], "Write about tea."])
    with pytest.raises(
        DataError, match="was asked 19 prompts, version 1, the champion, 20, and 18"
    ):
        promote(root, "dpo", "b-dpo", STATISTICS, True)
    with pytest.raises(DataError, match="MLflow holds no scores of these weights"):
        promote(root, "dpo", "c-dpo", STATISTICS, False)


def test_the_command(root: Path) -> None:
    report(root, "a", 5)
    outs = [{"path": "models/sft", "md5": "a-sft"}]
    (root / "dvc.lock").write_text(yaml.safe_dump({"stages": {"sft": {"outs": outs}}}))

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "longwriter.cli.main", "promote", *arguments],
            cwd=root, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    status, out, _ = run("sft")
    assert (status, out.splitlines()) == (
        0,
        [
            "there was no champion to compare with",
            "sft: is version 1 of longwriter, alias champion",
            "make ui shows it under Models",
        ],
    )
    assert run("sft")[:2] == (0, "sft: is the champion already, version 1 of longwriter\n")
    status, out, err = run("dpo")
    assert (status, out) == (1, "")
    assert err.strip() == "error: models/dpo: dvc.lock knows none; `dvc repro dpo` makes it"


def test_dvc_s_artifacts_are_the_pipeline_s_models_and_rows() -> None:
    pipeline = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())
    artifacts = pipeline["artifacts"]
    models = {name: it["path"] for name, it in artifacts.items() if it["type"] == "model"}
    assert models == {model.name: f"models/{model.name}" for model in MODELS}
    outs = {
        out if isinstance(out, str) else next(iter(out))
        for stage in pipeline["stages"].values()
        for out in stage.get("outs", [])
    }
    assert {it["path"] for it in artifacts.values()} <= outs


def test_dvc_gets_an_artifact_by_name_and_gto_knows_it(tmp_path: Path) -> None:
    """In a repository of its own, with the artifacts of this one."""
    repository, elsewhere = tmp_path / "repository", tmp_path / "elsewhere"
    elsewhere.mkdir()
    artifacts = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["artifacts"]
    command = "mkdir -p models/sft && echo weights > models/sft/model.safetensors"
    pipeline = {
        "artifacts": {"sft": artifacts["sft"]},
        "stages": {"sft": {"cmd": command, "outs": ["models/sft"]}},
    }
    repository.mkdir()
    (repository / "dvc.yaml").write_text(yaml.safe_dump(pipeline))

    def run(*words: str, cwd: Path = repository) -> str:
        done = subprocess.run(words, cwd=cwd, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("git", "init", "-q")
    run("git", "config", "user.email", "a@b")
    run("git", "config", "user.name", "a")
    run("dvc", "init", "-q")
    run("dvc", "repro", "-q")
    run("git", "add", "-A")
    run("git", "commit", "-qm", "a")
    run("gto", "register", "sft")
    assert "v0.0.1" in run("gto", "show", "sft")
    run("dvc", "artifacts", "get", str(repository), "sft", "-o", "got", cwd=elsewhere)
    assert (elsewhere / "got/model.safetensors").read_text() == "weights\n"
