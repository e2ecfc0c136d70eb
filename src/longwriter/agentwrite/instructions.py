"""Where instructions come from: JSON Lines, parquet, or a data set of the Hugging Face hub."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import Instruction, Record
from longwriter.core.sources import checked, read_jsonl

OTHER = "other"
"""Stands for every language that AgentWrite cannot write in, until the rules remove it."""


_LANGUAGES = {"English": "en", "Chinese": "zh"}


_HUB_ID = re.compile(r"[\w-]+/(?!.*\.jsonl?$)[\w.-]+")


_BATCH = 1000
"""Rows of a parquet file that are in memory at once."""


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
"""Columns that are read. Others may hold what is no JSON, such as dates, so they are not kept."""


def read_instructions(path: Path, settings: AgentWriteSettings) -> Iterator[Instruction]:
    """The instructions that `settings.instructions` names, in their order.

    Rows of parquet files and of the hub are in WildChat-1M's schema (the instruction is what the
    user says first) or have a column `prompt`, and are streamed. A row in WildChat's schema may come
    with a blank prompt or the language `OTHER`: the rules remove it.

    Args:
        path: where a file or folder of that name lies.

    Raises:
        DataError: a file or row cannot be read; the message names it.
        SettingsError: a data set of the hub without a revision.
    """
    if path.is_dir():
        files = sorted(path.glob("*.parquet"))
        if not files:
            raise DataError(f"{path}: holds no *.parquet file")
        return _from_parquet(files, path.name)
    if path.suffix == ".parquet":
        return _from_parquet([path], path.stem)
    name = settings.instructions or ""
    if path.exists() or not _HUB_ID.fullmatch(name):
        return iter(read_jsonl(path, Instruction))
    if settings.revision is None:
        raise SettingsError(
            f"agentwrite.revision: is null; agentwrite.instructions={name} is no file here, so it is "
            "taken as a Hugging Face data set, which needs a commit or tag to read the same rows again"
        )
    return _from_hub(name, settings.revision)


def _from_parquet(files: Sequence[Path], source: str) -> Iterator[Instruction]:
    from pyarrow.parquet import ParquetFile

    for path in files:
        number = 0
        try:
            with ParquetFile(path) as file:
                columns = [name for name in file.schema_arrow.names if name in _COLUMNS]
                batches = file.iter_batches(_BATCH, columns=columns)
                rows = (row for batch in batches for row in batch.to_pylist())
                for number, row in enumerate(rows, start=1):
                    yield _instruction(row, source, f"{path}, row {number}")
        except (OSError, ValueError) as error:  # pyarrow's own are among them
            raise DataError(f"{path}: cannot be read after row {number} ({error})") from None


def _from_hub(name: str, revision: str) -> Iterator[Instruction]:
    import datasets

    number = 0
    try:
        rows = datasets.load_dataset(name, revision=revision, split="train", streaming=True)
        for number, row in enumerate(rows, start=1):
            yield _instruction(row, name, f"{name}, row {number}")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name} at {revision}: cannot be read after row {number} "
            f"({type(error).__name__}: {error}); mend agentwrite.instructions or agentwrite.revision"
        ) from None


def _instruction(row: dict[str, Any], source: str, where: str) -> Instruction:
    if "conversation" in row:
        return _first_turn(checked(row, _Conversation, where), source)
    if "prompt" not in row:
        raise DataError(
            f"{where}: has neither a column `conversation`, as WildChat-1M has, nor `prompt`"
        )
    given = {key: value for key, value in row.items() if key in _COLUMNS and value is not None}
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
