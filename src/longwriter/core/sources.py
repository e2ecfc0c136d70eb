"""Rows from JSON Lines, parquet files and data sets of the Hugging Face hub."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import R


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """Reads every row of `path` as `kind`.

    Raises:
        DataError: the file is missing or holds no row, or a line is not UTF-8, not JSON, or
            not a `kind`; the message names file and line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [
        _parse(line, kind, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{path}: holds no row; one JSON object a line is needed")
    return rows


def stream_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbers and bytes of the lines of `path` that are not blank, one after the other: memory does
    not grow with the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip(b"\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: bytes, kind: type[R], where: str) -> R:
    return checked(parse_line(line, where), kind, where)


def parse_line(line: bytes, where: str) -> Any:
    """The JSON value of a line.

    Raises:
        DataError: it is not UTF-8, not JSON or nested too deeply; the message names `where`.
    """
    try:
        value = json.loads(line)
        if b"\\ud" in line.lower():  # an escape that UTF-8 may not be able to hold
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start} of the line)") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half of a surrogate pair; mend the row") from None
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply; mend the row") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{where}: not JSON: {error}") from None
    return value


def checked(row: Any, kind: type[R], where: str) -> R:
    """`row` as `kind`.

    Raises:
        DataError: it is none; the message names `where` it stands and the field.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "row"
        raise DataError(f"{where}: {key}: {first['msg']}; mend the row or remove it") from None


_HUB_ID = re.compile(r"[\w-]+/(?!.*\.(?:jsonl?|parquet)$)[\w.-]+")


_BATCH = 100
"""Rows of a parquet file that are in memory at once."""


@dataclass(frozen=True)
class Source:
    """Rows that a setting names."""

    name: str
    """For the card: the file's name, or the hub id with its revision."""
    lines: Iterator[tuple[str, bytes]]
    """Where each row stands, and the row as a line of JSON."""


def open_source(given: str | None, revision: str | None, path: Path, setting: str) -> Source:
    """The rows that `given` names: a file or folder at `path`, or a data set of the hub.

    Args:
        given: what the setting says; null: the file at `path`, where the DAG puts it.
        revision: commit or tag of a hub data set.
        setting: the setting's key, for the error.

    Raises:
        DataError: nothing is there, or it cannot be read.
        SettingsError: a data set of the hub without a revision.
    """
    if path.is_dir():
        files = sorted(path.rglob("*.parquet"))
        if not files:
            raise DataError(f"{path}: holds no *.parquet file")
        return Source(path.name, _from_parquet(files))
    if path.suffix == ".parquet":
        return Source(path.name, _from_parquet([path]))
    if path.exists() or given is None or not _HUB_ID.fullmatch(given):
        lines = ((f"{path}:{number}", line) for number, line in stream_lines(path))
        return Source(path.name, lines)
    if revision is None:
        raise SettingsError(
            f"{setting.rpartition('.')[0]}.revision: is null; {setting}={given} is no file here, so it "
            "is taken as a Hugging Face data set, which needs a commit or tag to read the same rows again"
        )
    return Source(f"{given} at {revision}", _from_hub(given, revision))


def _from_parquet(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    from pyarrow.parquet import ParquetFile

    for path in files:
        number = 0
        try:
            with ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}, row {number}", _line(row)
        except (OSError, ValueError) as error:  # pyarrow's own are among them
            raise DataError(f"{path}: cannot be read after row {number} ({error})") from None


def _from_hub(name: str, revision: str) -> Iterator[tuple[str, bytes]]:
    import datasets

    number = 0
    try:
        rows = datasets.load_dataset(name, revision=revision, split="train", streaming=True)
        for row in rows:
            number += 1
            yield f"{name}, row {number}", _line(row)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name} at {revision}: cannot be read after row {number} "
            f"({type(error).__name__}: {error}); mend the data set's name or its revision"
        ) from None


def _line(row: object) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
