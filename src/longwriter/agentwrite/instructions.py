"""Reads instructions from JSON Lines, parquet or the Hugging Face hub, WildChat-1M included."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Record
from longwriter.core.sources import SourceKind, checked, open_source
from longwriter.text.demands import Demand, demand_in
from longwriter.text.languages import prompt_language

OTHER = "other"
"""Any language that AgentWrite cannot write in; the rules remove such instructions."""

_LANGUAGES = {"English": "en", "Chinese": "zh"}

UNREAD = "unread_length"
"""Field for a length in pages, minutes or characters that no setting converts to words, as the
instruction words it."""


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
"""Columns to read. Others take memory and may hold what JSON cannot, such as dates."""


def read_instructions(path: Path, settings: AgentWriteSettings) -> Iterator[Instruction]:
    """Streams the instructions that `settings.instructions` names, in their order.

    Rows of parquet files and of the hub are in WildChat-1M's schema (the instruction is the user's
    first turn) or have a column `prompt`. Rows of JSON Lines are instructions and keep all fields.
    If `length` or `language` is missing, it is derived from the prompt. Rows with a blank prompt or
    a language that AgentWrite cannot write in are left to the rules, which remove them.

    Args:
        path: path of the file or folder, if `settings.instructions` names one.

    Raises:
        DataError: a file or row cannot be read; the message names it.
        SettingsError: a hub data set has no revision.
    """
    given = settings.instructions
    source = open_source(given, settings.revision, path, "agentwrite.instructions")
    if source.kind is SourceKind.jsonl:
        return (_completed(row, where, settings) for where, row in source.rows())
    name = given if source.kind is SourceKind.hub else path.name.removesuffix(".parquet")
    return (_instruction(row, name, where, settings) for where, row in source.rows(_COLUMNS))


def _instruction(
    row: dict[str, Any], source: str, where: str, settings: AgentWriteSettings
) -> Instruction:
    if "conversation" in row:
        found = _first_turn(checked(row, _Conversation, where), source)
        return found.model_copy(update=_length_said(found.prompt, settings))
    if "prompt" not in row:
        raise DataError(
            f"{where}: has neither a column `conversation`, as WildChat-1M has, nor `prompt`"
        )
    given = {key: value for key, value in row.items() if value is not None}
    return _completed({"source": source} | given, where, settings)


def _completed(row: dict[str, Any], where: str, settings: AgentWriteSettings) -> Instruction:
    """Returns the instruction; a missing length or language is derived from its prompt."""
    given = {key: value for key, value in row.items() if value is not None}
    found = checked(given, Instruction, where)
    said: dict[str, Any] = {}
    if "language" not in given:
        said["language"] = prompt_language(found.prompt)
    if "length" not in given:
        said |= _length_said(found.prompt, settings)
    return found.model_copy(update=said)


def _length_said(prompt: str, settings: AgentWriteSettings) -> dict[str, Any]:
    """Returns the `length` in words that a prompt asks for; in another unit, as UNREAD."""
    demand = in_words(demand_in(prompt), settings)
    return {"length": demand.target} if demand.unit == "words" else {UNREAD: demand.quotes[0]}


def in_words(demand: Demand, settings: AgentWriteSettings) -> Demand:
    """Returns the demand in words if the settings convert its unit, else as it is."""
    factors = {
        "pages": settings.words_per_page,
        "minutes": settings.words_per_minute,
        "characters": settings.words_per_character,
    }
    factor = factors.get(demand.unit)
    return demand if factor is None else demand.times(factor)


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
