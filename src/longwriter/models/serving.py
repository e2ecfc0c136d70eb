"""Serves a checkpoint of the student with llama.cpp, vLLM, transformers or a running endpoint."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import weights_digest
from longwriter.llm.client import ChatClient
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerKind, ServerSettings
from longwriter.models.lineup import BY_NAME
from longwriter.models.server_kind import server_kind, template_of
from longwriter.models.settings import StudentSettings

T = TypeVar("T")

NAME = "student.server"
"""Name of the settings group."""


class Placement(NamedTuple):
    """How a checkpoint is served: the arguments of `llm.servers.serve`."""

    settings: ServerSettings
    checkpoint: Path | None
    version: str


def placement(checkpoint: Path, student: StudentSettings, cache: Path) -> Placement:
    """Returns how to serve `checkpoint` according to `student.server`.

    llama.cpp serves the checkpoint converted to GGUF, which is done once and kept in `cache`; vLLM
    and transformers serve its folder. An endpoint must already serve it, under the name
    student.server.model or, if that is null, the name in the DAG (`models/sft`).

    Raises:
        DataError, SettingsError: as `gguf_of`.
        DataError: a GGUF file, which only llama.cpp can serve, with another server.
    """
    server = replace(student.server, kind=server_kind(student, checkpoint, cache).kind)
    if server.kind is ServerKind.llama_cpp:
        from longwriter.llm.gguf import gguf_of  # imports numpy, which only this kind needs

        template = template_of(student, checkpoint)
        return Placement(server, gguf_of(checkpoint, template, cache), "")
    named = replace(server, model=server.model or f"{checkpoint.parent.name}/{checkpoint.name}")
    if server.kind is ServerKind.endpoint:
        return Placement(named, None, weights_digest(checkpoint))
    if checkpoint.is_file():
        raise DataError(
            f"{checkpoint}: is a GGUF file, which only student.server.kind=llama_cpp can serve"
        )
    return Placement(named, checkpoint, "")


def model_named(name: str, root: Path) -> Path:
    """Returns the checkpoint that a user names: a model of the DAG, a folder or a GGUF file.

    Raises:
        SettingsError: it does not exist.
    """
    path = root / "models" / name if name in BY_NAME else Path(name)
    if path.exists():
        return path
    made = f"`dvc repro {name}` makes it, `dvc checkout models/{name}` brings it back"
    known = f"name one of {', '.join(BY_NAME)} (in models/), a folder or a GGUF file"
    raise SettingsError(f"{path}: is not there; {made if name in BY_NAME else known}")


def models_named(models: Sequence[str], root: Path) -> dict[str, Path]:
    """Returns the checkpoints that a user names, keyed by the name under which each is served.

    Raises:
        SettingsError: one does not exist, or two have the same name.
    """
    checkpoints: dict[str, Path] = {}
    for model in models:
        path = model_named(model, root)
        name = path.stem if path.is_file() else path.absolute().name
        if name in checkpoints:
            raise SettingsError(f"{model}: {checkpoints[name]} is called {name} too")
        checkpoints[name] = path
    return checkpoints


def with_student(
    work: Callable[[ChatClient], Awaitable[T]],
    checkpoint: Path,
    student: StudentSettings,
    calls: CallContext,
) -> tuple[T, dict[str, float]]:
    """Runs `work` on `checkpoint`, served as `placement` describes.

    Returns:
        The result of `work`, and the calls, tokens and US dollars it used.

    Raises:
        DataError, SettingsError: as `placement` and `serve`.
    """
    place = placement(checkpoint, student, calls.cache)
    return with_client(
        work,
        place.settings,
        calls,
        name=NAME,
        checkpoint=place.checkpoint,
        version=place.version,
    )
