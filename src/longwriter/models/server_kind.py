"""What serves a checkpoint of the student."""

import json
from pathlib import Path

from longwriter.core.errors import SettingsError
from longwriter.llm.settings import ServerKind
from longwriter.models.settings import StudentSettings


def server_kind(student: StudentSettings, checkpoint: Path) -> ServerKind:
    """What serves `checkpoint`, a folder of the student or a GGUF file: student.server.kind, decided where
    that is `auto`.

    Raises:
        SettingsError: student.server.kind is llama_cpp, which cannot serve it.
    """
    kind = student.server.kind
    if checkpoint.is_file():
        return ServerKind.llama_cpp if kind is ServerKind.auto else kind
    file = checkpoint / "config.json"
    family = json.loads(file.read_bytes()).get("model_type") if file.exists() else None
    # The student's own GGUF gives the new one all but the weights, and rows of q and k are known
    # for Llama.
    written_back = student.checkpoint.endswith(".gguf") and family in (None, "llama")
    if kind is ServerKind.auto:
        stretched = student.rope_scaling is not None
        return ServerKind.llama_cpp if written_back and not stretched else ServerKind.transformers
    if kind is ServerKind.llama_cpp and not written_back:
        raise SettingsError(
            f"student.server.kind: llama_cpp serves students that come as a Llama's GGUF file, and "
            f"{student.checkpoint} ({family}) does not; set student.server.kind=auto"
        )
    return kind
