"""Fixtures that several tests share. HTTP is real: a server on loopback, no network."""

import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer, endpoint_settings
from helpers.slurm import cluster, missing

from longwriter.llm.client import ChatClient, Spending
from longwriter.llm.settings import Address

# A shell starts what runs in the background with Ctrl-C ignored, and a test's processes inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

CACHES = itertools.count()


def new_cache(patch: pytest.MonkeyPatch, folders: pytest.TempPathFactory) -> str:
    """Names a folder that nobody has used as LONGWRITER_CACHE."""
    folder = str(folders.getbasetemp() / f"cache-{next(CACHES)}")
    patch.setenv("LONGWRITER_CACHE", folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def module_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gives what a module's tests share a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        yield new_cache(patch, tmp_path_factory)


@pytest.fixture(autouse=True)
def own_cache(
    module_cache: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Gives each test a cache of its own, unless its module chose one for all its tests: the folder.

    In a common one, a server that got the port of an earlier test's server would be asked nothing,
    because the answers to its questions are there.
    """
    if os.environ["LONGWRITER_CACHE"] == module_cache:
        new_cache(monkeypatch, tmp_path_factory)
    return Path(os.environ["LONGWRITER_CACHE"])


@pytest.fixture
def chat_server() -> Iterator[Callable[[Callable[[dict[str, Any]], Answer]], ChatServer]]:
    """Starts servers: `server = chat_server(lambda request: "Hello.")`. All end with the test."""
    servers: list[ChatServer] = []

    def start(answer: Callable[[dict[str, Any]], Answer]) -> ChatServer:
        servers.append(ChatServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def open_client(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[ChatClient]]:
    """Opens clients: `async with open_client(server, max_tokens=9) as client: …`.

    All clients of a test share one cache, in tmp_path/cache; keywords replace settings.
    """

    def start(
        server: ChatServer, max_cost: float | None = None, **changes: Any
    ) -> AbstractAsyncContextManager[ChatClient]:
        settings = endpoint_settings(server.base_url, **changes)
        address = Address(server.base_url, "m", f"{server.base_url} m")
        return ChatClient.open(settings, address, tmp_path / "cache", 7, Spending("test", max_cost))

    return start


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables by which commands find a SLURM cluster of two nodes."""
    if programs := missing():
        pytest.skip(f"not installed: {', '.join(programs)}")
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        yield found


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 64 KiB."""
    if os.geteuid():
        pytest.skip("mounting a tmpfs needs root")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
