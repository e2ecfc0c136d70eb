"""Runs `vllm serve` and `transformers serve` as separate processes that end with the work.

Source: vLLM's documentation of `vllm serve` (https://docs.vllm.ai/en/v0.18.0/cli/serve/), of data
parallel deployment and of usage statistics; transformers' documentation of `transformers serve`
(https://huggingface.co/docs/transformers/serving).
"""

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from longwriter.core.errors import ServerError, ServerFault, SettingsError
from longwriter.core.process import own_session
from longwriter.llm.settings import ServerSettings

HOST = "127.0.0.1"

POLL_S = 0.2

LOG_LINES = 20
"""Number of lines at the end of the log that an error shows."""

SAMPLING = "generation_config.json"

CACHE_BLOCK = 32
"""Tokens per block of the KV cache."""

TRANSFORMERS_START_S = 600.0
"""Longest wait for `transformers serve` to load its model, in seconds."""


def running_vllm(model: str, settings: ServerSettings) -> AbstractContextManager[str]:
    """Runs `vllm serve` with `running`.

    Args:
        model: a Hugging Face hub id or a folder; it is served under the name settings.model.

    Raises:
        SettingsError: settings.vllm is null.
        ServerError: vLLM is not installed.
    """
    if settings.vllm is None:
        raise SettingsError(
            "vllm: null, and kind=vllm needs its settings, as in conf/server/vllm.yaml"
        )
    executable = shutil.which(settings.vllm.executable)
    if executable is None:
        raise ServerError(
            f"{settings.vllm.executable}: no such program. Install vLLM in an environment of its "
            "own (python3 -m venv vllm-env && vllm-env/bin/pip install vllm) and name it: "
            "vllm.executable=$PWD/vllm-env/bin/vllm"
        )
    port = _free_port()
    command = [executable, *_arguments(model, port, settings)]
    return running("vLLM", command, port, settings.vllm.start_s)


@contextmanager
def running_transformers(
    folder: Path, settings: ServerSettings, *, in_batches: bool
) -> Iterator[tuple[str, str]]:
    """Runs this environment's `transformers serve` with `running`.

    The requests alone determine how answers are sampled: the checkpoint's generation_config.json is
    replaced. It would apply to whatever requests leave out, and most of these files turn sampling
    off (every answer is then greedy, whatever temperature is requested), while some set top_k or
    penalties.

    Args:
        folder: a checkpoint, whose weights are loaded as they are.
        in_batches: whether up to settings.concurrency requests are answered at the same time; they
            must all have the temperature and top_p of the first. False: one after the other.

    Yields:
        The address, and the name by which requests must call the model.
    """
    port = _free_port()
    program = "from transformers.cli.transformers import main; main()"
    options = ["--host", HOST, "--port", str(port), "--log-level", "error"]
    if in_batches:  # with a fixed size, else the KV cache takes most of the free memory
        blocks = settings.concurrency * -(-settings.context // CACHE_BLOCK)
        options += ["--continuous-batching", "--cb-block-size", str(CACHE_BLOCK)]
        options += ["--cb-num-blocks", str(blocks), "--cb-max-batch-tokens", str(settings.context)]
    with tempfile.TemporaryDirectory(prefix="longwriter-served-") as name:
        for file in folder.iterdir():
            (Path(name) / file.name).symlink_to(file)
        _write_sampling(folder, Path(name) / SAMPLING)
        command = [sys.executable, "-c", program, "serve", name, *options]
        with running("transformers", command, port, TRANSFORMERS_START_S) as base_url:
            yield base_url, name


def _write_sampling(folder: Path, path: Path) -> None:
    """Writes a generation_config.json that samples from the whole distribution.

    It keeps the checkpoint's special token ids, such as those that end an answer.
    """
    own = next(file for file in (folder / SAMPLING, folder / "config.json") if file.exists())
    tokens = {k: v for k, v in json.loads(own.read_bytes()).items() if k.endswith("_token_id")}
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(tokens | {"do_sample": True, "top_k": 0}), encoding="utf-8")


@contextmanager
def running(title: str, command: list[str], port: int, start_s: float) -> Iterator[str]:
    """Starts a server, yields its address up to and including /v1, and ends it and its engines.

    Args:
        title: the server's name in errors and in the log's file name.
        port: where the command listens; GET /health answers once it is ready.
        start_s: longest wait until it is ready, in seconds.

    Raises:
        ServerError: it ends early or is not ready in time. This error, and any ServerError or
            ServerFault raised in the block, shows the end of the log.
    """
    descriptor, name = tempfile.mkstemp(prefix=f"longwriter-{title.lower()}-", suffix=".log")
    log = Path(name)
    with (
        os.fdopen(descriptor, "wb") as output,
        own_session(command, output.fileno(), _environment(command[0])) as server,
    ):
        try:
            _wait_until_healthy(title, server, port, start_s)
            yield f"http://{HOST}:{port}/v1"
        except (ServerError, ServerFault) as error:
            raise type(error)(f"{error}\n{_end_of(title, log)}") from None
    log.unlink()


def _arguments(model: str, port: int, settings: ServerSettings) -> list[str]:
    assert settings.vllm is not None
    values = {
        "host": HOST,
        "port": port,
        "served-model-name": settings.model,
        "max-model-len": settings.context,
        "max-num-seqs": settings.concurrency,
        "tensor-parallel-size": settings.vllm.tensor_parallel_size,
        "data-parallel-size": settings.vllm.data_parallel_size,
        # else the checkpoint's top_k, penalties and max_new_tokens apply
        "generation-config": "vllm",
    }
    return [
        "serve",
        model,
        *(word for name, value in values.items() for word in (f"--{name}", str(value))),
        "--enable-prefix-caching",
        "--enable-prompt-tokens-details",  # reports the prompt tokens from the prefix cache
        "--disable-uvicorn-access-log",  # a line per call would push a fault's cause out of sight
    ]


def _environment(executable: str) -> dict[str, str]:
    """Returns this process's environment, adapted for a server.

    It has no keys (VLLM_API_KEY would have to be sent with every call), the tools beside
    `executable`, such as ninja, are on the PATH, and usage statistics are off.
    """
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_KEY")}
    path = f"{Path(executable).absolute().parent}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return kept | {"PATH": path, "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(
    title: str, server: subprocess.Popen[bytes], port: int, start_s: float
) -> None:
    from tqdm import tqdm  # here: it reads TQDM_DISABLE, which training sets, when imported

    started = time.monotonic()
    with tqdm(
        desc=f"{title} starts", bar_format="{desc}: {elapsed}", disable=None, leave=False
    ) as note:
        while not _healthy(port):
            if server.poll() is not None:
                raise ServerError(f"{title} ended with status {server.returncode} as it started.")
            if time.monotonic() - started > start_s:
                raise ServerError(
                    f"{title} was not ready after {start_s:g} s; a large model or a download may "
                    "need more" + (": set vllm.start_s." if title == "vLLM" else ".")
                )
            time.sleep(POLL_S)
            note.refresh()


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _end_of(title: str, log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as lines:
        return "".join([f"The end of {title}'s log, {log}:\n", *deque(lines, LOG_LINES)]).rstrip()
