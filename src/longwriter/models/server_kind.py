"""What serves a checkpoint of the student."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from longwriter.core.errors import SettingsError
from longwriter.llm.settings import ServerKind
from longwriter.models.settings import StudentSettings


class Choice(NamedTuple):
    """What serves a checkpoint, and why."""

    kind: ServerKind
    reason: str


def server_kind(student: StudentSettings, checkpoint: Path, cache: Path) -> Choice:
    """What serves `checkpoint`, a folder of the student or a GGUF file: student.server.kind, or where that
    is `auto` the first of these that can: vLLM where it is installed, llama.cpp, transformers. A student
    that came as a Llama's GGUF file stays with llama.cpp.

    Whether llama.cpp can is found out by making the file that it serves, which is kept in `cache`.

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
    from longwriter.llm.gguf import gguf_of  # numpy, for this kind only

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
    """The GGUF file that has all but the weights of `checkpoint`, a folder of the student; None where there
    is none: the student came as a folder, is no Llama, whose rows of q and k are known, or was stretched."""
    file = checkpoint / "config.json"
    family = json.loads(file.read_bytes()).get("model_type") if file.exists() else None
    own = family in (None, "llama") and student.rope_scaling is None
    return student.checkpoint if own and student.checkpoint.endswith(".gguf") else None
