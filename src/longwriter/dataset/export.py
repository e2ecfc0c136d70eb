"""The training set as a Hugging Face data set folder, which `datasets.load_dataset` reads."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from longwriter.core.files import write_text
from longwriter.core.rows import TrainingRow

_BATCH = 200
"""Rows that are in memory at a time."""

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
"""Columns of the parquet files; train.jsonl has a row's other fields too."""


def export(
    folder: Path, train: Iterable[TrainingRow], validation: Iterable[TrainingRow], readme: str
) -> None:
    """Writes data/train.parquet, data/validation.parquet if there are validation rows, and README.md."""
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
