"""Starts what serves the models."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from longwriter.core.errors import SettingsError
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerKind
from longwriter.models.serving import placement
from longwriter.models.settings import StudentSettings
from longwriter.serve.app import Served


@contextmanager
def started(
    checkpoints: Mapping[str, Path], student: StudentSettings, cache: Path, threads: int | None
) -> Iterator[list[Served]]:
    """Yields the models, each served as `student.server` says; their servers end with the block.

    Args:
        checkpoints: name → folder or GGUF file.
        cache: folder of conversions to GGUF.
        threads: of llama.cpp; None: every core.

    Raises:
        SettingsError, DataError, ServerError: as `placement` and `serve`.
    """
    server = student.server
    if server.kind is ServerKind.endpoint:
        raise SettingsError(
            "student.server.kind=endpoint is up already; name --server llama_cpp, transformers or vllm"
        )
    sampling = {"temperature": server.temperature, "top_p": server.top_p}
    sampling = {name: value for name, value in sampling.items() if value is not None}
    if server.kind is ServerKind.transformers:  # would end after 20 tokens
        sampling["max_tokens"] = server.context
    with ExitStack() as stack:
        models = []
        for name, checkpoint in checkpoints.items():
            place = placement(checkpoint, student, cache)
            settings = replace(place.settings, model=name)
            address = stack.enter_context(
                serve(settings, checkpoint=place.checkpoint, threads=threads)
            )
            models.append(Served(name, address, sampling, server.kind is ServerKind.llama_cpp))
        yield models
