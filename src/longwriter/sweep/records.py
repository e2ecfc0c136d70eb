"""Results of a sweep's jobs, and the table of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from longwriter.core.rows import Record
from longwriter.core.sources import checked
from longwriter.core.tables import Table, count, markdown, number, two_decimals

FOLDER = "multirun/sweep"
"""Folder in the checkout with one folder per sweep, which holds one record per job."""


class JobRecord(Record):
    """The result of a job."""

    experiment: str
    """The experiment's name in DVC, as used by `dvc exp show`, `apply` and `remove`."""
    overrides: list[str]
    error: str | None = None
    score: float | None = None
    S_l: float | None = None
    """S_l of the model that the score is about."""
    cost_usd: float | None = None
    """Cost of the model calls in the job's stages, including calls answered from the cache."""
    seconds: float | None = None
    """Duration of the job, including the time it waited for stages of other jobs."""


def read_records(folder: Path) -> list[JobRecord]:
    """Reads the records in `folder`, sorted by overrides."""
    records = [
        checked(json.loads(path.read_bytes()), JobRecord, str(path))
        for path in folder.glob("*.json")
    ]
    return sorted(records, key=lambda record: record.overrides)


def table(records: Sequence[JobRecord]) -> str:
    """Returns the jobs as a Markdown table: what differs between them, scores, cost and time."""
    values = [dict(word.partition("=")[::2] for word in record.overrides) for record in records]
    keys = list(dict.fromkeys(key for row in values for key in row))
    rows = [
        [
            *(row.get(key, "") for key in keys),
            number(record.S_l),
            number(record.score, 4),
            two_decimals(record.cost_usd),
            count(record.seconds),
            record.experiment,
        ]
        for record, row in zip(records, values, strict=True)
    ]
    varied = [key.lstrip("+") for key in keys]
    columns = [*varied, "S_l", "score", "cost ($)", "time (s)", "experiment"]
    failed = [f"\n{r.experiment} failed: {r.error}" for r in records if r.error is not None]
    return "\n".join([markdown(Table(columns, rows)), *failed]) + "\n"
