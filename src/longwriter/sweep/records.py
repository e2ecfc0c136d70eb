"""What came of the jobs of a sweep, and the table of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from longwriter.core.rows import Record
from longwriter.core.sources import checked

FOLDER = "multirun/sweep"
"""Of the checkout: a folder a sweep, in it a record a job."""

SCORES = {"S_bar": "S̄", "S_l": "S_l", "S_q": "S_q"}


class JobRecord(Record):
    """What came of a job."""

    experiment: str
    """DVC's name of it: `dvc exp show`, `apply` and `remove` know it."""
    overrides: list[str]
    error: str | None = None
    score: float | None = None
    scores: dict[str, float | None] = Field(default_factory=dict)
    """S_bar, S_l and S_q of the model that the score is about."""
    cost_usd: float | None = None
    """What calls to models cost in the job's stages, those taken from the cache included."""
    seconds: float | None = None
    """From start to end of the job, waiting for stages of other jobs included."""


def read_records(folder: Path) -> list[JobRecord]:
    """Reads what came of the jobs whose records lie in `folder`, sorted by overrides."""
    records = [
        checked(json.loads(path.read_bytes()), JobRecord, str(path))
        for path in folder.glob("*.json")
    ]
    return sorted(records, key=lambda record: record.overrides)


def table(records: Sequence[JobRecord]) -> str:
    """Returns the jobs as a Markdown table: what differs between them, scores, cost and time."""
    values = [dict(word.partition("=")[::2] for word in record.overrides) for record in records]
    keys = list(dict.fromkeys(key for row in values for key in row))
    head = [*(key.lstrip("+") for key in keys), *SCORES.values(), "score", "cost ($)", "time (s)"]
    lines = [_row([*head, "experiment"]), "|" + "---|" * (len(head) + 1)]
    for record, row in zip(records, values, strict=True):
        settings = [row.get(key, "") for key in keys]
        scores = [_number(record.scores.get(name)) for name in SCORES]
        spent = [_number(record.cost_usd, 2), _number(record.seconds, 0)]
        lines.append(
            _row([*settings, *scores, _number(record.score, 4), *spent, record.experiment])
        )
    lines += [f"\n{r.experiment} failed: {r.error}" for r in records if r.error is not None]
    return "\n".join(lines) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"
