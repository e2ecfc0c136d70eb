"""Serves a checkpoint of the student: by llama.cpp, by vLLM, or at an endpoint that is already up."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from longwriter.core.files import weights_digest
from longwriter.llm.client import ChatClient
from longwriter.llm.gguf import gguf_of
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerKind
from longwriter.models.settings import StudentSettings

T = TypeVar("T")

NAME = "student.server"
"""Of the group of settings."""


def with_student(
    work: Callable[[ChatClient], Awaitable[T]],
    checkpoint: Path,
    student: StudentSettings,
    calls: CallContext,
) -> tuple[T, dict[str, float]]:
    """Runs `work` on `checkpoint`, served as `student.server` says.

    llama.cpp serves the checkpoint's conversion to GGUF, vLLM its folder. An endpoint must serve it
    itself, under the name student.server.model or, where that is null, the DAG's name (`models/sft`).

    Returns:
        What `work` returned, and the calls, tokens and US dollars it took.

    Raises:
        DataError, SettingsError: as `gguf_of` and `serve`.
    """
    server = student.server
    if server.kind is ServerKind.llama_cpp:
        gguf = gguf_of(checkpoint, student.checkpoint, calls.cache)
        return with_client(work, server, calls, name=NAME, checkpoint=gguf)
    named = replace(server, model=server.model or f"{checkpoint.parent.name}/{checkpoint.name}")
    if server.kind is ServerKind.vllm:
        return with_client(work, named, calls, name=NAME, checkpoint=checkpoint)
    return with_client(work, named, calls, name=NAME, version=weights_digest(checkpoint))
