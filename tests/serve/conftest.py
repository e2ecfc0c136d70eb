"""The embedded model, served once for all tests."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers.serving import GGUF, Running, serving


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded model under two names."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("left", "right"):
        (folder / f"{name}.gguf").symlink_to(GGUF)
    return folder


@pytest.fixture(scope="session")
def server(model: Path) -> Iterator[Running]:
    with serving(model, "left.gguf", "right.gguf", "student.server.temperature=0") as running:
        yield running


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool], float], None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, f"not within {seconds} s"
            time.sleep(0.05)

    return wait
