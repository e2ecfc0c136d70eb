"""Chooses the server for a checkpoint of the student."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from longwriter.core.errors import SettingsError
from longwriter.llm.settings import ServerKind
from longwriter.models.settings import StudentSettings


class Choice(NamedTuple):
    """The server chosen for a checkpoint, and why."""

    kind: ServerKind
    reason: str


def server_kind(student: StudentSettings, checkpoint: Path, cache: Path) -> Choice:
    """Returns the server to use for `checkpoint`, a folder of the student or a GGUF file.

    It is student.server.kind unless that is `auto`. Under `auto`, llama.cpp serves GGUF files and a
    student that came as a Llama's GGUF file; any other checkpoint gets the first that can serve it
    of vLLM (if installed), llama.cpp and transformers.

    Whether llama.cpp can serve it is tested by converting it; the converted file is kept in
    `cache`.

    Raises:
        DataError: the folder holds no checkpoint.
        SettingsError: student.server.kind is llama_cpp, which cannot serve it.
    """
    kind, vllm = student.server.kind, student.server.vllm
    if kind not in (ServerKind.auto, ServerKind.llama_cpp):
        return Choice(kind, "student.server.kind says so")
    if checkpoint.is_file() or template_of(student, checkpoint):
        return Choice(ServerKind.llama_cpp, "the student is a GGUF file")
    if kind is ServerKind.auto and vllm and shutil.which(vllm.executable):
        return Choice(ServerKind.vllm, "it is installed")
    from longwriter.llm.gguf import gguf_of  # imports numpy, which only this kind needs

    try:
        gguf_of(checkpoint, None, cache)
    except SettingsError as error:
        if kind is ServerKind.llama_cpp:
            raise SettingsError(
                f"student.server.kind: llama_cpp, and {error}; set student.server.kind=auto"
            ) from None
        return Choice(ServerKind.transformers, str(error))
    return Choice(ServerKind.llama_cpp, "its converter takes the model")


def template_of(student: StudentSettings, checkpoint: Path) -> str | None:
    """Returns the GGUF file that supplies all but the weights of `checkpoint`, if there is one.

    `checkpoint` is a folder of the student. None: the student didn't come as a GGUF file, had its
    context extended, or isn't a Llama (the only family whose row order of q and k is known).
    """
    file = checkpoint / "config.json"
    family = json.loads(file.read_bytes()).get("model_type") if file.exists() else None
    own = family in (None, "llama") and student.rope_scaling is None
    return student.checkpoint if own and student.checkpoint.endswith(".gguf") else None
