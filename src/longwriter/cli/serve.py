"""`longwriter serve`: serves models on this machine by OpenAI's API and a web page for writing."""

import asyncio
import ipaddress
import os
import secrets
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from longwriter.config.load import ROOT, compose
from longwriter.core.errors import SettingsError
from longwriter.core.settings import RuntimeSettings
from longwriter.core.workspace import Workspace
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerKind
from longwriter.models.serving import models_named, placement
from longwriter.models.settings import StudentSettings
from longwriter.serve.app import Served, application

TOKEN = "LONGWRITER_TOKEN"  # noqa: S105
"""Environment variable that holds the token clients must send."""

_SLOTS = 4
"""Texts that each model can write at once; more would cost memory and start-up time."""


@dataclass(kw_only=True)
class ServeSettings:
    """Config groups needed for serving."""

    student: StudentSettings
    runtime: RuntimeSettings


def serve_models(arguments: Namespace) -> None:
    """Serves the models that the command line names until Ctrl-C.

    Raises:
        LongwriterError: a model doesn't exist or cannot be served, or the port is taken.
    """
    checkpoints = models_named(arguments.models, Path.cwd())
    settings = compose(ServeSettings, server_overrides(arguments.server) + arguments.overrides)
    token = os.environ.get(TOKEN, "")
    if not token and not _loopback(arguments.host):
        token = secrets.token_urlsafe(24)
    cache = Workspace(ROOT, Path.cwd()).cache
    with (
        _listening(arguments.host, arguments.port) as listener,
        started(checkpoints, settings.student, cache, settings.runtime.threads) as models,
    ):
        port = listener.getsockname()[1]
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        address = f"http://{host}:{port}"
        print(f"{', '.join(checkpoints)}: the page is {address}/{token and f'#token={token}'}")
        print(f"OpenAI's API: {address}/v1{' with that token as the key' if token else ''}")
        print("Ctrl-C ends it", file=sys.stderr)
        sys.stdout.flush()
        config = uvicorn.Config(
            application(models, token),
            log_level="warning",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=1,  # else a text being written would delay it
        )
        asyncio.run(_run(uvicorn.Server(config), listener))


async def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    """Runs the server until Ctrl-C or SIGTERM; uvicorn's own handlers end with a traceback."""
    server.capture_signals = nullcontext  # type: ignore[method-assign,assignment]
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listener])
    print("stopped", file=sys.stderr)


@contextmanager
def started(
    checkpoints: Mapping[str, Path], student: StudentSettings, cache: Path, threads: int | None
) -> Iterator[list[Served]]:
    """Starts a server for each model as `student.server` says, and stops them after the block.

    Args:
        checkpoints: name → folder or GGUF file.
        cache: folder for checkpoints converted to GGUF.
        threads: number of threads for llama.cpp; None: every core.

    Raises:
        SettingsError, DataError, ServerError: as `placement` and `serve`.
    """
    server = student.server
    if server.kind is ServerKind.endpoint:
        raise SettingsError(
            "student.server.kind=endpoint is already a running server, so there is nothing to "
            "start; choose --server llama_cpp, transformers or vllm"
        )
    sampling = {"temperature": server.temperature, "top_p": server.top_p}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    with ExitStack() as stack:
        models = []
        for name, checkpoint in checkpoints.items():
            place = placement(checkpoint, student, cache)
            settings = replace(place.settings, model=name)
            own = settings.kind is ServerKind.llama_cpp
            # without max_tokens, `transformers serve` would stop after 20 tokens
            room = (
                {}
                if settings.kind is not ServerKind.transformers
                else {"max_tokens": server.context}
            )
            address = stack.enter_context(
                serve(settings, checkpoint=place.checkpoint, threads=threads, one_sampling=False)
            )
            models.append(Served(name, address, sampling | room, own))
        yield models


def server_overrides(kind: str | None) -> list[str]:
    """Returns the overrides that make `kind` serve the student; None keeps the kind in conf/."""
    slots = [f"student.server.concurrency={_SLOTS}"]
    if kind in ("vllm", "transformers"):
        return ["server@student.server=checkpoints", f"student.server.kind={kind}", *slots]
    return slots + ([f"student.server.kind={kind}"] if kind else [])


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listening(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on `host` and `port`.

    Raises:
        SettingsError: the socket cannot be opened.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise SettingsError(
            f"--host {host} --port {port}: {error.strerror or error}; name another port (0: any free one)"
        ) from None
