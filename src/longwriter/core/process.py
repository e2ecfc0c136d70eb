"""Runs a program in its own session, so that it does not outlive the work that needs it."""

import ctypes
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

GRACE_S = 15
"""Seconds from SIGTERM to SIGKILL."""

_GUARD = """
read line
kill -s TERM -- -$1
for _ in $(seq $(($2 * 10))); do kill -s 0 -- -$1 || exit; sleep 0.1; done
kill -s KILL -- -$1
"""
"""Shell script that ends process group $1 when the script's standard input closes, which happens
however this process ends."""


_KEY = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_ID)?$", re.IGNORECASE)
"""Matches names of environment variables that hold secrets."""


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment without secrets, except MLflow's own, which logging needs."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("MLFLOW_") or not _KEY.search(name)
    }


@contextmanager
def own_session(
    command: list[str], output: int, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` in its own session and ends it, with all its descendants, after the block.

    Ctrl-C does not reach the session. It ends even if this process is killed.

    Args:
        output: file descriptor for the program's output and errors.

    A guard process ends the session. PR_SET_PDEATHSIG would not do: descendants don't inherit it,
    so workers whose parent is killed would live on and keep the GPUs' memory.
    Source: https://github.com/vllm-project/vllm/issues/55510.
    """
    process = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _GUARD, "guard", str(process.pid), str(GRACE_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        yield process
    finally:
        guard.stdin.close()
        process.wait()
        guard.wait()


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM end this process, and those that it forks, immediately within the block.

    A process pool ends its workers with SIGTERM. They inherit this process's handler, which Python
    runs between two instructions: a worker that has just begun to wait for work never gets there,
    and the pool waits for it forever (seen with datasets 5).
    """
    if threading.current_thread() is not threading.main_thread():  # only it may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Requests SIGTERM for this process when its parent dies (on Linux only).

    Otherwise a stage of a killed `dvc repro` would keep running beside that of the next one.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG of <sys/prctl.h>
