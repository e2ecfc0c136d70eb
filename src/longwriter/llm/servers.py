"""Provides a model at an OpenAI-compatible address.

The server is an endpoint that is already running, llama.cpp in this process, or vLLM or
transformers as a separate process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from longwriter.core.errors import DataError, ServerError, SettingsError
from longwriter.core.files import digest, locate, weights_digest
from longwriter.core.workspace import cores
from longwriter.llm.processes import SAMPLING, running_transformers, running_vllm
from longwriter.llm.settings import Address, ServerKind, ServerSettings


@contextmanager
def serve(
    settings: ServerSettings,
    *,
    checkpoint: Path | None = None,
    threads: int | None = None,
    version: str = "",
    one_sampling: bool = True,
) -> Iterator[Address]:
    """Yields the address of the model in `settings`; a server started for it ends with the block.

    Args:
        checkpoint: the GGUF file (`llama_cpp`) or the folder (the others) to serve instead of
            settings.model, under that name.
        threads: for `llama_cpp`; None: every core.
        version: for an `endpoint`: distinguishes models of the same name in the cache's keys.
        one_sampling: whether all calls have the same temperature and top_p, which `transformers`
            needs to answer several at a time.

    Raises:
        SettingsError: a setting that this kind of server needs is null, or the file doesn't exist.
        DataError: the file is not a GGUF file, or the folder holds no safetensors.
        ServerError: the server does not start, or the key is not in the environment.
    """
    match settings.kind:
        case ServerKind.endpoint:
            yield _endpoint(settings, version)
        case ServerKind.llama_cpp:
            if checkpoint is None and settings.model is None:
                raise SettingsError("model: null, and kind=llama_cpp needs a GGUF file")
            gguf = checkpoint or locate(settings.model or "")
            with _llama_cpp(settings, gguf, threads) as address:
                yield address
        case ServerKind.vllm:
            with _vllm(settings, checkpoint) as address:
                yield address
        case ServerKind.transformers:
            with _transformers(settings, checkpoint, one_sampling) as address:
                yield address
        case ServerKind.auto:
            raise SettingsError("kind=auto is for student.server; name the kind of this server")


def _endpoint(settings: ServerSettings, version: str) -> Address:
    urls = settings.base_urls
    if not urls or not settings.model:
        raise SettingsError("kind=endpoint needs base_url (up to and with /v1) and model")
    key = "none"
    if settings.api_key_env:
        key = os.environ.get(settings.api_key_env, "")
        if not key:
            raise ServerError(
                f"the environment variable {settings.api_key_env}, named by api_key_env, is not set"
            )
    if settings.batch and len(urls) > 1:
        raise SettingsError(
            "batch=true needs a single base_url: a batch exists at one address only"
        )
    spelled = settings.model if len(urls) > 1 else f"{urls[0]} {settings.model}"
    identity = f"{settings.identity or spelled} {version}"
    return Address(urls[0], settings.model, identity, key, tuple(urls[1:]))


@contextmanager
def _llama_cpp(settings: ServerSettings, gguf: Path, threads: int | None) -> Iterator[Address]:
    """Runs llama.cpp's own server in this process, on a free loopback port.

    It has one slot per call in flight; continuous batching and prompt caching are on.
    Source: llama.cpp, tools/server/README.md.
    """
    import xllamacpp

    with gguf.open("rb") as file:
        if file.read(4) != b"GGUF":
            raise DataError(f"{gguf}: is not a GGUF file")
    params = xllamacpp.CommonParams()
    name = settings.model or gguf.parent.name
    params.model.path = str(gguf)
    params.model_alias = {name}
    params.n_parallel = settings.concurrency
    params.n_ctx = settings.concurrency * settings.context
    params.cpuparams.n_threads = threads or cores()
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = False
    params.verbosity = 0
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # xllamacpp raises RuntimeError and others
        raise ServerError(f"llama.cpp cannot serve {gguf}: {error}") from None
    try:
        yield Address(f"{server.listening_address}/v1", name, f"gguf {digest(gguf)}")
    finally:
        del server


@contextmanager
def _vllm(settings: ServerSettings, checkpoint: Path | None) -> Iterator[Address]:
    if not settings.model:
        raise SettingsError("model: null, and kind=vllm needs a Hugging Face hub id or a folder")
    model = identity = settings.model
    if checkpoint or Path(settings.model).is_dir():
        folder = (checkpoint or Path(settings.model)).absolute()
        model, identity = str(folder), _weights(folder)
    with running_vllm(model, settings) as base_url:
        yield Address(base_url, settings.model, f"vllm {identity}")


@contextmanager
def _transformers(
    settings: ServerSettings, checkpoint: Path | None, one_sampling: bool
) -> Iterator[Address]:
    if checkpoint is None and not Path(settings.model or "").is_dir():
        raise SettingsError(f"model: {settings.model}, and kind=transformers needs a local folder")
    folder = (checkpoint or Path(settings.model or "")).absolute()
    ends = folder / SAMPLING  # sets the tokens that end an answer
    identity = _weights(folder) + (digest(ends) if ends.exists() else "")
    with running_transformers(folder, settings, in_batches=one_sampling) as (base_url, name):
        yield Address(base_url, name, f"transformers, sampled as asked, {identity}")


def _weights(folder: Path) -> str:
    """Returns the digest of a checkpoint's weights."""
    found = weights_digest(folder)
    if not found:
        raise DataError(f"{folder}: holds no safetensors; name a checkpoint's folder")
    return found
