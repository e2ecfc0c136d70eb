"""A repository whose stages take no time, for tests of sweeps: real DVC, git, Hydra and MLflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from longwriter.config.load import write_params

CHECKOUT = Path(__file__).parents[2]

STAGE = '''"""Stands in for every stage: writes its outputs from settings, and that it ran.

Only those that write to MLflow import the project: that takes seconds.
"""
import json, os, sys, time
from pathlib import Path
import yaml

NAME = os.environ["DVC_STAGE"]
OUTS = {
    "agentwrite": ["data/agentwrite/drafts.jsonl", "metrics/agentwrite.json"],
    "filter": ["data/sft/train.jsonl"],
    "sft": ["models/sft"],
    "eval@dpo": ["metrics/eval/dpo.json"],
    "report": ["reports"],
}
params = yaml.safe_load(Path("params.yaml").read_text())
rate = float(params["sft"]["learning_rate"])
s_l = params["filter"]["min_words"] + rate * 1e5
found = {"S_l": s_l, "S_q": 20.0, "S_bar": (s_l + 20) / 2, "cost_usd": 0.25, "seconds": 1.5}

def ran():
    with open(os.environ["RAN"], "a") as file:
        file.write(f"{NAME}\\n")

def write():
    for path in map(Path, OUTS[NAME]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found))

def agentwrite(settings, work):
    groups = {"agentwrite": settings.agentwrite}
    with stage_run(NAME, groups, work, settings.runtime) as run:
        run.activate()  # killed before, it would leave no run
        ran()
        wait = Path(os.environ["RAN"] + f".{settings.agentwrite.limit}.wait")
        while wait.exists():
            time.sleep(0.05)
        if settings.agentwrite.limit == 13:
            sys.exit("error: drafts.jsonl: thirteen is too many")
        run.log(found)
    write()

def report(settings, work):
    log_pipeline_run(work.root, {"sft.learning_rate": rate}, {"eval": {"dpo": found}}, [], {})
    ran()
    write()

if NAME in ("agentwrite", "report"):
    from longwriter.config.run import run_stage
    from longwriter.tracking.pipeline import log_pipeline_run
    from longwriter.tracking.runs import stage_run

    sys.argv[1:] = []
    run_stage({"agentwrite": agentwrite, "report": report}[NAME])
else:
    ran()
    write()
'''

PIPELINE = """
# Outputs as in the project's dvc.yaml: only stages that always run keep theirs (`persist`).
stages:
  params:
    cmd: exec python stages/params.py
    always_changed: true
    deps: [conf]
    outs:
      - params.yaml: {cache: false, persist: true}
      - inputs.yaml: {cache: false, persist: true}
  agentwrite:
    cmd: exec python stages/stage.py
    deps: [stages/stage.py, data/instructions.jsonl]
    params: [agentwrite, {inputs.yaml: [agentwrite]}]
    outs: [data/agentwrite/drafts.jsonl]
    metrics: [metrics/agentwrite.json: {cache: false}]
  filter:
    cmd: exec python stages/stage.py
    deps: [stages/stage.py, data/agentwrite/drafts.jsonl]
    params: [filter]
    outs: [data/sft/train.jsonl]
  sft:
    cmd: exec python stages/stage.py
    deps: [stages/stage.py, data/sft/train.jsonl]
    params: [sft]
    outs: [models/sft]
  eval:
    matrix: {model: [dpo]}
    cmd: exec python stages/stage.py
    deps: [stages/stage.py, models/sft]
    metrics: [metrics/eval/dpo.json: {cache: false}]
  report:
    cmd: exec python stages/stage.py
    always_changed: true
    deps: [metrics/eval/dpo.json]
    outs: [reports: {cache: false, persist: true}]
"""


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def environment(root: Path) -> dict[str, str]:
    """Caches, MLflow's database and DVC's own folders lie beside `root`."""
    ours = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("DVC_", "MLFLOW_", "GIT_", "LONGWRITER_"))
    }
    who = {
        f"GIT_{role}_{what}": "n@e"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    return (
        ours
        | who
        | {
            "PYTHONPATH": str(root / "src"),
            "LONGWRITER_CACHE": str(root.parent / "cache"),
            "DVC_SITE_CACHE_DIR": str(root.parent / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(root.parent / "global"),
            "DVC_NO_ANALYTICS": "1",
            "RAN": str(root.parent / "ran"),
            "OMP_NUM_THREADS": "1",
        }
    )


def make_repository(root: Path) -> Path:
    """Makes `root` a committed checkout of this project with stand-ins for its stages."""
    for name in git(CHECKOUT, "ls-files", "-co", "--exclude-standard").splitlines():
        parts = Path(name).parts
        if not (CHECKOUT / name).exists():  # removed, and not yet committed
            continue
        if parts[0] in ("src", "conf", ".dvc", ".gitignore", ".dvcignore") or name in (
            "stages/params.py",
            "data/instructions.jsonl",
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, root / name)
    (root / "stages/stage.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(PIPELINE)
    write_params(root)
    git(root, "init", "--quiet")
    git(root, "config", "user.name", "n")
    git(root, "config", "user.email", "n@e")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "one")
    return root


def stages_run(root: Path) -> list[str]:
    """The stages that have run, sorted, `report` left out."""
    path = Path(environment(root)["RAN"])
    lines = path.read_text().splitlines() if path.exists() else []
    return sorted(name for name in lines if name != "report")


def start(root: Path, *command: str, **variables: str) -> "subprocess.Popen[str]":
    """Starts `python …` in the repository, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=root,
        env={**environment(root), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def call(root: Path, *command: str, **variables: str) -> tuple[int, str]:
    """Exit status and output of `python …` in the repository."""
    process = start(root, *command, **variables)
    printed, _ = process.communicate(timeout=300)
    return process.returncode, printed
