"""A program in a session of its own, which lasts no longer than the work on it."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

GRACE_S = 15
"""Seconds from SIGTERM to SIGKILL."""


_GUARD = """
read line
kill -s TERM -- -$1
for _ in $(seq $(($2 * 10))); do kill -s 0 -- -$1 || exit; sleep 0.1; done
kill -s KILL -- -$1
"""
"""Ends process group $1 when its standard input closes, and that does however this process ends."""


@contextmanager
def own_session(
    command: list[str], output: int, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` in a session of its own, which no Ctrl-C reaches, and ends all of it. It writes
    to the file descriptor `output`.

    A guard ends it rather than PR_SET_PDEATHSIG, which no descendant inherits: vLLM's engines
    outlive their API server where that is killed, and keep the GPUs' memory.
    Source: https://github.com/vllm-project/vllm/issues/55510.
    """
    server = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )
    guard = subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", _GUARD, "guard", str(server.pid), str(GRACE_S)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    try:
        yield server
    finally:
        guard.stdin.close()
        server.wait()
        guard.wait()
