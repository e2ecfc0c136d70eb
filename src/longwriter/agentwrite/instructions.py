"""Instructions from JSON Lines, parquet or the Hugging Face hub, WildChat-1M's schema included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Record
from longwriter.core.sources import SourceKind, checked, open_source

OTHER = "other"
"""Language of an instruction that AgentWrite cannot write in; the rules remove it."""

_LANGUAGES = {"English": "en", "Chinese": "zh"}


class _Turn(Record):
    role: str
    content: str | None


class _Conversation(Record):
    """A row of WildChat-1M."""

    conversation: list[_Turn]
    language: str
    toxic: bool
    redacted: bool
    conversation_hash: Annotated[str, Field(min_length=1)]


_COLUMNS = {*_Conversation.model_fields, *Instruction.model_fields}
"""Columns that are read. Others may hold what JSON cannot, such as dates, and take memory."""


def read_instructions(path: Path, settings: AgentWriteSettings) -> Iterator[Instruction]:
    """Streams the instructions that `settings.instructions` names, in their order.

    Rows of parquet files and of the hub are in WildChat-1M's schema (the instruction is the user's
    first turn) or have a column `prompt`. A row in WildChat's schema may have a blank prompt or the
    language `OTHER`: the rules remove it. Rows of JSON Lines are instructions and keep all fields.

    Args:
        path: where a file or folder of that name would be.

    Raises:
        DataError: a file or row cannot be read; the message names it.
        SettingsError: a data set of the hub without a revision.
    """
    given = settings.instructions
    source = open_source(given, settings.revision, path, "agentwrite.instructions")
    if source.kind is SourceKind.jsonl:
        return (checked(row, Instruction, where) for where, row in source.rows())
    name = given if source.kind is SourceKind.hub else path.name.removesuffix(".parquet")
    return (_instruction(row, name, where) for where, row in source.rows(_COLUMNS))


def _instruction(row: dict[str, Any], source: str, where: str) -> Instruction:
    if "conversation" in row:
        return _first_turn(checked(row, _Conversation, where), source)
    if "prompt" not in row:
        raise DataError(
            f"{where}: has neither a column `conversation`, as WildChat-1M has, nor `prompt`"
        )
    given = {key: value for key, value in row.items() if value is not None}
    return checked({"source": source} | given, Instruction, where)


def _first_turn(row: _Conversation, source: str) -> Instruction:
    said = (turn.content for turn in row.conversation if turn.role == "user")
    return Instruction.model_construct(
        prompt=next(said, None) or "",
        id=row.conversation_hash[:16],
        language=_LANGUAGES.get(row.language, OTHER),
        source=source,
        toxic=row.toxic,
        redacted=row.redacted,
    )
