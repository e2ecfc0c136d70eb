"""Settings reach the stages through DVC and by hand: real repositories, stages that need no model.

The checkout's tracked files are copied; a stage that a test does not run has placeholder outputs.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc.repo import Repo
from helpers.checkouts import set_value
from mlflow import MlflowClient
from omegaconf import OmegaConf

from longwriter.config.load import write_params
from longwriter.llm.settings import ServerSettings
from longwriter.models.lineup import MODELS

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).parents[2]
PREDICT = {f"predict@{model.name}" for model in MODELS}
EVAL = {f"eval@{model.name}" for model in MODELS}
JUDGED = {*EVAL, "judge_audit"}
WRITTEN = {"agentwrite", "short_answers", "filter", "pairs", *PREDICT, *JUDGED}
"""Stages that speak to a model or look at its words."""
ALL = {"base", "sft", "dpo", *WRITTEN}

GOOD = "The river rises in the hills and runs past three villages to the sea."  # 14 words
SHORT = "Once upon a time a fox slept."  # 7 words
REFUSAL = "I'm sorry, but as an AI language model I cannot help you with that at all."


def draft(name: str, response: str) -> dict[str, Any]:
    """A row of drafts.jsonl without a required length."""
    return {
        "id": name,
        "prompt": f"Write {name}.",
        "plan": [{"main_point": "All of it", "word_count": 15}],
        "paragraphs": [response],
        "response": response,
        "response_length": len(response.split()),
        "usage": {"calls": 2},
    }


DRAFTS = [draft("good", GOOD), draft("refused", REFUSAL), draft("short", SHORT)]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def kept(folder: Path) -> list[str]:
    """Ids in the training set below `folder`."""
    return sorted(row["id"] for row in read_rows(folder / "data/sft/train.jsonl"))


def rejected(folder: Path) -> dict[str, str]:
    """Id → rule of what the filter rejected below `folder`."""
    return {row["id"]: row["rule"] for row in read_rows(folder / "data/sft/rejected.jsonl")}


@pytest.fixture(scope="module", autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Caches, MLflow's database and DVC's own folders lie in a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("DVC_", "MLFLOW_", "GIT_"))]:
            patch.delenv(name)
        own = tmp_path_factory.mktemp("environment")
        who = {
            f"GIT_{role}_{what}": "n@e"
            for role in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        for name, text in {
            **who,
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LONGWRITER_CACHE": str(own / "cache"),
            "MLFLOW_TRACKING_URI": f"sqlite:///{own}/mlflow.db",
            "DVC_SITE_CACHE_DIR": str(own / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(own / "global"),
            "DVC_NO_ANALYTICS": "1",
        }.items():
            patch.setenv(name, text)
        yield


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs `python …`, `dvc …` or `gto …` in the repository `folder`."""
    program = {
        "python": [sys.executable],
        "dvc": [sys.executable, "-m", "dvc"],
        "gto": [str(Path(sys.executable).with_name("gto"))],
    }[command[0]]
    return subprocess.run(
        [*program, *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "src"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


def succeed(folder: Path, *command: str, **variables: str) -> str:
    """What a command prints that must end well."""
    done = run(folder, *command, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which `dvc repro` has nothing to do: agentwrite left DRAFTS, the other stages
    placeholders."""
    root = tmp_path_factory.mktemp("finished")
    for name in git(CHECKOUT, "ls-files", "-co", "--exclude-standard").splitlines():
        source = CHECKOUT / name
        if source.is_file() and not name.startswith((".venv", "tests/", "metrics/", "dvc.lock")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, root / name)
    git(root, "init", "--quiet")
    write_rows(root / "data/agentwrite/drafts.jsonl", DRAFTS)
    set_value(root, "filter/default", "min_words", "10")
    set_value(root, "runtime/default", "system_metrics", "false")
    write_params(root)
    with Repo(root) as repo:
        outs = [Path(out.fs_path) for out in repo.index.outs]
    for path in outs:
        if path.suffix:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        else:
            path.mkdir(parents=True, exist_ok=True)
            (path / "file").touch()
    succeed(root, "dvc", "commit", "--force", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "a finished pipeline")
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A finished repository of the test's own."""
    return Path(shutil.copytree(finished, tmp_path / "checkout"))


def files_of(root: Path, *names: str) -> dict[str, bytes]:
    """Content of every file at or below the given paths."""
    found = [path for name in names for path in [root / name, *(root / name).rglob("*")]]
    return {str(path.relative_to(root)): path.read_bytes() for path in found if path.is_file()}


def changed_stages(root: Path) -> set[str]:
    """Stages whose dependencies or settings are not those of their last run, but for `params`, and
    `report`, which depends on all settings and code."""
    with Repo(root) as repo:
        status = repo.status()
    changed = {
        stage.split(":")[-1]  # DVC puts the path of dvc.yaml before it
        for stage, reasons in status.items()
        if any(isinstance(reason, dict) and "changed deps" in reason for reason in reasons)
    }
    return changed - {"params", "report"}


def logged() -> str:
    """The value of `filter.min_words` in MLflow's newest run of the stage `filter`."""
    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    experiment = client.get_experiment_by_name("longwriter")
    assert experiment is not None
    ours = "tags.`longwriter.stage` = 'filter'"
    runs = client.search_runs([experiment.experiment_id], ours, order_by=["start_time DESC"])
    return str(runs[0].data.params["filter.min_words"])


# One edit at a time


@pytest.mark.parametrize(
    ("option", "key", "value", "stages"),
    [
        ("teacher/smollm2", "max_tokens", "700", {"agentwrite", "short_answers"}),
        (
            "server/smollm2",
            "kind",
            "endpoint",
            ALL - {"filter", "sft", "base", "pairs", "dpo", *PREDICT},
        ),
        ("server/auto", "kind", "endpoint", {"base", "pairs", "dpo", *PREDICT}),
        ("student/smollm2", "checkpoint", "other", {"base", "sft", "dpo", "pairs", *PREDICT}),
        ("student/smollm2", "chat_template_path", "other", {"base"}),
        ("student/smollm2", "temperature", "0.7", {"pairs", *PREDICT}),
        ("student/smollm2", "timeout_s", "70", set()),
        ("agentwrite/default", "limit", "3", {"agentwrite"}),
        ("short_answers/default", "limit", "3", {"short_answers"}),
        ("filter/default", "min_words", "3", {"filter"}),
        ("contamination/default", "max_overlap", "0.5", {"filter", "pairs"}),
        ("sft/default", "learning_rate", "1.0e-6", {"sft"}),
        ("pairs/default", "samples", "5", {"pairs"}),
        ("dpo/default", "r", "2", {"dpo"}),
        ("bench/own", "limit", "3", PREDICT),
        ("bench/own", "samples", "2", PREDICT),
        ("bench/own", "languages", "[en]", PREDICT),
        ("bench/own", "sha256", "0", PREDICT),
        ("bench/own", "path", "other", {"filter", "pairs", *PREDICT}),
        ("bench/own", "length_bins", "[0, 1]", EVAL),
        ("judge_audit/default", "probes", "3", {"judge_audit"}),
        ("judge/grading", "repeats", "3", JUDGED),
        ("judge/grading", "prompt_path", "other", JUDGED),
        ("judge/smollm2", "temperature", "1", JUDGED),
        ("judge/smollm2", "max_tokens", "7", JUDGED),
        ("judge/smollm2", "concurrency", "2", set()),
        ("statistics/default", "resamples", "500", JUDGED),
        ("runtime/default", "threads", "1", set()),
        ("runtime/default", "traces", "3", set()),
        ("runtime/default", "seed", "1", ALL - {"base"}),
        ("agentwrite/default", "seed", "1", {"agentwrite"}),
        ("short_answers/default", "seed", "1", {"short_answers"}),
        ("filter/default", "seed", "1", {"filter"}),
        ("sft/default", "seed", "1", {"sft"}),
        ("pairs/default", "seed", "1", {"pairs"}),
        ("dpo/default", "seed", "1", {"dpo"}),
        ("bench/own", "seed", "1", {*PREDICT, *JUDGED}),
    ],
)
def test_a_value_reaches_the_stages_that_use_it_and_no_other(
    root: Path, option: str, key: str, value: str, stages: set[str]
) -> None:
    set_value(root, option, key, value)
    write_params(root)
    assert changed_stages(root) == stages


def test_the_teacher_s_pace_changes_nothing(root: Path) -> None:
    for key in ("concurrency", "timeout_s", "max_retries", "requests_per_minute"):
        set_value(root, "server/endpoint", key, "3")
    set_value(root, "server/smollm2", "concurrency", "3")
    write_params(root)
    assert changed_stages(root) == set()


def test_accelerate_s_values_reach_training(root: Path) -> None:
    set_value(root, "config", "- runtime", "cpu2")
    write_params(root)
    assert changed_stages(root) == {"sft", "dpo"}
    succeed(root, "dvc", "commit", "--force", "--quiet", "sft", "dpo")
    assert changed_stages(root) == set()
    set_value(root, "runtime/cpu2", "num_processes", "3")
    write_params(root)
    assert changed_stages(root) == {"sft", "dpo"}


FILES = {
    "teacher/smollm2": {"model": {"agentwrite", "short_answers"}},
    "student/smollm2": {
        "checkpoint": {"base", "pairs", *PREDICT},
        "chat_template_path": {"base"},
    },
    "judge/grading": {"prompt_path": JUDGED},
    "agentwrite/default": {"instructions": {"agentwrite"}, "en": {"agentwrite", "filter"}},
    "short_answers/default": {"instructions": {"short_answers"}},
    "filter/default": {"drafts": {"filter"}, "tokenizer": {"filter"}, "path": {"filter"}},
    "sft/default": {"data": {"sft"}, "validation": {"sft"}},
    "pairs/default": {"instructions": {"pairs"}, "path": {"pairs"}},
    "dpo/default": {"pairs": {"dpo"}, "validation": {"dpo"}},
    "bench/own": {"path": {"filter", "pairs", *PREDICT}},
    "judge_audit/default": {"predictions": {"judge_audit"}, "labels": {"judge_audit"}},
}
"""Option → its settings that name a file → stages that read the file."""


@pytest.fixture(scope="module")
def with_files(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished repository in which every setting of FILES names a file of its own."""
    root = Path(shutil.copytree(finished, tmp_path_factory.mktemp("with-files") / "checkout"))
    (root / "own").mkdir()
    for option, keys in FILES.items():
        for key in keys:
            name = own_file(option, key)
            (root / name).write_text("first\n")
            point_at(root, option, key, name)
    write_params(root)
    succeed(root, "dvc", "commit", "--force", "--quiet")
    return root


def point_at(root: Path, option: str, key: str, name: str) -> None:
    """Has a setting name a file; conf/teacher leaves the model to conf/server."""
    path = root / f"conf/{option}.yaml"
    if re.search(rf"^ *{key}:", path.read_text(), re.MULTILINE):
        set_value(root, option, key, name)
    else:
        path.write_text(f"{path.read_text()}{key}: {name}\n")


def own_file(option: str, key: str) -> str:
    return f"own/{option.replace('/', '-')}-{key}"


@pytest.mark.parametrize("option", FILES)
def test_a_file_s_content_reaches_the_stages_that_read_it(
    with_files: Path, tmp_path: Path, option: str
) -> None:
    root = Path(shutil.copytree(with_files, tmp_path / "checkout"))
    for key, stages in FILES[option].items():
        path = root / own_file(option, key)
        path.write_text("second\n")
        write_params(root)
        assert changed_stages(root) == stages, key
        path.write_text("first\n")
    write_params(root)
    assert changed_stages(root) == set()


def test_every_setting_that_names_a_file_is_in_the_table(root: Path) -> None:
    """But for those whose file the DAG itself gives, and lists of files, tested below."""
    inputs = OmegaConf.to_container(OmegaConf.load(root / "inputs.yaml"))
    keys = {".".join(path) for path in paths_of(inputs)}
    groups = {option.split("/")[0] for option in FILES}
    missing = {key for key in keys if key.split(".")[0] not in groups}
    assert missing == {
        "contamination.benchmarks." + name
        for name in (
            "data/benchmark.jsonl",
            "data/benchmark_long.jsonl",
            "data/longbench_write.jsonl",
            "data/longwrite_ruler.jsonl",
        )
    } | {"predict.model", "predict.benchmark", "eval.predictions", "second_judge"}


def paths_of(node: Any) -> Iterator[tuple[str, ...]]:
    """Keys of every leaf."""
    if not isinstance(node, dict):
        yield ()
        return
    for key, inner in node.items():
        yield from ((key, *rest) for rest in paths_of(inner))


def test_a_benchmark_that_is_fetched_is_held_against_the_rows(root: Path) -> None:
    (root / "data/longbench_write.jsonl").write_text('{"prompt": "x"}\n')
    write_params(root)
    assert changed_stages(root) == {"filter", "pairs"}


def test_a_hub_id_is_known_by_its_revision(root: Path) -> None:
    set_value(root, "agentwrite/default", "instructions", "org/name")
    set_value(root, "agentwrite/default", "revision", "abc")
    write_params(root)
    inputs = OmegaConf.load(root / "inputs.yaml")
    assert inputs.agentwrite.instructions == "hub:org/name@abc"
    assert inputs.second_judge is None  # DVC wants the key of every group that a stage names


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("core/files", ALL),
        ("text/words", WRITTEN),
        ("llm/client", WRITTEN),
        ("agentwrite/writer", {"agentwrite"}),
        ("agentwrite/short_answers", {"agentwrite", "short_answers"}),
        ("evaluation/judge", {"filter", "pairs", *JUDGED}),
        ("evaluation/contamination", {"filter", "pairs", *JUDGED}),
        ("evaluation/predict", {*PREDICT, *JUDGED}),
        ("evaluation/summary", JUDGED),
        ("models/checkpoint", {"base", "sft", "dpo"}),
        ("models/training_run", {"sft", "dpo"}),
        ("models/serving", {"pairs", *PREDICT}),
        ("models/lineup", set()),
        ("sft/loss", {"sft"}),
        ("preference/pairing", {"pairs"}),
        ("preference/trainer", {"dpo"}),
        ("dataset/rules", {"filter"}),
        ("tracking/runs", set()),
        ("report/render", set()),
        ("config/load", set()),
        ("cli/explain", set()),
        ("sweep/job", set()),
    ],
)
def test_a_module_reaches_the_stages_that_run_it(root: Path, module: str, stages: set[str]) -> None:
    with (root / f"src/longwriter/{module}.py").open("a") as file:
        file.write("# edited\n")
    assert changed_stages(root) == stages


PACE = {
    "concurrency",
    "timeout_s",
    "max_retries",
    "requests_per_minute",
    "tokens_per_minute",
    "api_key_env",
    "vllm",
    "identity",
    "stream",
    "patience_s",
    "batch",
    "batch_price",
}
"""Settings of a server that shape neither an answer nor its cost."""


@pytest.mark.parametrize(
    ("stage", "group"),
    [
        ("agentwrite", "teacher"),
        ("short_answers", "teacher"),
        ("pairs", "student.server"),
        *((stage, "student.server") for stage in sorted(PREDICT)),
        *((stage, "judge") for stage in sorted(JUDGED)),
    ],
)
def test_a_stage_depends_on_all_that_shapes_its_server_s_answers(
    finished: Path, stage: str, group: str
) -> None:
    with Repo(finished) as repo:
        [found] = repo.stage.collect(stage)
        keys = {key for dep in found.deps for key in getattr(dep, "params", ())}
    assert {key.removeprefix(f"{group}.") for key in keys if key.startswith(f"{group}.")} >= {
        field.name for field in fields(ServerSettings)
    } - PACE


def test_judge_has_no_stage_below_it_that_generates(root: Path) -> None:
    """The judge's settings change JUDGED (above); after it only the report reads what it writes."""
    with Repo(root) as repo:
        edges = repo.index.graph.edges  # from a stage to those it depends on
        below = {stage.name for stage, upstream in edges if upstream.name in JUDGED}
    assert below == {"report"}


def test_repro_of_a_finished_pipeline_only_checks_the_settings(root: Path) -> None:
    printed = succeed(root, "dvc", "repro")
    assert re.findall(r"Running stage '(.*)'", printed) == ["params"]


@pytest.mark.parametrize(
    "name", ["metrics/sft.json", "data/judgements/sft.jsonl", "src/longwriter/report/render.py"]
)
def test_the_report_shows_what_lies_there(root: Path, name: str) -> None:
    (root / name).write_text("other")
    with Repo(root) as repo:
        assert "report" in {name.rpartition(":")[2] for name in repo.status()}


def test_repro_takes_up_an_edit_and_reruns_only_what_uses_it(root: Path) -> None:
    set_value(root, "filter/default", "min_words", "3")
    printed = succeed(root, "dvc", "repro", "filter")
    ran = re.findall(r"Running stage '(.*)'", printed)
    assert ran == ["params", "filter"]
    assert OmegaConf.load(root / "params.yaml").filter.min_words == 3
    assert kept(root) == ["good", "short"]
    assert rejected(root) == {"refused": "refusal"}
    assert logged() == "3"
    assert changed_stages(root) == {"sft", "pairs"}  # which would now read another training set
    assert "Running stage 'filter'" not in succeed(root, "dvc", "repro", "filter")


# Overrides of an experiment


def test_override_of_an_experiment_reaches_the_stage(root: Path) -> None:
    before = files_of(root, "data/sft", "metrics")
    succeed(root, "dvc", "exp", "run", "-S", "filter.min_words=3", "filter")
    assert OmegaConf.load(root / "params.yaml").filter.min_words == 3
    assert kept(root) == ["good", "short"]
    assert logged() == "3"
    assert git(root, "status", "--porcelain", "conf") == ""
    printed = succeed(root, "dvc", "repro", "filter")  # conf/ is in force again
    assert OmegaConf.load(root / "params.yaml").filter.min_words == 10
    assert "Stage 'filter' is cached - skipping run" in printed  # DVC's run cache has it
    assert files_of(root, "data/sft", "metrics") == before


def test_a_named_experiment_reaches_params(root: Path) -> None:
    succeed(root, "dvc", "exp", "run", "-S", "+experiment=smoke", "params")
    smoke = OmegaConf.load(root / "conf/experiment/smoke.yaml")
    params = OmegaConf.load(root / "params.yaml")
    assert OmegaConf.merge(params, smoke) == params  # all of smoke's differences are in it
    assert params.bench.limit != OmegaConf.load(root / "conf/bench/own.yaml").limit


def test_an_experiment_digests_the_files_of_its_overrides(root: Path) -> None:
    (root / "own.jsonl").write_text('{"prompt": "Write."}\n')
    succeed(root, "dvc", "exp", "run", "-S", "pairs.instructions=own.jsonl", "params")
    digest = hashlib.sha256((root / "own.jsonl").read_bytes()).hexdigest()
    inputs = OmegaConf.load(root / "inputs.yaml")
    assert inputs.pairs.instructions == f"sha256:{digest}"


def test_a_stage_that_fails_says_how_to_get_its_outputs_back(root: Path) -> None:
    outputs = *(f"data/sft/{n}" for n in ("train.jsonl", "rejected.jsonl")), "metrics/filter.json"
    before = files_of(root, *outputs)
    set_value(root, "filter/default", "min_words", "1000")
    done = run(root, "dvc", "repro", "filter")
    assert done.returncode != 0
    assert "no draft passes the rules" in done.stderr
    assert "`dvc checkout --force`" in done.stderr and "`git checkout -- metrics/`" in done.stderr
    assert list(files_of(root, *outputs)) == ["data/sft/rejected.jsonl"]  # it says why
    succeed(root, "dvc", "checkout", "--force")
    git(root, "checkout", "--", "metrics/")
    assert files_of(root, *outputs) == before


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("filter.min_wrods=3", "filter.min_wrods"),
        ("+filter.min_wrods=3", "filter.min_wrods"),
        ("filter.min_words=-3", "filter.min_words"),
    ],
)
def test_wrong_override_of_an_experiment_is_named(root: Path, override: str, key: str) -> None:
    before = files_of(root, "data")
    done = run(root, "dvc", "exp", "run", "-S", override, "filter")
    assert done.returncode != 0
    assert key in done.stderr
    assert "Running stage 'filter'" not in done.stdout
    assert files_of(root, "data") == before


def test_typo_in_conf_stops_repro_and_stages_by_hand(root: Path, tmp_path: Path) -> None:
    with (root / "conf/filter/default.yaml").open("a") as file:
        file.write("min_wrods: 3\n")
    before = files_of(root, "data", "params.yaml", "metrics")
    by_hand = ["python", "stages/filter.py", f"hydra.run.dir={tmp_path}/out"]
    for command in (["dvc", "repro", "filter"], by_hand):
        done = run(root, *command)
        assert done.returncode != 0
        assert "filter.min_wrods: " in done.stderr
        assert "conf/filter/default.yaml" in done.stderr
        assert "Traceback" not in done.stderr
        assert "Running stage 'filter'" not in done.stdout
    assert files_of(root, "data", "params.yaml", "metrics") == before


# Artifacts


def test_artifacts_are_the_models_and_outputs_of_stages() -> None:
    with Repo(CHECKOUT) as repo:
        artifacts = repo.artifacts.read()["dvc.yaml"]
        outs = {Path(out.fs_path).relative_to(CHECKOUT).as_posix() for out in repo.index.outs}
    models = {name: found.path for name, found in artifacts.items() if found.type == "model"}
    assert models == {model.name: f"models/{model.name}" for model in MODELS}
    data = {name: found.path for name, found in artifacts.items() if found.type == "dataset"}
    assert data == {"long-writing-data": "data/sft/hf", "preference-pairs": "data/dpo/pairs.jsonl"}
    assert {found.path for found in artifacts.values()} <= outs
    assert all(found.desc and found.labels for found in artifacts.values())


def test_a_registered_version_is_got_with_its_own_bytes(root: Path, tmp_path: Path) -> None:
    weights = root / "models/sft/file"
    for version in ("1.0.0", "2.0.0"):
        weights.write_text(f"weights of {version}")
        succeed(root, "dvc", "commit", "--force", "--quiet", "sft")
        git(root, "commit", "--quiet", "--all", "--message", version)
        succeed(root, "gto", "register", "sft", "--version", f"v{version}")
    succeed(root, "gto", "assign", "sft", "--version", "v1.0.0", "--stage", "live")
    shown = json.loads(succeed(root, "gto", "show", "--json"))
    assert shown["sft"]["version"] == "v2.0.0"

    got = tmp_path / "got"
    got.mkdir()
    for out, chosen in (("new", ["--rev", "v2.0.0"]), ("live", ["--stage", "live"])):
        succeed(got, "dvc", "artifacts", "get", str(root), "sft", "--out", out, *chosen)
    texts = {path.parent.name: path.read_text() for path in got.glob("*/file")}
    assert texts == {"new": "weights of 2.0.0", "live": "weights of 1.0.0"}


# A stage by hand


def test_stage_by_hand_writes_below_its_run_folder(root: Path, tmp_path: Path) -> None:
    drafts, out = write_rows(tmp_path / "drafts.jsonl", DRAFTS), tmp_path / "out"
    before = files_of(root, "data", "models", "metrics", "params.yaml", "dvc.lock")
    command = [f"filter.drafts={drafts}", "filter.min_words=1", f"hydra.run.dir={out}"]
    succeed(root, "python", "stages/filter.py", *command)
    rows = read_rows(out / "data/sft/train.jsonl")
    assert sorted(rows, key=lambda row: row["id"]) == [
        {
            "messages": [
                {"role": "user", "content": f"Write {name}."},
                {"role": "assistant", "content": response},
            ],
            "id": name,
            "source": "drafts.jsonl",
            "length": None,
            "response_length": len(response.split()),
            "language": "en",
            "type": "",
            "writer": "",
            "tokens": None,
        }
        for name, response in (("good", GOOD), ("short", SHORT))
    ]
    assert rejected(out) == {"refused": "refusal"}
    metrics = json.loads((out / "metrics/filter.json").read_text())
    assert (metrics["drafts"], metrics["kept"]) == (3, 2)
    assert logged() == "1"
    assert files_of(root, "data", "models", "metrics", "params.yaml", "dvc.lock") == before
    assert git(root, "status", "--porcelain") == ""
    assert changed_stages(root) == set()  # the next `dvc repro` knows nothing of it


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_dvc_takes_its_stage_along(root: Path, chat_server: Any) -> None:
    asked, ended = threading.Event(), threading.Event()

    def never(request: dict[str, Any]) -> str:
        asked.set()
        ended.wait(60)
        return ""

    server = chat_server(never)
    for key, text in {"kind": "endpoint", "model": "m"}.items():
        set_value(root, "server/smollm2", key, text)
    set_value(root, "server/endpoint", "base_url", server.base_url)
    write_rows(root / "data/instructions.jsonl", [{"prompt": "Write 50 words.", "length": 50}])
    drafts = root / "data/agentwrite/drafts.jsonl"
    before = drafts.read_bytes()
    command = [sys.executable, "-m", "dvc", "repro", "agentwrite"]
    # DVC starts stages with $SHELL. bash replaces itself by its last command, dash does not.
    dvc = psutil.Popen(command, cwd=root, env={**os.environ, "SHELL": "/bin/sh"})
    try:
        assert asked.wait(60)
        stage = dvc.children(recursive=True)
        assert any("stages/agentwrite.py" in process.cmdline() for process in stage)
        dvc.kill()
        _, alive = psutil.wait_procs(stage, timeout=10)
        assert alive == []
    finally:
        dvc.kill()
        ended.set()
    assert not drafts.exists()  # DVC removes a stage's outputs before it runs
    succeed(root, "dvc", "checkout", "--force")
    assert drafts.read_bytes() == before


@pytest.mark.parametrize("place", ["first", "last"])
def test_several_runs_by_hand_have_a_folder_each(root: Path, tmp_path: Path, place: str) -> None:
    drafts, sweep = write_rows(tmp_path / "drafts.jsonl", DRAFTS), tmp_path / "sweep"
    command = [f"filter.drafts={drafts}", f"hydra.sweep.dir={sweep}", "filter.min_words=1,10,1000"]
    where = {"first": ["-m", *command], "last": [*command, "-m"]}[place]
    done = run(root, "python", "stages/filter.py", *where)
    assert kept(sweep / "0") == ["good", "short"]
    assert kept(sweep / "1") == ["good"]
    assert [file.name for file in (sweep / "2/data").rglob("*.*")] == ["rejected.jsonl"]
    assert done.returncode == 1
    assert (
        f"error: {drafts}: no draft passes the rules: {{'refusal': 1, 'too_short': 2}}"
        in done.stderr
    )
    assert "Traceback" not in done.stderr


def test_one_model_under_several_names_is_refused(root: Path, tmp_path: Path) -> None:
    server = ["student.server.kind=endpoint", "student.server.base_url=http://127.0.0.1:9/v1"]
    named = [
        "student.server.model=m",
        "predict.model=models/sft",
        f"hydra.run.dir={tmp_path / 'out'}",
    ]
    done = run(root, "python", "stages/predict.py", *server, *named)
    assert done.returncode == 1
    assert "error: student.server.model: m would answer for every checkpoint" in done.stderr


def test_malformed_drafts_are_rejected_and_named(root: Path, tmp_path: Path) -> None:
    drafts, out = write_rows(tmp_path / "drafts.jsonl", DRAFTS[:1]), tmp_path / "out"
    with drafts.open("ab") as file:
        file.write(b'\n{"prompt": "Caf\xe9", "response": "x"}\n{"id": "cut"')
    printed = succeed(
        root, "python", "stages/filter.py", f"filter.drafts={drafts}", f"hydra.run.dir={out}"
    )
    assert kept(out) == ["good"]
    assert "warning: malformed alone took 2 of 3 drafts; see conf/filter" in printed
    details = [row["detail"] for row in read_rows(out / "data/sft/rejected.jsonl")]
    assert details == [
        f"{drafts}:3: not UTF-8 (byte 15 of the line)",
        f"{drafts}:4: not JSON: Expecting ',' delimiter at column 13",
    ]


def test_malformed_drafts_stop_the_stage_where_that_rule_is_off(root: Path, tmp_path: Path) -> None:
    drafts, out = write_rows(tmp_path / "drafts.jsonl", DRAFTS), tmp_path / "out"
    command = ["python", "stages/filter.py", f"filter.drafts={drafts}", f"hydra.run.dir={out}"]
    succeed(root, *command)
    before = files_of(out, "data", "metrics")
    write_rows(drafts, [DRAFTS[0], DRAFTS[0] | {"response": " "}])
    done = run(root, *command, "filter.rules=[too_short]")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line == (
        f"error: {drafts}:2: message 2: "
        "the content of the assistant message is empty or not a string"
    )
    assert files_of(out, "data", "metrics") == before


def test_a_full_disk_ends_with_one_line_and_changes_nothing(
    root: Path, tmp_path: Path, small_disk: Path
) -> None:
    drafts = write_rows(tmp_path / "drafts.jsonl", DRAFTS)
    command = ["python", "stages/filter.py", f"filter.drafts={drafts}"]
    succeed(root, *command, f"hydra.run.dir={small_disk}")
    before = files_of(small_disk, "data", "metrics")
    # The kept rows would fit, the rejected one does not.
    write_rows(drafts, [DRAFTS[0], DRAFTS[1] | {"id": "long", "response": "too long " * 20_000}])
    done = run(root, *command, f"hydra.run.dir={small_disk}")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line.endswith("No space left on device. Earlier outputs are as they were.")
    assert files_of(small_disk, "data", "metrics") == before


def test_wrong_override_by_hand_is_named(root: Path, tmp_path: Path) -> None:
    out = f"hydra.run.dir={tmp_path}/out"
    for override in ("filter.min_wrods=3", "filter.min_words=-3", "filter.min_words=few"):
        done = run(root, "python", "stages/filter.py", out, override)
        assert done.returncode == 1
        assert override.split("=")[0] in done.stderr
        assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/data").exists()


# A stage that DVC started


def test_stage_under_dvc_reads_params_not_conf(root: Path) -> None:
    params = root / "params.yaml"
    params.write_text(params.read_text().replace("min_words: 10\n", "min_words: 3\n"))
    succeed(root, "python", "stages/filter.py", DVC_STAGE="filter", DVC_ROOT=str(root))
    assert kept(root) == ["good", "short"]
    assert not (root / "outputs").exists()

    override = "filter.min_words=15"  # as dvc.yaml gives predict.model
    done = run(root, "python", "stages/filter.py", override, DVC_STAGE="filter", DVC_ROOT=str(root))
    assert done.returncode == 1
    assert "no draft passes the rules" in done.stderr
    assert kept(root) == ["good", "short"]


def test_a_sweep_s_experiment_has_no_scores_of_the_workspace(root: Path) -> None:
    summary = root / "metrics/summary.json"
    summary.write_text("{}")
    started = {"DVC_STAGE": "filter", "DVC_ROOT": str(root)}
    succeed(root, "python", "stages/filter.py", **started)
    assert summary.exists()
    succeed(root, "python", "stages/filter.py", LONGWRITER_SWEEP_JOB="[]", **started)
    assert not summary.exists()


def test_stage_under_dvc_without_params_says_how_to_make_them(root: Path) -> None:
    (root / "params.yaml").unlink()
    done = run(root, "python", "stages/filter.py", DVC_STAGE="filter", DVC_ROOT=str(root))
    assert done.returncode == 1
    assert f"{root}/params.yaml" in done.stderr
    assert "dvc repro params" in done.stderr
    assert "Traceback" not in done.stderr


# Outputs on another disk


@pytest.fixture
def other_disk() -> Iterator[Path]:
    """A folder on another file system than the checkout's."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev:
        pytest.skip("/dev/shm is no other file system here")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


def test_an_output_that_is_a_link_is_written_where_it_leads(root: Path, other_disk: Path) -> None:
    hf = root / "data/sft/hf"
    shutil.rmtree(hf)
    (other_disk / "hf").mkdir()
    hf.symlink_to(other_disk / "hf")
    succeed(root, "dvc", "repro", "--single-item", "--force", "filter")
    assert kept(root) == ["good"]
    assert hf.is_symlink()
    found = {path.relative_to(other_disk).as_posix() for path in other_disk.rglob("*")}
    assert found == {"hf", "hf/README.md", "hf/data", "hf/data/train.parquet"}


def test_a_linked_folder_of_outputs_is_refused_before_the_work(
    root: Path, other_disk: Path
) -> None:
    shutil.move(root / "models", other_disk)
    (root / "models").symlink_to(other_disk / "models")
    done = run(root, "dvc", "repro", "--single-item", "--force", "filter")
    assert done.returncode
    assert (
        f"error: models: resolves to {other_disk}/models, and DVC does not accept outputs in a "
        "linked folder; make it a real folder and link individual outputs inside it\n"
    ) in done.stderr
