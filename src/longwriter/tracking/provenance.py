"""Where a run comes from: commit, DVC stage and experiment, sweep."""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil
import yaml

SWEEP, SWEEP_JOB = "LONGWRITER_SWEEP", "LONGWRITER_SWEEP_JOB"
"""Environment variables of a sweep's job: the sweep's id, and the overrides as a JSON list."""

HOST, PID, STARTED = "longwriter.host", "longwriter.pid", "longwriter.process_started"
"""Tags that identify the process a run belongs to.

They include its start time, because process ids are reused.
"""


class GitState(NamedTuple):
    """The code that ran."""

    commit: str
    """Empty outside a git checkout and before its first commit."""
    dirty: bool
    """Whether code or settings differ from `commit`; outputs of the pipeline do not count."""

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> Self:
        """Returns the state recorded in a run's tags."""
        dirty = tags.get("longwriter.git_dirty") == "true"
        return cls(tags.get("longwriter.git_commit", ""), dirty)

    def __str__(self) -> str:
        return f"{self.commit or 'no commit'}{' + uncommitted changes' if self.dirty else ''}"


def git_state(root: Path) -> GitState:
    """Returns the commit of the checkout `root`, and if its code or settings differ from it."""
    code = ["src", "stages", "conf", "dvc.yaml", "pyproject.toml", "requirements.lock"]
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD")
    return GitState(commit, bool(commit and _git(root, "status", "--porcelain", "--", *code)))


def provenance(root: Path) -> dict[str, str]:
    """Returns the tags that say where a run of the checkout `root` comes from."""
    git = git_state(root)
    tags = {"longwriter.git_commit": git.commit, "longwriter.git_dirty": str(git.dirty).lower()}
    variables = {
        "DVC_STAGE": "longwriter.dvc_stage",
        "DVC_EXP_NAME": "longwriter.dvc_experiment",
        SWEEP: "longwriter.sweep",
    }
    return tags | {tag: os.environ[name] for name, tag in variables.items() if name in os.environ}


def owner() -> dict[str, str]:
    """Returns the tags that identify the process writing a run."""
    return {
        HOST: socket.gethostname(),
        PID: str(os.getpid()),
        STARTED: str(psutil.Process().create_time()),
    }


def sweep_overrides() -> dict[str, str]:
    """Returns the overrides of the current sweep job, key → value; empty outside a sweep."""
    words = json.loads(os.environ.get(SWEEP_JOB, "[]"))
    return {key.lstrip("+"): value for key, _, value in (word.partition("=") for word in words)}


def locked_stages(root: Path) -> dict[str, Any]:
    """Returns stage → entry in the checkout's dvc.lock; empty before the first `dvc repro`."""
    lock = root / "dvc.lock"
    if not lock.exists():
        return {}
    # The loader in C: PyYAML's default one, and DVC's, take half a second.
    found: dict[str, Any] = yaml.load(lock.read_bytes(), Loader=yaml.CSafeLoader)["stages"]
    return found


def _git(root: Path, *arguments: str) -> str:
    """Returns git's output; empty if there is no git, no checkout or no commit."""
    git = shutil.which("git")
    if git is None:
        return ""
    command = [git, "--no-optional-locks", "-C", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip() if done.returncode == 0 else ""
