"""A PostgreSQL for a test, where its programs are installed (Debian: `apt-get install postgresql`)."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def find_programs() -> Path | None:
    """The folder of `initdb` and `postgres`: that on the path, else Debian's newest."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in debian), default=None)


@contextmanager
def running(programs: Path, port: int) -> Iterator[str]:
    """Runs a server on loopback in a folder of its own; yields the address of its empty database."""
    user = _unprivileged()
    folder = Path(tempfile.mkdtemp(prefix="longwriter-postgres-"))
    if user:
        shutil.chown(folder, user)
    data = str(folder / "data")
    command = [str(programs / "initdb"), "-D", data, "-U", "mlflow", "-A", "trust", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, user=user, cwd=folder)
    options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"]
    command = [str(programs / "postgres"), "-D", data, "-p", str(port)]
    command += [word for option in options for word in ("-c", option)]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd=folder)
    try:
        _wait(port, server, folder / "log")
        yield f"postgresql://mlflow@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait(20)
        shutil.rmtree(folder)


def _unprivileged() -> str | None:
    """Whom to be: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return None
    with suppress(KeyError):
        return pwd.getpwnam("postgres").pw_name
    return "nobody"


def _wait(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
