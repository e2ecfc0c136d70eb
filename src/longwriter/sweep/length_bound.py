"""Measures how output length depends on the longest training output (the paper's figure).

    python -m longwriter.sweep.length_bound SWEEP

reads what the jobs of a sweep over `filter.max_words` left in DVC, and writes
metrics/length_bound.json, from which the report draws the figure. Source: LongWriter
(arXiv 2408.07055), section 2.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from longwriter.config.load import CHECKOUT, compose
from longwriter.config.run import guarded
from longwriter.core.errors import DataError
from longwriter.core.files import write_json
from longwriter.core.rows import Prediction, TrainingRow
from longwriter.core.settings import StatisticsSettings
from longwriter.core.sources import checked
from longwriter.core.statistics import Bounds, bootstrap, grouped
from longwriter.core.tables import Table, count, markdown, with_interval
from longwriter.sweep.experiments import experiment_ref
from longwriter.sweep.records import FOLDER, JobRecord, read_records

CAP, SEED = "filter.max_words", "runtime.seed"

COLUMNS = (
    "longest trained",
    "models",
    "rows each",
    "median reached [95 %]",
    "answers",
    "longest reached",
    "cut off",
)


@dataclass(kw_only=True)
class StudySettings:
    """Config group needed for the study."""

    statistics: StatisticsSettings


def point(
    cap: str,
    trained: Sequence[Sequence[TrainingRow]],
    answered: Sequence[Sequence[Prediction]],
    statistics: StatisticsSettings,
) -> dict[str, Any]:
    """Returns the results for one cap on the training outputs, with lengths in words.

    `median`, with its interval from `low` to `high`, is taken over the answers to the prompts that
    require the longest outputs, since these show how much a model can write. The interval is a
    bootstrap over prompts, each with the answers of all models. `cut_off` counts the answers that
    ended at the token limit: a small model repeats itself until it gets there, which shifts a mean
    a lot and a median little.

    Args:
        cap: value of `filter.max_words`.
        trained: for each model, one per seed, the rows that it was trained on.
        answered: for each model, its answers to the ruler benchmark.
    """
    asked = max(row.length for row in answered[0])
    longest = [row for rows in answered for row in rows if row.length == asked]
    words = [row.response_length for row in longest]
    prompts = grouped([row.prompt for row in longest], words)
    low, high = _interval_of_median(list(prompts.values()), statistics)
    return {
        "cap": cap,
        "models": len(trained),
        "rows": round(fmean(len(rows) for rows in trained)),
        "longest_trained": max(row.response_length or 0 for rows in trained for row in rows),
        "asked": asked,
        "n": len(longest),
        "cut_off": sum(row.finish_reason == "length" for row in longest),
        "median": median(words),
        "low": low,
        "high": high,
        "longest": max(words),
    }


def _interval_of_median(prompts: Sequence[Sequence[int]], statistics: StatisticsSettings) -> Bounds:
    import numpy as np

    values = np.asarray(prompts)
    found = bootstrap(len(values), lambda drawn: np.median(values[drawn], axis=(1, 2)), statistics)
    assert found is not None  # a median is defined for every resample
    return Bounds(round(found.low, 1), round(found.high, 1))


def points(
    root: Path, records: Sequence[JobRecord], statistics: StatisticsSettings
) -> list[dict[str, Any]]:
    """Returns the `point` of every cap with a finished job, ordered by longest training output.

    Raises:
        DataError: the sweep has no finished job that sets the cap, or jobs that differ in more than
            the cap and the seed.
    """
    overrides = [dict(word.partition("=")[::2] for word in record.overrides) for record in records]
    others = {
        key
        for key in set().union(*overrides) - {CAP, SEED}
        if len({values.get(key) for values in overrides}) > 1
    }
    if others:
        raise DataError(
            f"the sweep also varies {', '.join(sorted(others))}; models with the same {CAP} are one "
            f"point, so only {SEED} may vary besides: start a sweep for each value"
        )
    jobs: dict[str, list[str]] = {}
    for record, values in zip(records, overrides, strict=True):
        ref = experiment_ref(root, record.experiment)
        if CAP in values and ref:
            jobs.setdefault(values[CAP], []).append(ref)
    if not jobs:
        raise DataError(f"no finished job of the sweep sets {CAP}; `make length-bound` runs one")
    found = [
        point(
            cap,
            [_read(root, ref, "data/sft/train.jsonl", TrainingRow) for ref in refs],
            [_read(root, ref, "data/predictions/sft.jsonl", Prediction) for ref in refs],
            statistics,
        )
        for cap, refs in jobs.items()
    ]
    return sorted(found, key=lambda row: row["longest_trained"])


def _read(root: Path, ref: str, path: str, kind: type[Any]) -> list[Any]:
    import dvc.api

    text = dvc.api.read(path, repo=str(root), rev=ref)
    lines = [line for line in text.splitlines() if line.strip()]
    return [checked(json.loads(line), kind, path) for line in lines]


def _table(found: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            *(count(row[key]) for key in ("longest_trained", "models", "rows")),
            with_interval(row["median"], (row["low"], row["high"])),
            *(count(row[key]) for key in ("n", "longest", "cut_off")),
        ]
        for row in found
    ]
    return Table(COLUMNS, rows)


def _write(sweep: str) -> None:
    statistics = compose(StudySettings, []).statistics
    found = points(CHECKOUT, read_records(CHECKOUT / FOLDER / sweep), statistics)
    path = CHECKOUT / "metrics/length_bound.json"
    write_json(path, found)
    print(f"{markdown(_table(found))}\n\nsaved: {path}; `dvc repro report` draws it")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    guarded(lambda: _write(sys.argv[1]))
