"""LoggedModels with their scores, and `longwriter promote`, on a real MLflow database."""

import hashlib
import json
import re
import signal
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings
from helpers.finished_pipeline import METRICS, judgement, write_finished
from mlflow import MlflowClient
from mlflow.artifacts import load_dict
from mlflow.entities import LoggedModel
from mlflow.entities.model_registry import ModelVersion
from omegaconf import OmegaConf

from longwriter.cli.main import build_parser
from longwriter.cli.promote import promote
from longwriter.config.run import guarded
from longwriter.core.errors import DataError, SettingsError
from longwriter.report.load import read_results
from longwriter.tracking.comparing import since_last_run
from longwriter.tracking.lineage import input_digests
from longwriter.tracking.logged_models import model_scores
from longwriter.tracking.pipeline import log_pipeline_run
from longwriter.tracking.store import connect

FILE = "data/benchmark.jsonl"
DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
PLAIN = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
BETTER = [score + gain for score, gain in zip(PLAIN, (4, 6) * 3, strict=True)]
UNCLEAR = [20.0, 10.0, 40.0, 30.0, 60.0, 50.0]
"""PLAIN + 10, - 10, + 10, …: the mean difference is 0."""


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished pipeline's checkout; its database is made once, for that takes seconds."""
    root = write_finished(tmp_path_factory.mktemp("checkout"))
    settings = OmegaConf.structured(default_settings())
    (root / "params.yaml").write_text(OmegaConf.to_yaml(settings))
    return root


