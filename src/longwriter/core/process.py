"""A program in a session of its own, which does not outlive the work that needs it."""

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
"""Ends process group $1 when its own standard input closes, which happens however this process ends."""


_KEY = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD)(_ID)?$", re.IGNORECASE)
"""Names of environment variables that hold keys."""


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a program that needs no key. MLflow's own stay, or it could log nothing."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("MLFLOW_") or not _KEY.search(name)
    }


@contextmanager
def own_session(
    command: list[str], output: int, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` in a session of its own, which Ctrl-C does not reach, and at the end of the block
    ends it with all its descendants, also where this process is killed.

    Args:
        output: file descriptor that it writes to.

    A guard process does that. PR_SET_PDEATHSIG would not: descendants don't inherit it, so workers
    whose parent is killed would live on and keep the GPUs' memory.
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
    """Within it SIGTERM ends this process and those that it forks at once.

    A pool of processes ends its workers by it. They inherit this process's handler, which Python runs
    between two instructions: one that has just begun to wait for work never comes to it, and the pool waits
    for that one for ever (seen with datasets 5).
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
    """Linux: asks for SIGTERM when DVC dies, so that a killed `dvc repro` leaves no stage behind
    that works beside the one that the next `dvc repro` starts."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG of <sys/prctl.h>
