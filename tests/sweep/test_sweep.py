"""Sweeps in real repositories whose stages take no time."""

import json
import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import hydra
import psutil
import pytest
from filelock import FileLock, Timeout
from helpers.sweeping import CHECKOUT, call, environment, git, make_repository, stages_run, start
from mlflow import MlflowClient
from mlflow.entities import Run
from omegaconf import OmegaConf

from longwriter.config.inputs import input_digests
from longwriter.config.load import validate
from longwriter.core.errors import SettingsError
from longwriter.models.lineup import MODELS
from longwriter.sweep.experiments import check_repository, untracked_inputs
from longwriter.sweep.records import JobRecord, table
from longwriter.sweep.stage_locks import StageLocks, stage_keys

pytestmark = [pytest.mark.xdist_group("sweep"), pytest.mark.slow]
SWEEP = ("-m", "longwriter.sweep", "-m")
TWO_AT_ONCE = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
WRITING = ("sweep.targets=[agentwrite]", "sweep.score=agentwrite.cost_usd")
FOUR = (*SWEEP, "sft.learning_rate=1e-5,5e-5", "filter.min_words=20,100")


def runs(root: Path, filter_string: str) -> list[Run]:
    client = MlflowClient(f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("longwriter")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], filter_string))


def files_of(root: Path) -> dict[str, bytes]:
    """Every file of the workspace that git or DVC looks after."""
    skip = {".git", ".dvc", "mlruns", "multirun", "__pycache__"}
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not skip & set(path.relative_to(root).parts)
    }


class Swept(NamedTuple):
    """A repository with an edit that is not committed, in which four jobs have run, two at once,
    after a start that was killed in the first job's first stage."""

    root: Path
    before: dict[str, bytes]
    """The workspace's files before the sweep."""
    left_running: int
    """Runs that MLflow took for running after the kill."""
    printed: str


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Swept:
    root = make_repository(tmp_path_factory.mktemp("swept") / "root")
    limit = root / "conf/agentwrite/default.yaml"
    limit.write_text(re.sub(r"^limit: \d+$", "limit: 7", limit.read_text(), flags=re.MULTILINE))
    (root / "data/mine.jsonl").write_text("{}\n")  # which git does not know
    before = files_of(root)
    if os.name == "posix":  # PR_SET_PDEATHSIG
        kill_in_agentwrite(root, FOUR)
    left_running = len(runs(root, "attributes.status = 'RUNNING'"))
    status, printed = call(root, *FOUR, *TWO_AT_ONCE)
    assert status == 0, printed
    return Swept(root, before, left_running, printed)


