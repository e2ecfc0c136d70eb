"""How far a judge agrees with people, or two judges with each other."""

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field, field_validator

from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, Record
from longwriter.core.settings import StatisticsSettings
from longwriter.core.sources import read_jsonl
from longwriter.evaluation.judge import DIMENSIONS, GRADES

MOST_RESAMPLES = 1000
"""Rank correlations take milliseconds each."""

Pair = tuple[str, str, float, float]
"""Dimension, prompt, one grader's grade and the other's."""


class Label(Record):
    """A person's grade of one dimension of one text."""

    row: Annotated[int, Field(ge=1)]
    """Line of the predictions' file, counted from 1."""
    dimension: str
    score: Annotated[float, Field(ge=min(GRADES), le=max(GRADES))]

    @field_validator("dimension")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DIMENSIONS:
            raise ValueError(f"{name!r} is none of {', '.join(DIMENSIONS)}")
        return name


def read_labels(path: Path, rows: int) -> list[Label]:
    """The labels in `path`; several people's grades of one dimension of one text may stand there.

    Args:
        rows: how many rows the predictions have.

    Raises:
        DataError: the file cannot be read, or a label is of no row or no dimension.
    """
    labels = read_jsonl(path, Label)
    beyond = [label.row for label in labels if label.row > rows]
    if beyond:
        raise DataError(
            f"{path}: row {beyond[0]} is labelled, and the predictions have {rows}; name the "
            "predictions that the labels were made for (judge_audit.predictions)"
        )
    return labels


def with_labels(judgements: Sequence[Judgement], labels: Iterable[Label]) -> list[Pair]:
    """Human and judge's grade of every labelled dimension that the judge graded; of several
    people's the mean."""
    people: dict[tuple[int, str], list[float]] = {}
    for label in labels:
        people.setdefault((label.row, label.dimension), []).append(label.score)
    return [
        (name, row.prompt, fmean(scores), row.scores[name])
        for (number, name), scores in people.items()
        if (row := judgements[number - 1]).scores is not None
    ]


def agreement(pairs: Sequence[Pair], statistics: StatisticsSettings) -> dict[str, Any]:
    """How far two graders agree, by dimension and over all grades (`all`).

    Returns:
        Dimension → `n` grades, `spearman`, `kendall` (tau-b) and `kappa` (quadratically weighted,
        of grades rounded to integers), each as `value` and 95 % `interval`: the bootstrap over
        prompts. A measure is null where a grader gives one grade only, its interval also where
        more than a tenth of the resamples have none.
    """
    named = {name: [pair for pair in pairs if pair[0] == name] for name in DIMENSIONS}
    groups = {**{name: group for name, group in named.items() if group}, "all": list(pairs)}
    return {
        name: {"n": len(group)}
        | {
            measure: _measured(function, group, statistics)
            for measure, function in _MEASURES.items()
        }
        for name, group in groups.items()
        if group
    }


def _measured(
    function: Callable[[Any, Any], float], pairs: Sequence[Pair], statistics: StatisticsSettings
) -> dict[str, Any]:
    import numpy as np

    def of(numbers: Any) -> float:
        x, y = a[numbers], b[numbers]
        return math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else float(function(x, y))

    a, b = (np.asarray([pair[place] for pair in pairs], float) for place in (2, 3))
    places: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        places.setdefault(pair[1], []).append(number)
    clusters = [np.asarray(group) for group in places.values()]
    resamples = min(statistics.resamples, MOST_RESAMPLES)
    random = np.random.default_rng(statistics.seed)
    drawn = [
        of(
            np.concatenate(
                [clusters[i] for i in random.integers(len(clusters), size=len(clusters))]
            )
        )
        for _ in range(resamples)
    ]
    value = of(np.arange(len(pairs)))
    known = [found for found in drawn if not math.isnan(found)]
    low_high = (
        [float(end) for end in np.quantile(known, (0.025, 0.975))]
        if len(known) >= 0.9 * resamples and not math.isnan(value)
        else None
    )
    return {"value": None if math.isnan(value) else value, "interval": low_high}


def _spearman(a: Any, b: Any) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(a, b).statistic)


def _kendall(a: Any, b: Any) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _kappa(a: Any, b: Any) -> float:
    from numpy import floor
    from sklearn.metrics import cohen_kappa_score

    whole = [floor(grades + 0.5).astype(int) for grades in (a, b)]
    return float(cohen_kappa_score(*whole, labels=list(GRADES), weights="quadratic"))


_MEASURES = {"spearman": _spearman, "kendall": _kendall, "kappa": _kappa}
