"""`longwriter fetch` from a real server on loopback; nothing of the benchmarks is in the project."""

import hashlib
import threading
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from longwriter.cli import fetch as module
from longwriter.cli.fetch import ADDRESS, BENCHMARKS, Benchmark, fetch
from longwriter.core.errors import DataError, ServerError

CONTENT = b'{"prompt": "p", "type": "t", "length": 9}\n' * 3


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / "longbench_write.jsonl").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's sum is that of CONTENT."""
    known = BENCHMARKS["longbench-write"]._replace(sha256=hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(module.BENCHMARKS, "longbench-write", known)


def asked(address: str | None, output: Path | None) -> Namespace:
    return Namespace(benchmark="longbench-write", address=address, output=output)


@pytest.mark.usefixtures("small")
def test_a_benchmark_comes_into_data(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    fetch(asked(mirror, None))
    assert (tmp_path / "data/longbench_write.jsonl").read_bytes() == CONTENT
    assert capsys.readouterr().out == (
        "data/longbench_write.jsonl: 3 prompts, checksum as expected\n"
        "use it with bench=longbench_write\n"
    )
    fetch(asked("http://127.0.0.1:1/", None))  # nobody is asked again
    assert "exists already, with the right checksum" in capsys.readouterr().out


def test_another_file_is_not_written(mirror: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    with pytest.raises(DataError, match=r"is not the paper's longbench_write\.jsonl .*nothing was"):
        fetch(asked(mirror, path))
    assert not list(tmp_path.glob("*b.jsonl*"))


def test_a_file_that_is_there_is_not_overwritten(mirror: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text("mine")
    with pytest.raises(DataError, match=r"b\.jsonl: is not the paper's .*remove it"):
        fetch(asked(mirror, path))
    assert path.read_text() == "mine"


@pytest.mark.parametrize("address", ["http://127.0.0.1:1/", "missing"])
def test_without_network_it_says_what_to_do(mirror: str, tmp_path: Path, address: str) -> None:
    path = tmp_path / "data" / "b.jsonl"
    given = f"{mirror}nowhere" if address == "missing" else address
    with pytest.raises(ServerError) as raised:
        fetch(asked(given, path))
    message = str(raised.value)
    assert message.startswith(f"{given.rstrip('/')}/longbench_write.jsonl: cannot be downloaded (")
    for part in (
        "Download it on a machine with network",
        f"copy it to {path}",
        "sha256sum",
        "--address",
    ):
        assert part in message
    assert BENCHMARKS["longbench-write"].sha256 in message
    assert not path.parent.exists()


@pytest.mark.parametrize("benchmark", BENCHMARKS.values())
def test_settings_expect_the_same_files(benchmark: Benchmark) -> None:
    option = benchmark.use.removeprefix("bench=")
    conf = OmegaConf.load(Path(__file__).parents[2] / f"conf/bench/{option}.yaml")
    assert (conf.path, conf.sha256) == (f"data/{benchmark.file}", benchmark.sha256)


def test_the_address_names_a_commit() -> None:
    assert ADDRESS == (
        "https://raw.githubusercontent.com/THUDM/LongWriter/"
        "ca6ccd4dec16696d1b8c449b12901c88d4cbf442/evaluation"
    )
