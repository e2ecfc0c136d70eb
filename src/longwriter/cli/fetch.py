"""`longwriter fetch`: downloads the paper's benchmarks into data/ and checks their SHA-256."""

import hashlib
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

import httpx2

from longwriter.core.errors import DataError, ServerError
from longwriter.core.files import replacing

COMMIT = "ca6ccd4dec16696d1b8c449b12901c88d4cbf442"
ADDRESS = f"https://raw.githubusercontent.com/THUDM/LongWriter/{COMMIT}/evaluation"
TIMEOUT_S = 30


class Benchmark(NamedTuple):
    """A benchmark file in the paper's repository (Apache-2.0)."""

    file: str
    sha256: str
    use: str
    """The override that makes the pipeline use it."""


BENCHMARKS = {
    "longbench-write": Benchmark(
        "longbench_write.jsonl",
        "1f6e99497cc24d65894d65e014062f398ba946ebdd254b7f8b339e48d3ab5779",
        "bench=longbench_write",
    ),
    "longwrite-ruler": Benchmark(
        "longwrite_ruler.jsonl",
        "a1d4ebf0df0fa1600567691d11c9a52de3037c4a372970ed2e8f52f2889e0a62",
        "bench=longwrite_ruler",
    ),
}
"""Name → its file; the checksums are the ones in conf/bench/."""


def fetch(arguments: Namespace) -> None:
    """Downloads the benchmark that the command line names, completely or not at all.

    An existing file with the right checksum is left as it is.

    Raises:
        ServerError: the download failed; the message says how to do it by hand.
        DataError: the downloaded or the existing file has the wrong checksum.
    """
    benchmark = BENCHMARKS[arguments.benchmark]
    path: Path = arguments.output or Path("data") / benchmark.file
    address = f"{(arguments.address or ADDRESS).rstrip('/')}/{benchmark.file}"
    if path.exists():
        _check(path.read_bytes(), benchmark, str(path), "remove it, or name another --output")
        print(f"{path}: exists already, with the right checksum")
    else:
        content = _get(address, benchmark, path)
        _check(content, benchmark, address, "nothing was written")
        with replacing(path) as (temporary,):
            temporary.write_bytes(content)
        print(f"{path}: {len(content.splitlines())} prompts, checksum as expected")
    print(f"use it with {benchmark.use}")


def _get(address: str, benchmark: Benchmark, path: Path) -> bytes:
    try:
        answer = httpx2.get(address, timeout=TIMEOUT_S, follow_redirects=True)
        answer.raise_for_status()
    except httpx2.HTTPError as error:
        raise ServerError(
            f"{address}: cannot be downloaded ({error or type(error).__name__}). Download it on a "
            f"machine with network, copy it to {path.absolute()} and check that `sha256sum {path}` "
            f"gives {benchmark.sha256}; then set {benchmark.use}. --address names a mirror"
        ) from None
    return answer.content


def _check(content: bytes, benchmark: Benchmark, where: str, fix: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != benchmark.sha256:
        raise DataError(
            f"{where}: is not the paper's {benchmark.file} (SHA-256 {found}, expected "
            f"{benchmark.sha256}); {fix}"
        )
