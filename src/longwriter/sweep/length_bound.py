"""How long the output gets by the longest output that was trained on (the paper's figure).

    python -m longwriter.sweep.length_bound SWEEP

reads what the jobs of a sweep over `filter.max_words` left in DVC, and writes
metrics/length_bound.json, from which the report draws the figure. Source: LongWriter
(arXiv 2408.07055), section 2.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from longwriter.config.load import CHECKOUT
from longwriter.config.run import guarded
from longwriter.core.errors import DataError
from longwriter.core.files import write_json
from longwriter.core.rows import Prediction, TrainingRow
from longwriter.core.sources import checked
from longwriter.sweep.experiments import experiment_ref
from longwriter.sweep.records import FOLDER, JobRecord, read_records

CAP = "filter.max_words"


RESAMPLES = 10_000


LINE = "| {longest_trained} | {rows} | {median} [{low}, {high}] | {n} | {longest} | {cut_off} |"


def point(
    cap: str, rows: Sequence[TrainingRow], predictions: Sequence[Prediction]
) -> dict[str, Any]:
    """What one cap on the training outputs led to, lengths in words.

    `median`, with its bootstrap interval from `low` to `high`, is of the prompts that ask for the
    longest outputs: what these reach is what the model can write. `cut_off` of them ended at the
    token limit: a small model repeats itself up to there, which moves a mean far and a median little.
    """
    asked = max(row.length for row in predictions)
    longest = [row for row in predictions if row.length == asked]
    words = [row.response_length for row in longest]
    low, high = _interval_of_median(words)
    return {
        "cap": cap,
        "rows": len(rows),
        "longest_trained": max(row.response_length or 0 for row in rows),
        "asked": asked,
        "n": len(longest),
        "cut_off": sum(row.finish_reason == "length" for row in longest),
        "median": median(words),
        "low": low,
        "high": high,
        "longest": max(words),
    }


def _interval_of_median(words: Sequence[int]) -> tuple[float, float]:
    """95 %, by the percentile bootstrap; where all are equal, there."""
    if min(words) == max(words):
        return words[0], words[0]
    import numpy as np
    from scipy.stats import bootstrap

    found = bootstrap(
        (words,), np.median, n_resamples=RESAMPLES, method="percentile", rng=0
    ).confidence_interval
    return round(float(found.low), 1), round(float(found.high), 1)


def points(root: Path, records: Sequence[JobRecord]) -> list[dict[str, Any]]:
    """Reads every finished job of the sweep; the shortest cap comes first.

    Raises:
        DataError: the sweep has no finished job that sets the cap.
    """
    found = []
    for record in records:
        values = dict(word.partition("=")[::2] for word in record.overrides)
        ref = experiment_ref(root, record.experiment)
        if CAP in values and ref:
            rows = _read(root, ref, "data/sft/train.jsonl", TrainingRow)
            written = _read(root, ref, "data/predictions/sft.jsonl", Prediction)
            found.append(point(values[CAP], rows, written))
    if not found:
        raise DataError(f"no finished job of the sweep sets {CAP}; `make length-bound` runs one")
    return sorted(found, key=lambda row: row["longest_trained"])


def _read(root: Path, ref: str, path: str, kind: type[Any]) -> list[Any]:
    import dvc.api

    text = dvc.api.read(path, repo=str(root), rev=ref)
    lines = [line for line in text.splitlines() if line.strip()]
    return [checked(json.loads(line), kind, path) for line in lines]


def _write(sweep: str) -> None:
    found = points(CHECKOUT, read_records(CHECKOUT / FOLDER / sweep))
    path = CHECKOUT / "metrics/length_bound.json"
    write_json(path, found)
    print("| longest trained | rows | median reached [95 %] | n | longest reached | cut off |")
    print("|---:|---:|---:|---:|---:|---:|")
    for row in found:
        print(LINE.format(**row))
    print(f"\nsaved: {path}; `dvc repro report` draws it")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    guarded(lambda: _write(sys.argv[1]))