@pytest.fixture
def root(database: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(database)
    return database


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def report(
    root: Path,
    bytes_of_sft: str,
    scores: Sequence[float],
    benchmark: str = DIGEST,
    settings: dict[str, str] | None = None,
) -> str:
    """Logs the run of a pipeline whose sft has these bytes and S_l prompt by prompt."""
    rows = [judgement("sft", place) | {"length_score": s} for place, s in enumerate(scores)]
    path = root / "data/judgements/sft.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    params = {"params.yaml": {"bench.path": FILE}, "inputs.yaml": {"bench": {"path": benchmark}}}
    stages: dict[str, Any] = {
        name: {"outs": [{"path": f"models/{name}", "md5": md5(which), "size": 1}]}
        for name, which in (("base", "base"), ("sft", bytes_of_sft))
    }
    stages |= {f"predict@{name}": {"params": params} for name in ("base", "sft", "dpo")}
    (root / "dvc.lock").write_text(json.dumps({"stages": stages}))
    found = read_results(root)
    scored = model_scores(root, found.evals, found.judgements, graded=True)
    numbers = {"eval": found.evals, "mean": sum(scores) / len(scores), "of": bytes_of_sft}
    return log_pipeline_run(
        root, {"of": bytes_of_sft}, numbers, [], found.pointers, scored, settings=settings
    )


def models(root: Path, run_id: str) -> dict[str, LoggedModel]:
    client = MlflowClient()
    found = client.search_logged_models([connect(root)], f"source_run_id = '{run_id}'")
    names = [str(model.name) for model in found]
    assert len(names) == len(set(names))
    return dict(zip(names, found, strict=True))


def ask(name: str, model: str = "sft", anyway: bool = False) -> None:
    promote(Namespace(model=model, anyway=anyway, name=name))


def champion(name: str) -> ModelVersion:
    return MlflowClient().get_model_version_by_alias(name, "champion")


def test_a_model_has_pointer_numbers_benchmark_and_scores_by_prompt(root: Path) -> None:
    run_id = report(root, "linked", PLAIN)
    found = models(root, run_id)
    assert found.keys() == {"base", "sft"}  # dvc.lock has no models/dpo
    sft = found["sft"]
    assert {key: value for key, value in sft.tags.items() if not key.startswith("mlflow.")} == {
        "dvc.path": "models/sft",
        "dvc.md5": md5("linked"),
        "longwriter.run_id": run_id,
        "longwriter.git_commit": "",
        "longwriter.git_dirty": "false",
        "longwriter.benchmark": DIGEST,
    }
    assert sft.metrics is not None
    assert {metric.key: metric.value for metric in sft.metrics} == {
        "S_l": 58.25,  # as in metrics/eval/sft.json, which has no grades
        "n": 6,
        "unscored": 6,
        "cut_off": 0,
        "mean_words": 143.0,
    }
    assert {(m.dataset_name, m.dataset_digest) for m in sft.metrics} == {(FILE, "1" * 32)}
    prompts = [f"Write about topic {place}." for place in range(6)]
    keys = [hashlib.sha256(prompt.encode()).hexdigest()[:16] for prompt in prompts]
    assert load_dict(f"{sft.artifact_location}/scores.json") == {
        "benchmark": {"name": FILE, "digest": DIGEST},
        "S_l": dict(zip(keys, PLAIN, strict=True)),
    }
    run = MlflowClient().get_run(run_id)
    datasets = {(i.dataset.name, i.dataset.digest) for i in run.inputs.dataset_inputs}
    assert (FILE, "1" * 32) in datasets
    curve = MlflowClient().get_metric_history(run_id, "S_l")
    assert [(point.step, point.value) for point in curve] == [(0, 46.0), (1, 58.25)]


def test_the_same_state_reported_again_adds_nothing(root: Path) -> None:
    first = report(root, "twice", PLAIN)
    before = models(root, first)
    assert report(root, "twice", PLAIN) == first
    after = models(root, first)
    assert {m.model_id for m in after.values()} == {m.model_id for m in before.values()}
    assert after["sft"].metrics is not None and before["sft"].metrics is not None
    assert len(after["sft"].metrics) == len(before["sft"].metrics)
    assert len(MlflowClient().get_metric_history(first, "S_l")) == 2


def test_a_report_that_was_stopped_amid_the_scores_goes_on(root: Path) -> None:
    """The tag that says that all is there comes last."""
    first = report(root, "stopped", PLAIN)
    sft = models(root, first)["sft"]
    MlflowClient().delete_logged_model_tag(sft.model_id, "longwriter.benchmark")
    assert report(root, "stopped", PLAIN) == first
    after = models(root, first)["sft"]
    assert (after.tags, after.metrics) == (sft.tags, sft.metrics)


def test_grades_of_a_judge_that_cannot_be_trusted_are_left_out(root: Path) -> None:
    report(root, "toy", PLAIN)
    found = read_results(root)
    for graded, names in ((False, set()), (True, {"S_q", "S_bar"})):
        scores = model_scores(root, found.evals, found.judgements, graded=graded)
        assert scores["base"].numbers.keys() & {"S_q", "S_bar"} == names
    assert METRICS["eval/base"]["S_q"] is not None


def test_the_first_champion_beats_none(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = report(root, "first", PLAIN)
    ask("first")
    said = capsys.readouterr().out
    assert "first has no champion yet, so there is none to beat" in said
    assert f"models/sft ({md5('first')}) is first version 1, alias champion" in said
    assert said.endswith("http://127.0.0.1:5000/#/models/first/versions/1\n")
    version = champion("first")
    assert version.source == f"models:/{models(root, run_id)['sft'].model_id}"
    assert version.tags["longwriter.against"] == "none"
    assert version.tags["dvc.md5"] == md5("first")

    ask("first")
    assert "is first's champion already: version 1 (models/sft), the same bytes" in (
        capsys.readouterr().out
    )
    assert len(MlflowClient().search_model_versions("name = 'first'")) == 1


def test_a_better_one_is_promoted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(root, "plain", PLAIN)
    ask("better")
    report(root, "better", BETTER)
    ask("better")
    assert (
        "models/sft against the champion, version 1 (models/sft): "
        "S_l +5.0 [+3.9, +6.1], paired [95 %], 6 shared prompts\n"
    ) in capsys.readouterr().out
    version = champion("better")
    tags = {key.partition(".")[2]: value for key, value in version.tags.items()}
    assert str(version.version) == "2"
    assert (tags["against"], tags["n"], tags["anyway"]) == ("1", "6", "false")
    assert (tags["difference"], tags["interval"]) == ("5.0", "[3.8504, 6.1496]")


def test_one_that_is_not_shown_to_be_better_needs_anyway(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(root, "plain", PLAIN)
    ask("unclear")
    report(root, "unclear", UNCLEAR)
    with pytest.raises(
        DataError, match=r"not shown to be better than version 1 .*: S_l \+0\.0 \[−"
    ):
        ask("unclear")
    assert str(champion("unclear").version) == "1"
    assert len(MlflowClient().search_model_versions("name = 'unclear'")) == 1

    ask("unclear", anyway=True)
    version = champion("unclear")
    assert (str(version.version), version.tags["longwriter.anyway"]) == ("2", "true")
    low, high = json.loads(version.tags["longwriter.interval"])
    assert low == -high == -11.496  # t(0.975, 5) · 10.954 / √6
    assert (version.tags["longwriter.difference"], version.tags["longwriter.n"]) == ("0.0", "6")
    assert "is unclear version 2" in capsys.readouterr().out


def test_scores_of_another_benchmark_are_not_compared(root: Path) -> None:
    report(root, "plain", PLAIN)
    ask("other")
    report(root, "other", BETTER, benchmark=OTHER)
    with pytest.raises(DataError, match=f"benchmarks differ.*{DIGEST}.*{OTHER}"):
        ask("other")
    assert str(champion("other").version) == "1"
    ask("other", anyway=True)
    tags = champion("other").tags
    assert tags["longwriter.anyway"] == "true"
    assert "benchmarks differ" in tags["longwriter.fault"]
    assert "longwriter.difference" not in tags


def test_only_shared_prompts_count_and_one_is_too_few(root: Path) -> None:
    report(root, "plain", PLAIN)
    ask("shared")
    report(root, "one", BETTER[:1])
    with pytest.raises(DataError, match="1 shared prompts: too few for an interval"):
        ask("shared")
    report(root, "three", BETTER[:3])
    ask("shared")
    assert champion("shared").tags["longwriter.n"] == "3"


def test_a_checkpoint_without_scores_is_named(root: Path) -> None:
    report(root, "known", PLAIN)
    lock = root / "dvc.lock"
    lock.write_text(lock.read_text().replace(md5("known"), md5("unreported")))
    with pytest.raises(DataError, match=rf"no scores .*{md5('unreported')}\); run `dvc repro`"):
        ask("any")
    with pytest.raises(DataError, match=r"dvc\.lock: has no models/dpo; run `dvc repro`"):
        ask("any", "dpo")
    with pytest.raises(
        SettingsError, match="'rl' is no model of the pipeline; it has base, sft, dpo"
    ):
        ask("any", "rl")


def test_the_command_ends_with_1_and_says_the_interval(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's handlers stay
    report(root, "plain", PLAIN)
    ask("command")
    report(root, "unclear", UNCLEAR)
    given = build_parser().parse_args(["promote", "sft", "--name", "command"])
    given.overrides = []
    with pytest.raises(SystemExit) as ended:
        guarded(lambda: promote(given))
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert "error: models/sft is not shown to be better than version 1" in said
    assert "S_l +0.0 [−" in said


def test_a_run_says_what_changed_since_the_run_before(root: Path) -> None:
    first = report(root, "first", PLAIN, settings={"sft.learning_rate": "5e-05", "sft.seed": "1"})
    second = report(root, "second", BETTER, settings={"sft.learning_rate": "1e-4", "sft.seed": "1"})
    change = since_last_run(root, second)
    assert change is not None
    assert change.settings == {"sft.learning_rate": ("5e-05", "1e-4")}
    # Differences 4, 6, 4, 6, 4, 6: mean 5, standard error √(1.2 / 6), t of 5 degrees 2.571.
    heading, _, *lines = str(change).splitlines()
    assert re.fullmatch(r"Since the run before, pipeline \d\d-\d\d \d\d:\d\d:", heading)
    assert lines == [
        "- sft.learning_rate: 5e-05 → 1e-4",
        "- base: S_l +0.0 on 6 shared prompts",
        "- sft: S_l +5.0 [+3.9, +6.1], paired [95 %], 6 shared prompts",
    ]
    back = since_last_run(root, first)
    assert back is not None
    assert str(back).splitlines()[-1].startswith("- sft: S_l −5.0 [−6.1, −3.9], paired")


def test_of_many_settings_the_first_are_shown(root: Path) -> None:
    report(root, "few", PLAIN, settings={f"s{n:02}": "1" for n in range(15)})
    many = report(root, "many", PLAIN, settings={f"s{n:02}": "2" for n in range(15)})
    lines = str(since_last_run(root, many)).splitlines()
    assert lines[2:15] == [*(f"- s{n:02}: 1 → 2" for n in range(12)), "- … and 3 more settings"]


def test_long_values_are_shown_from_where_they_differ(root: Path) -> None:
    rules = ", ".join(["malformed"] * 20)
    report(root, "long", PLAIN, settings={"filter.rules": f"{rules}, opener"})
    change = since_last_run(
        root, report(root, "longer", PLAIN, settings={"filter.rules": f"{rules}, closer"})
    )
    assert change is not None
    assert change.settings == {"filter.rules": ("…opener", "…closer")}


def test_an_input_file_with_other_contents_has_changed(root: Path) -> None:
    report(root, "file", PLAIN, settings={"contents of bench.path": "sha256:11"})
    new = report(root, "other file", PLAIN, settings={"contents of bench.path": "sha256:12"})
    assert "- contents of bench.path: changed" in str(since_last_run(root, new)).splitlines()


def test_of_a_run_without_its_settings_the_parameters_are_compared(root: Path) -> None:
    report(root, "older", PLAIN)
    change = since_last_run(root, report(root, "newer", PLAIN, settings={"sft.seed": "1"}))
    assert change is not None
    assert change.settings == {"of": ("older", "newer")}


def test_the_same_settings_and_another_benchmark_are_said(root: Path) -> None:
    report(root, "old", PLAIN, settings={"sft.seed": "1"})
    change = since_last_run(root, report(root, "new", PLAIN, OTHER, settings={"sft.seed": "1"}))
    assert change is not None
    heading, _, line, _ = str(change).splitlines()
    assert heading.endswith(", with the same settings and inputs:")
    assert line == f"- base: the benchmarks differ: {FILE} ({DIGEST}), now {FILE} ({OTHER})"


def test_a_first_run_changes_nothing(tmp_path: Path) -> None:
    run = log_pipeline_run(tmp_path, {}, {"S_l": 1.0}, [], {})
    assert since_last_run(tmp_path, run) is None


def test_input_files_are_known_by_their_contents(tmp_path: Path) -> None:
    assert input_digests(tmp_path) == {}
    (tmp_path / "inputs.yaml").write_text("sft:\n  data: null\nbench:\n  path: sha256:11\n")
    assert input_digests(tmp_path) == {"contents of bench.path": "sha256:11"}
