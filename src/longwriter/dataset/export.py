"""Exports the training set as a Hugging Face dataset folder for `datasets.load_dataset`."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from longwriter.core.files import write_text
from longwriter.core.rows import TrainingRow

_BATCH = 200
"""Rows held in memory at a time while a file is written."""

SCHEMA = pa.schema(
    [
        ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("id", pa.string()),
        ("source", pa.string()),
        ("length", pa.int64()),
        ("response_length", pa.int64()),
        ("language", pa.string()),
        ("type", pa.string()),
        ("tokens", pa.int64()),
    ]
)
"""Columns of the parquet files; train.jsonl also has a row's other fields."""


def export(
    folder: Path, train: Iterable[TrainingRow], validation: Iterable[TrainingRow], readme: str
) -> None:
    """Writes README.md, data/train.parquet and, if there are rows, data/validation.parquet."""
    (folder / "data").mkdir(parents=True)
    _write(folder / "data/train.parquet", train)
    if rows := list(validation):
        _write(folder / "data/validation.parquet", rows)
    write_text(folder / "README.md", readme)


def _write(path: Path, rows: Iterable[TrainingRow]) -> None:
    with ParquetWriter(path, SCHEMA, compression="zstd") as file:
        rest = iter(rows)
        while batch := list(islice(rest, _BATCH)):
            values = [row.model_dump(include=set(SCHEMA.names)) for row in batch]
            file.write_table(pa.Table.from_pylist(values, schema=SCHEMA))