def kill_in_agentwrite(root: Path, command: Sequence[str]) -> None:
    """Kills the sweep and its stage with -9 while the stage works, and forgets that it ran."""
    ran = Path(environment(root)["RAN"])
    wait = Path(f"{ran}.7.wait")
    wait.touch()
    sweep = start(root, *command)
    try:
        deadline = time.monotonic() + 120
        while stages_run(root) != ["agentwrite"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        below = psutil.Process(sweep.pid).children(recursive=True)
        [stage] = [process for process in below if "stages/stage.py" in process.cmdline()]
        stage.kill()
        sweep.kill()
        assert psutil.wait_procs(below, timeout=20)[1] == []  # DVC goes along
    finally:
        sweep.kill()
        sweep.communicate()
        wait.unlink()
        ran.unlink()


def test_four_jobs_leave_four_comparable_runs(swept: Swept) -> None:
    root = swept.root
    found = {
        (run.data.params["sft.learning_rate"], run.data.params["filter.min_words"]): run
        for run in runs(root, "tags.`longwriter.kind` = 'pipeline'")
    }
    # the stand-in's S_l: min_words + learning_rate · 1e5
    assert {key: run.data.metrics["eval/dpo/S_l"] for key, run in found.items()} == {
        ("1e-05", "20"): 21.0,
        ("1e-05", "100"): 101.0,
        ("5e-05", "20"): 25.0,
        ("5e-05", "100"): 105.0,
    }
    assert len({run.data.tags["longwriter.sweep"] for run in found.values()}) == 1
    assert {run.data.tags["longwriter.git_dirty"] for run in found.values()} == {"true"}


def test_what_jobs_share_runs_once_and_the_workspace_stays(
    swept: Swept,
) -> None:
    root = swept.root
    assert stages_run(root) == ["agentwrite"] + ["eval@dpo"] * 4 + ["filter"] * 2 + ["sft"] * 4
    assert files_of(root) == swept.before
    assert git(root, "status", "--porcelain").splitlines() == [
        " M conf/agentwrite/default.yaml",
        "?? data/mine.jsonl",
    ]
    assert git(root, "stash", "list") == ""


def test_jobs_are_experiments_that_hold_the_edit(
    swept: Swept,
) -> None:
    root = swept.root
    refs = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").split()
    assert len(refs) == 4
    params = [git(root, "show", f"{ref}:params.yaml") for ref in refs]
    assert all("  limit: 7\n" in text for text in params)


def test_the_table_is_printed_and_saved(swept: Swept) -> None:
    [saved] = swept.root.glob("multirun/sweep/*/table.md")
    assert saved.read_text() in swept.printed
    assert re.search(r"^\S+: Running stage 'sft'$", swept.printed, re.M)
    rows = [[cell.strip() for cell in line.split("|")] for line in saved.read_text().splitlines()]
    assert rows[0][1:6] == ["sft.learning_rate", "filter.min_words", "S_l", "score", "cost ($)"]
    assert [row[1:6] for row in rows[2:6]] == [
        ["1e-05", "100", "101.0", "101.0000", "0.50"],
        ["1e-05", "20", "21.0", "21.0000", "0.50"],
        ["5e-05", "100", "105.0", "105.0000", "0.50"],
        ["5e-05", "20", "25.0", "25.0000", "0.50"],
    ]


def test_killed_it_goes_on_and_no_run_stays_running(swept: Swept) -> None:
    assert swept.left_running == 1
    assert runs(swept.root, "attributes.status = 'RUNNING'") == []
    stages = runs(swept.root, "tags.`longwriter.stage` = 'agentwrite'")
    assert sorted((run.info.status, run.data.params["agentwrite.limit"]) for run in stages) == [
        ("FINISHED", "7"),
        ("KILLED", "7"),
    ]


def test_a_search_takes_the_scores_of_jobs_that_are_there(swept: Swept) -> None:
    root, before = swept.root, stages_run(swept.root)
    [folder] = root.glob("multirun/sweep/*/")
    optuna = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", f"sweep.id={folder.name}")
    status, printed = call(root, *FOUR, *optuna)
    assert status == 0, printed
    assert stages_run(root) == before
    reached = {float(score) for score in re.findall(r"eval\.dpo\.S_l ([\d.]+)$", printed, re.M)}
    assert reached <= {21.0, 25.0, 101.0, 105.0}
    best = OmegaConf.load(folder / "optimization_results.yaml")
    assert best.best_value == max(reached)
    assert f"best of 6: eval.dpo.S_l {max(reached):g} with sft.learning_rate=" in printed
    assert (folder / "table.md").read_text() in printed


def test_a_job_that_fails_is_reported_and_stops_no_other(swept: Swept) -> None:
    """The jobs run through submitit, as on SLURM, with its executor for one machine."""
    pytest.importorskip("submitit", reason="needs the extra slurm")
    root = swept.root
    jobs = ("agentwrite.limit=13,-1,7", *WRITING, "sweep.id=faulty")
    status, printed = call(root, *SWEEP, *jobs, "hydra/launcher=submitit_local")
    assert status == 1
    rows = (root / "multirun/sweep/faulty/table.md").read_text()
    assert "failed: drafts.jsonl: thirteen is too many\n" in rows
    assert "failed: agentwrite.limit: is -1 and must be at least 1" in rows
    assert "| 7 | – | 0.2500 | 0.25 |" in rows
    assert "2 of 3 jobs failed" in printed
    assert "Traceback" not in printed
    [record] = [
        json.loads(path.read_bytes())
        for path in root.glob("multirun/sweep/faulty/*.json")
        if "limit=13" in path.read_text()
    ]
    assert record["score"] is None
    assert len(list(root.glob("multirun/sweep/faulty/.submitit/*/*_submission.sh"))) in (0, 3)


def test_an_old_name_is_refused_before_any_job(swept: Swept) -> None:
    folders = set((swept.root / "multirun/sweep").iterdir())
    status, printed = call(swept.root, *SWEEP, "sft.loss=longwriter,sequence")
    assert status == 1
    assert "sft.loss=sequence: has been renamed to example" in printed
    assert set((swept.root / "multirun/sweep").iterdir()) == folders


def test_after_a_sweep_the_pipeline_is_that_of_conf(swept: Swept) -> None:
    root = swept.root
    status, printed = call(root, "-m", "dvc", "repro")
    assert status == 0, printed
    params = OmegaConf.load(root / "params.yaml")
    rate, words = params.sft.learning_rate, params.filter.min_words
    assert (rate, words) == (
        OmegaConf.load(root / "conf/sft/default.yaml").learning_rate,
        OmegaConf.load(root / "conf/filter/default.yaml").min_words,
    )
    assert json.loads((root / "metrics/eval/dpo.json").read_bytes())["S_l"] == words + rate * 1e5
    [run] = [
        run
        for run in runs(root, "tags.`longwriter.kind` = 'pipeline'")
        if "longwriter.sweep" not in run.data.tags
    ]
    assert run.data.params == {"sft.learning_rate": str(rate)}
    assert run.data.metrics["eval/dpo/S_l"] == words + rate * 1e5


def test_new_code_that_git_does_not_know_is_named(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    check_repository(root)
    (root / "conf/sft/mine.yaml").write_text("defaults: [default]\n")
    with pytest.raises(SettingsError, match=r"`git add conf/sft/mine\.yaml` first"):
        check_repository(root)
    git(root, "update-ref", "-d", "HEAD")
    with pytest.raises(SettingsError, match="has no commit"):
        check_repository(root)


def test_a_shallow_clone_is_refused_before_any_job(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "made")
    git(tmp_path, "clone", "--quiet", "--depth", "1", made.as_uri(), "root")
    root = tmp_path / "root"
    assert call(root, *SWEEP, "sft.learning_rate=1e-5,5e-5") == (
        1,
        f"\nerror: {root}: is a shallow clone, in which DVC keeps no experiment; "
        "`git fetch --unshallow` first\n",
    )
    assert not (root / "multirun").exists()
    git(root, "fetch", "--quiet", "--unshallow")
    check_repository(root)


def test_experiments_in_a_linked_worktree_without_a_branch(tmp_path: Path) -> None:
    made = make_repository(tmp_path / "made")
    root = tmp_path / "it's [a] tree, 50%"
    git(made, "worktree", "add", "--quiet", "--detach", str(root))
    status, printed = call(root, *SWEEP, "sft.learning_rate=1e-5", *WRITING)
    assert (status, printed.count(" 0.25 |")) == (0, 1), printed


@pytest.mark.parametrize(
    ("name", "odd"),
    [("a#b", "#"), ("a?b", "?"), ("Repo%20Name", "%20"), ("a{b", "{"), ("漢", "漢")],
)
def test_a_folder_below_which_dvc_makes_no_experiment(name: str, odd: str, tmp_path: Path) -> None:
    root = make_repository(tmp_path / name)
    with pytest.raises(SettingsError) as raised:
        check_repository(root)
    assert str(raised.value) == (
        f"{root}: DVC makes no experiment below a folder with {odd} in its path; move the checkout "
        "to another"
    )


def test_files_that_git_does_not_track_go_along(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    (root / ".gitignore").write_text("/outputs\n/data/made.jsonl\n")
    (root / "dvc.lock").write_text("stages: {a: {outs: [{path: data/made.jsonl, md5: '0'}]}}\n")
    for name in ("data/fetched.jsonl", "own.jsonl", "not-named.jsonl", "data/made.jsonl"):
        (root / name).write_text("{}\n")
    (root / "outputs/model").mkdir(parents=True)
    (root / "outputs/model/weights").write_text("0")
    named = ["own.jsonl", "data/instructions.jsonl", "missing.jsonl", "/etc/hostname", "org/name"]
    named += ["outputs/model", "data/made.jsonl"]
    assert untracked_inputs(root, named) == ["data/fetched.jsonl", "outputs/model", "own.jsonl"]


def test_a_lock_is_released_when_dvc_comes_to_the_next_stage(tmp_path: Path) -> None:
    keys = {"agentwrite": "a", "filter": "b", "sft": "c"}
    with StageLocks(tmp_path, keys) as locks:
        locks.read("Running stage 'agentwrite':\n")
        assert is_taken(tmp_path / "a.lock")
        locks.read("> exec python stages/agentwrite.py\n")
        assert is_taken(tmp_path / "a.lock")
        locks.read("Stage 'filter' is cached - skipping run, checking out outputs\n")
        assert not is_taken(tmp_path / "a.lock")
        assert is_taken(tmp_path / "b.lock")
    assert [path.name for path in tmp_path.glob("*.done")] == ["a.done"]
    assert not is_taken(tmp_path / "b.lock")
    with StageLocks(tmp_path, keys):
        assert not is_taken(tmp_path / "a.lock")  # done: nobody needs to wait
        assert is_taken(tmp_path / "b.lock")


def is_taken(path: Path) -> bool:
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def test_table_of_jobs_with_different_keys_and_a_failure() -> None:
    records = [
        JobRecord(
            experiment="s-1",
            overrides=["+experiment=smoke"],
            score=1,
            S_l=1,
            cost_usd=0,
            seconds=61.4,
        ),
        JobRecord(experiment="s-2", overrides=["sft.max_length=512"], error="out of memory"),
    ]
    assert table(records).splitlines() == [
        "| experiment | sft.max_length | S_l | score | cost ($) | time (s) | experiment |",
        "|---|---:|---:|---:|---:|---:|---:|",
        "| smoke |  | 1.0 | 1.0000 | 0.00 | 61 | s-1 |",
        "|  | 512 | – | – | – | – | s-2 |",
        "",
        "s-2 failed: out of memory",
    ]


def keys_with(root: Path, *overrides: str) -> dict[str, str]:
    """Stage → key for the project's own pipeline, with `overrides` as a sweep's job has them."""
    with hydra.initialize_config_dir(str(root / "conf"), version_base=None):
        config = hydra.compose("config", list(overrides))
    OmegaConf.resolve(config)
    return stage_keys(root, [], config, input_digests(validate(config), root), "code")


def test_jobs_share_the_stages_that_read_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_repository(tmp_path / "root")
    monkeypatch.chdir(root)  # as a sweep does
    shutil.copyfile(CHECKOUT / "dvc.yaml", root / "dvc.yaml")
    written = tmp_path / "instructions.jsonl"
    written.write_text("{}\n")
    own = f"agentwrite.instructions={written}"
    before = keys_with(root, own)
    models = [model.name for model in MODELS]
    assert before.keys() == {  # params always runs, so it does in every job
        "base",
        "agentwrite",
        "short_answers",
        "filter",
        "sft",
        "pairs",
        "dpo",
        "judge_audit",
        *(f"{stage}@{model}" for stage in ("predict", "eval") for model in models),
        "report",
    }
    order = list(before)
    assert order.index("agentwrite") < order.index("filter") < order.index("sft")

    def changed(*overrides: str) -> set[str]:
        return {stage for stage, key in keys_with(root, *overrides).items() if before[stage] != key}

    assert changed(own) == set()
    assert changed(own, "bench.judged=3", "teacher.concurrency=9") == {
        "report",
        *(f"eval@{model}" for model in models),
    }
    assert changed(own, "dpo.seed=9") == {"dpo", "predict@dpo", "eval@dpo", "report"}
    written.write_text("{}\n{}\n")  # another content under the same name, outside the checkout
    assert changed(own) == before.keys() - {"base", "short_answers", "predict@base", "eval@base"}
