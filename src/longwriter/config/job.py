"""Runs a stage as a SLURM job that it submits itself (`runtime.launcher`).

`dvc repro` remains the only command that is needed.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longwriter.core.errors import JobError, SettingsError
from longwriter.core.files import write_text
from longwriter.core.process import end_with_parent
from longwriter.core.settings import Launcher, RuntimeSettings

if TYPE_CHECKING:
    from submitit import Job

IN_JOB = "LONGWRITER_JOB"
"""Environment variable that is set for a stage that runs inside a job."""

_LOOK_S = 1.0
"""Seconds between checks of the job's log."""
_ASK_S = 10.0
"""Seconds between queries to SLURM for the job's state."""
_PATIENCE_S = 30.0
"""Seconds to wait for the exit status, on a network disk, after SLURM says that the job ended."""
_GOING_ON = {
    "CONFIGURING", "COMPLETING", "PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESIZING",
    "RUNNING", "SIGNALING", "STAGE_OUT", "STOPPED", "SUSPENDED",
}  # fmt: skip
"""States of a job that may still report an exit status itself."""


def wanted(runtime: RuntimeSettings, stage: str) -> tuple[Launcher | None, dict[str, Any]]:
    """Returns what runs `stage` (None: this process), and the resources that its job requests."""
    own = runtime.resources.get(stage, {})
    if IN_JOB in os.environ or own is None:
        return None, {}
    return runtime.launcher, {**(runtime.resources.get("default") or {}), **own}


def run_as_job(name: str, launcher: Launcher, resources: dict[str, Any], cache: Path) -> int:
    """Runs this process's own command as a job, shows its output and returns its exit status.

    If this process ends first, the job is cancelled; after a SIGKILL, the next start cancels it.

    Args:
        name: the stage's name in DVC.
        resources: in the form that submitit's AutoExecutor takes.
        cache: a folder that all nodes can access.

    Raises:
        SettingsError: submitit is not installed or does not know a resource; SLURM refuses the job.
        JobError: the job ended without an exit status: it was cancelled, or its node failed.
    """
    folder = cache / "jobs" / name
    _end_earlier(folder, launcher)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = _submit(name, launcher, resources, folder)
    write_text(folder / "id", job.job_id)
    print(f"{name}: {launcher} job {job.job_id}; its log: {folder}", flush=True)
    try:
        return _follow(job, folder)
    except BaseException:
        job.cancel(check=False)
        _wait(job)
        raise


class _Stage:
    """The callable that the job runs.

    Because it has `checkpoint`, submitit requeues it when SLURM preempts it or its time limit is
    reached; every stage resumes where it stopped.
    """

    def __call__(self, command: list[str], folder: Path) -> None:
        end_with_parent()
        with (folder / "log").open("ab") as log:
            status = subprocess.call(  # noqa: S603
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, IN_JOB: "1"},
                preexec_fn=_ignore_usr2,
            )
        write_text(folder / "status", str(status))

    def checkpoint(self, command: list[str], folder: Path) -> Any:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, command, folder)


def _ignore_usr2() -> None:
    """Makes the stage ignore SIGUSR2, which only submitit's own process should act on.

    SLURM sends it to all processes of a job that it is about to end.
    """
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def _submit(name: str, launcher: Launcher, resources: dict[str, Any], folder: Path) -> "Job[None]":
    try:
        import submitit
    except ImportError:
        raise SettingsError(
            f"runtime.launcher={launcher} needs submitit: pip install -e '.[slurm]'"
        ) from None
    try:
        executor = submitit.AutoExecutor(folder / "submitit", cluster=launcher)
        # The stage is one process, on the first node; training starts those on other nodes itself.
        one = {"tasks_per_node": 1, "slurm_srun_args": ["--nodes=1", "--ntasks=1"]}
        executor.update_parameters(name=name, **one, **resources)
        return executor.submit(_Stage(), [sys.executable, *sys.argv], folder)
    except (NameError, RuntimeError, TypeError, ValueError) as error:
        raise SettingsError(
            f"runtime.resources of {name}: {launcher} took no job: {error}"
        ) from None


def _end_earlier(folder: Path, launcher: Launcher) -> None:
    """Cancels the job of an earlier start that was killed before it could do so itself."""
    if launcher is Launcher.slurm and (folder / "id").exists():
        from submitit import SlurmJob

        job: SlurmJob[None] = SlurmJob(folder / "submitit", (folder / "id").read_text())
        if _state(job) in _GOING_ON:
            print(f"ending job {job.job_id} of an earlier start", flush=True)
            job.cancel(check=False)
            _wait(job)


def _wait(job: "Job[None]") -> None:
    while _state(job) in {"", *_GOING_ON}:
        time.sleep(_LOOK_S)


def _follow(job: "Job[None]", folder: Path) -> int:
    """Shows the log and every new state until the job ends; returns the stage's exit status."""
    shown, state, asked, ended = 0, "", float("-inf"), None
    while True:
        over = (folder / "status").exists()
        shown += _show(folder / "log", shown)
        if over:
            status = int((folder / "status").read_text())
            return status if status >= 0 else 128 - status  # 128 + signal, as in a shell
        now = time.monotonic()
        if now - asked >= _ASK_S:
            asked = now
            new = _state(job)
            if new not in {"", state}:
                state = new
                print(f"job {job.job_id}: {state.lower()}", flush=True)
            ended = None if state in {"", *_GOING_ON} else ended or now
        if ended is not None and now - ended >= _PATIENCE_S:
            said = "".join(f"\n{line}" for line in _last_lines(job))
            raise JobError(
                f"job {job.job_id} ended without a status: {state.lower()}. Finished calls and "
                f"checkpoints are kept: run the same command again to continue.{said}"
            )
        time.sleep(_LOOK_S)


def _last_lines(job: "Job[None]") -> list[str]:
    """Returns the last lines that SLURM or submitit wrote to the job's stderr."""
    return (job.stderr() or "").splitlines()[-5:]


def _show(log: Path, shown: int) -> int:
    """Prints the log from byte `shown` on; returns how many bytes are new."""
    if not log.exists():
        return 0
    with log.open("rb") as file:
        file.seek(shown)
        new = file.read()
    sys.stdout.flush()
    sys.stdout.buffer.write(new)
    sys.stdout.buffer.flush()
    return len(new)


def _state(job: "Job[None]") -> str:
    """Returns a job's state in SLURM's terms; empty if the controller gives no answer now.

    Queries squeue, because sacct, which submitit uses, needs a cluster with accounting.
    """
    from submitit import SlurmJob

    if not isinstance(job, SlurmJob):
        return str(job.state)
    question = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job.job_id}"]
    answer = subprocess.run(question, capture_output=True, text=True, check=False)  # noqa: S603
    if answer.returncode and "Invalid job id" not in answer.stderr:
        return ""
    return answer.stdout.strip() or "GONE"
