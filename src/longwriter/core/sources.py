"""Reads rows from JSON Lines, parquet files and data sets of the Hugging Face hub.

`read_jsonl` reads a whole file of one kind of row; `open_source` streams whatever a setting names.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import R

_HUB_ID = re.compile(r"[\w-]+/(?!.*\.(?:jsonl?|parquet)$)[\w.-]+")
_ARRAY = re.compile(rb"\s*\[\s*(?:\{|$)")
"""Matches the first line of a JSON array of objects."""
_BATCH = 100
"""Rows of a parquet file held in memory at once."""


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """Reads every row of `path` as `kind`.

    Raises:
        DataError: the file is missing or has no rows, or a line is not UTF-8, not JSON, or
            not a `kind`; the message names file and line.
    """
    lines = ((f"{path}:{number}", line) for number, line in stream_lines(path))
    rows = [checked(parse_line(line, where), kind, where) for where, line in lines]
    if not rows:
        raise DataError(f"{path}: has no rows; expected one JSON object per line")
    return rows


def stream_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yields number and bytes of every non-blank line of `path`.

    Raises:
        DataError: the file cannot be read or holds a JSON array.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    if number == 1 and _ARRAY.match(line):
                        raise DataError(
                            f"{path}: is a JSON array; expected one object per line: "
                            f"jq -c '.[]' {path.name} > {path.stem}.jsonl"
                        )
                    yield number, line.rstrip(b"\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def parse_line(line: bytes, where: str) -> Any:
    """Returns the JSON value of a line.

    Raises:
        DataError: the line is not UTF-8, not JSON or nested too deeply; the message names `where`.
    """
    try:
        value = json.loads(line)
        if b"\\ud" in line.lower():  # a surrogate, which UTF-8 may be unable to encode
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start} of the line)") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half of a surrogate pair; fix the row") from None
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply; fix the row") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # such as a number with thousands of digits
        raise DataError(f"{where}: not JSON: {error}") from None
    return value


def checked(row: Any, kind: type[R], where: str) -> R:
    """Returns `row` as a `kind`.

    Raises:
        DataError: it is not one; the message names the field and `where` the row was read.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'row'}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise DataError(f"{where}: {'; '.join(faults)}; fix the row or remove it") from None


class SourceKind(Enum):
    """Where rows come from."""

    jsonl = "jsonl"
    """A JSON Lines file."""
    parquet = "parquet"
    """A parquet file, or all of a folder and its subfolders in the order of their paths."""
    hub = "hub"
    """A data set of the Hugging Face hub, streamed."""


Row = bytes | dict[str, Any]
"""A line of JSON that is not parsed yet, or a row as column → value."""


@dataclass(frozen=True)
class Source:
    """Rows that a setting names. Each iteration reads them again; they are never all in memory."""

    name: str
    """The file's or folder's name, or the hub id with its revision."""
    kind: SourceKind
    _read: Callable[[Collection[str] | None], Iterator[tuple[str, Row]]]

    def rows(self, columns: Collection[str] | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yields (where, row): where the row was read, for error messages, and the row.

        Args:
            columns: the columns of parquet and hub rows to keep; None: all. JSON Lines rows are
                always whole.

        Raises:
            DataError: the source cannot be read or has no rows, or a row is not a JSON object.
        """
        empty = True
        for where, row in self._read(columns):
            empty = False
            value = parse_line(row, where) if isinstance(row, bytes) else row
            if not isinstance(value, dict):
                raise DataError(f"{where}: not a JSON object; fix the row or remove it")
            yield where, value
        if empty:
            raise DataError(f"{self.name}: has no rows")

    @property
    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yields (where, line): where the row was read, and the row as a line of JSON.

        Lines of a JSON Lines file are not parsed, so that another process can do that.

        Raises:
            DataError: the source cannot be read.
        """
        for where, row in self._read(None):
            yield where, row if isinstance(row, bytes) else _line(row)


def open_source(
    given: str | None, revision: str | None, path: Path, setting: str, split: str = "train"
) -> Source:
    """Returns the rows that `given` names: a file or folder at `path`, or a data set of the hub.

    Args:
        given: the setting's value; None: the file at `path`, the DAG's place for it.
        revision: commit or tag of a hub data set.
        setting: the setting's key, such as `filter.drafts`, for error messages. The revision's key
            is `revision` in the same group.
        split: the split of a hub data set.

    Raises:
        DataError: the folder has no parquet files.
        SettingsError: a hub data set has no revision.
    """
    if path.is_dir() or path.suffix == ".parquet":
        files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
        if not files:
            raise DataError(f"{path}: holds no *.parquet file; fix {setting}")
        return Source(path.name, SourceKind.parquet, lambda c: _from_parquet(files, c, setting))
    if path.exists() or given is None or not _HUB_ID.fullmatch(given):
        return Source(path.name, SourceKind.jsonl, lambda _: _from_jsonl(path))
    group = setting.rpartition(".")[0]
    if revision is None:
        raise SettingsError(
            f"{group}.revision: is null, but {setting}={given} is not a local file, so it is read "
            "from the Hugging Face hub; set a commit or tag so that the rows are reproducible"
        )
    name, fix = f"{given} at {revision}", f"{setting} or {group}.revision"
    return Source(name, SourceKind.hub, lambda c: _from_hub(given, revision, split, c, fix))


def _from_jsonl(path: Path) -> Iterator[tuple[str, bytes]]:
    return ((f"{path}:{number}", line) for number, line in stream_lines(path))


def _from_parquet(
    files: Sequence[Path], columns: Collection[str] | None, setting: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    with _needs("pyarrow", setting):
        from pyarrow.parquet import ParquetFile

    for path in files:
        number = 0
        try:
            with ParquetFile(path) as file:
                names = [name for name in file.schema_arrow.names if _kept(name, columns)]
                for batch in file.iter_batches(_BATCH, columns=names):
                    for row in batch.to_pylist():
                        number += 1
                        yield f"{path}, row {number}", row
        except (OSError, ValueError) as error:  # includes pyarrow's own errors
            raise DataError(
                f"{path}: cannot be read after row {number} ({error}); fix the file or {setting}"
            ) from None


def _from_hub(
    name: str, revision: str, split: str, columns: Collection[str] | None, fix: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    with _needs("datasets", fix):
        import datasets

    number = 0
    try:
        rows = datasets.load_dataset(name, revision=revision, split=split, streaming=True)
        for row in rows:
            number += 1
            kept = {key: value for key, value in row.items() if _kept(key, columns)}
            yield f"{name}, row {number}", kept
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{name} at {revision}: cannot be read after row {number} of split {split} "
            f"({type(error).__name__}: {error}); fix {fix}"
        ) from None


def _kept(column: str, columns: Collection[str] | None) -> bool:
    return columns is None or column in columns


@contextmanager
def _needs(package: str, setting: str) -> Iterator[None]:
    """Turns the failed import of a package that the base install lacks into a SettingsError."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"{setting}: reading it requires {package} ({error}); "
            "run pip install 'longwriter[pipeline]'"
        ) from None


def _line(row: object) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=str).encode("utf-8", "surrogatepass")
