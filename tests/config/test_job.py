"""A stage that runs as a job: by submitit's local executor, and by a real SLURM where its programs are installed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from helpers.checkpoints import CHECKOUT

STAGE = """
import os, sys, time
from pathlib import Path
from longwriter.config.run import run_stage
from longwriter.core.errors import DataError

def stage(settings, work):
    print("in a job" if "LONGWRITER_JOB" in os.environ else "here", flush=True)
    (work.root / f"pid-{time.time()}").write_text(str(os.getpid()))
    if (work.root / "wrong").exists():
        raise DataError("rows.jsonl:3: no prompt")
    while (work.root / "slow").exists():
        time.sleep(0.1)
    print("seed", settings.runtime.seed)

run_stage(stage)
"""


class Root:
    """A checkout with one stage."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.environment = environment
        (path / "stages").mkdir()
        (path / "stages/filter.py").write_text(STAGE)
        for name in ("params.yaml", "dvc.yaml"):
            shutil.copyfile(CHECKOUT / name, path / name)
        for name in ("data", "models", "metrics"):
            (path / name).mkdir()

    def start(self, *overrides: str, stage: str = "filter") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "stages/filter.py", *overrides],
            cwd=self.path,
            env=self.environment | {"DVC_STAGE": stage},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_slow(self) -> "subprocess.Popen[str]":
        """Starts a stage as a job of SLURM that goes on while there is a file `slow`."""
        (self.path / "slow").touch()
        process = self.start("runtime.launcher=slurm")
        until(self.processes)
        return process

    def run(self, *overrides: str, stage: str = "filter") -> "subprocess.CompletedProcess[str]":
        process = self.start(*overrides, stage=stage)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def processes(self) -> list[int]:
        """The process of every start of the stage so far."""
        return [int(text) for file in sorted(self.path.glob("pid-*")) if (text := file.read_text())]

    def slurm(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def running_job(self) -> str:
        [job] = self.slurm("squeue", "--noheader", "--states=RUNNING", "--format=%i").split()
        return job


@pytest.fixture
def root(tmp_path: Path) -> Root:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "SLURM_"))}
    own = {"PYTHONPATH": str(CHECKOUT / "src"), "LONGWRITER_CACHE": str(tmp_path / "cache")}
    return Root(tmp_path, kept | own)


@pytest.fixture(params=["local", "slurm"])
def launcher(request: pytest.FixtureRequest, root: Root) -> str:
    if request.param == "slurm":
        root.environment |= request.getfixturevalue("slurm")
    return f"runtime.launcher={request.param}"


def until(ready: Callable[[], object], seconds: float = 60) -> None:
    last = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < last
        time.sleep(0.1)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_stage_in_a_job_shows_its_log_and_ends_as_it_ends(launcher: str, root: Root) -> None:
    done = root.run(launcher, "runtime.seed=7")
    assert done.stderr == ""
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"filter: {launcher.partition('=')[2]} job ")
    assert lines[-2:] == ["in a job", "seed 7"]

    (root.path / "wrong").touch()
    done = root.run(launcher)
    assert done.returncode == 1
    assert "error: rows.jsonl:3: no prompt" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_stage_without_a_job_runs_here(root: Root) -> None:
    done = root.run("runtime.launcher=local", stage="report")
    assert (done.returncode, done.stdout) == (0, "here\nseed 0\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stage_that_is_ended_ends_its_job(number: int, launcher: str, root: Root) -> None:
    (root.path / "slow").touch()
    process = root.start(launcher, stage="predict@base")
    until(root.processes)
    [inner] = root.processes()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: " in err
    until(lambda: not alive(inner), 15)
    assert "seed" not in out


def test_an_unknown_resource_is_named(launcher: str, root: Root) -> None:
    done = root.run(launcher, "runtime.resources.filter.gpu_number=2")
    assert done.returncode == 1
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "runtime.resources of filter: " in line
    assert "gpu_number" in line


# What only a cluster does


@pytest.fixture
def on_slurm(slurm: dict[str, str], root: Root) -> Root:
    root.environment |= slurm
    return root


def test_slurm_s_refusal_is_shown(on_slurm: Root) -> None:
    done = on_slurm.run("runtime.launcher=slurm", "runtime.resources.filter.slurm_partition=none")
    assert done.returncode == 1
    assert "error: runtime.resources of filter: slurm took no job: " in done.stderr
    assert "invalid partition specified: none" in done.stderr


def test_a_killed_start_s_job_is_ended_by_the_next(on_slurm: Root) -> None:
    process = on_slurm.start_slow()
    process.kill()
    process.communicate()
    [first] = on_slurm.processes()
    assert alive(first)
    process = on_slurm.start("runtime.launcher=slurm")
    until(lambda: len(on_slurm.processes()) == 2)
    assert not alive(first)
    (on_slurm.path / "slow").unlink()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "of an earlier start" in out


@pytest.mark.slow
def test_a_job_that_is_preempted_is_queued_again_and_goes_on(on_slurm: Root) -> None:
    process = on_slurm.start_slow()
    job = on_slurm.running_job()
    on_slurm.slurm("scancel", "--signal=USR2", job)

    # SLURM holds a job that it queues again for two minutes.
    until(lambda: "PENDING" in on_slurm.slurm("squeue", "-h", "-j", job, "-o", "%T"))
    on_slurm.slurm("scontrol", "update", f"jobid={job}", "starttime=now")
    until(lambda: len(on_slurm.processes()) == 2, 150)
    (on_slurm.path / "slow").unlink()
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert out.splitlines()[-1] == "seed 0"


def test_a_job_that_scancel_ends_stops_as_by_ctrl_c(on_slurm: Root) -> None:
    process = on_slurm.start_slow()
    on_slurm.slurm("scancel", on_slurm.running_job())
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped: " in out


@pytest.mark.slow
def test_a_job_that_is_lost_is_an_error_with_slurm_s_word_for_it(on_slurm: Root) -> None:
    process = on_slurm.start_slow()
    job = on_slurm.running_job()
    parent = psutil.Process(on_slurm.processes()[0]).parent()
    assert parent
    parent.kill()
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert f"error: job {job} ended without a status: failed. Finished calls and checkpoints" in err
