"""Where rows come from: JSON Lines, parquet, or a data set of the Hugging Face hub. All are streamed."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from longwriter.errors import DataError, SettingsError
from longwriter.records import stream_lines

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
