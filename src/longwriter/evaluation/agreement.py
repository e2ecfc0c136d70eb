"""How well a judge agrees with people, or two judges with each other: correlations and kappa."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator

from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, Record
from longwriter.core.settings import StatisticsSettings
from longwriter.core.sources import read_jsonl
from longwriter.core.statistics import bootstrap, grouped
from longwriter.evaluation.judge import DIMENSIONS, GRADES

MOST_RESAMPLES = 1000
"""Maximum resamples: a rank correlation takes milliseconds, so more would take minutes."""


class GradePair(NamedTuple):
    """Two graders' grades for one dimension of one text."""

    dimension: str
    prompt: str
    """Prompt of the text; texts that answer the same prompt are resampled together."""
    first: float
    second: float


class Label(Record):
    """A person's grade for one dimension of one text."""

    row: Annotated[int, Field(ge=1)]
    """Line in the predictions file, counted from 1."""
    dimension: str
    score: Annotated[float, Field(ge=min(GRADES), le=max(GRADES))]

    @field_validator("dimension")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in DIMENSIONS:
            raise ValueError(f"{name!r} is none of {', '.join(DIMENSIONS)}")
        return name


def read_labels(path: Path, rows: int) -> list[Label]:
    """Reads people's grades. Several people may have graded the same dimension of the same text.

    Args:
        rows: number of predictions.

    Raises:
        DataError: the file cannot be read, or a label's row or dimension does not exist.
    """
    labels = read_jsonl(path, Label)
    beyond = [label.row for label in labels if label.row > rows]
    if beyond:
        raise DataError(
            f"{path}: row {beyond[0]} is labelled, and the predictions have {rows}; name the "
            "predictions that the labels were made for (judge_audit.predictions)"
        )
    return labels


def with_labels(judgements: Sequence[Judgement], labels: Iterable[Label]) -> list[GradePair]:
    """Pairs people's grades with the judge's, averaging where several people graded the same.

    Args:
        judgements: judgements of all predictions; labels refer to them by row, counted from 1.

    Returns:
        One pair per labelled dimension that the judge graded, people's grade first.
    """
    people: dict[tuple[int, str], list[float]] = {}
    for label in labels:
        people.setdefault((label.row, label.dimension), []).append(label.score)
    return [
        GradePair(name, row.prompt, fmean(scores), row.scores[name])
        for (number, name), scores in people.items()
        if (row := judgements[number - 1]).scores is not None
    ]


def agreement(pairs: Sequence[GradePair], statistics: StatisticsSettings) -> dict[str, Any]:
    """Measures how well two graders agree, by dimension and over all grades (`all`).

    Returns:
        Dimension → `n`, the number of grades, and `spearman`, `kendall` (tau-b) and `kappa`
        (quadratically weighted, on grades rounded to integers), each with `value` and the 95 %
        `interval` of a bootstrap over prompts. A measure is null if all grades of one grader are
        equal; its interval is null also if it is undefined for more than a tenth of the resamples.
    """
    named = {name: [pair for pair in pairs if pair.dimension == name] for name in DIMENSIONS}
    groups = {**{name: group for name, group in named.items() if group}, "all": list(pairs)}
    return {
        name: {"n": len(group)}
        | {
            measure: measured(function, group, statistics)
            for measure, function in _MEASURES.items()
        }
        for name, group in groups.items()
        if group
    }


def measured(
    function: Callable[[Any, Any], float],
    pairs: Sequence[GradePair],
    statistics: StatisticsSettings,
) -> dict[str, Any]:
    """Returns `value` and `interval` of a measure; both None if one side does not vary."""
    import numpy as np

    def of(numbers: Any) -> float:
        x, y = first[numbers], second[numbers]
        return math.nan if np.ptp(x) == 0 or np.ptp(y) == 0 else float(function(x, y))

    first = np.asarray([pair.first for pair in pairs], float)
    second = np.asarray([pair.second for pair in pairs], float)
    value = of(np.arange(len(pairs)))
    if math.isnan(value):
        return {"value": None, "interval": None}
    places = grouped([pair.prompt for pair in pairs], range(len(pairs)))
    clusters = [np.asarray(group) for group in places.values()]
    bounds = bootstrap(
        len(clusters),
        lambda drawn: [of(np.concatenate([clusters[i] for i in row])) for row in drawn],
        replace(statistics, resamples=min(statistics.resamples, MOST_RESAMPLES)),
        least_defined=0.9,
    )
    return {"value": value, "interval": bounds and list(bounds)}


def spearman(a: Any, b: Any) -> float:
    """Returns Spearman's rank correlation.

    Six times as fast as `scipy.stats.spearmanr` for some tens of values, of which the bootstrap
    computes thousands.
    """
    import numpy as np

    def ranks(values: Any) -> Any:
        """Returns twice the ranks, counted from 0.5; equal values share the mean of theirs."""
        ordered = np.sort(values)
        return ordered.searchsorted(values) + ordered.searchsorted(values, side="right")

    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def _kendall(a: Any, b: Any) -> float:
    from scipy.stats import kendalltau

    return float(kendalltau(a, b).statistic)


def _kappa(a: Any, b: Any) -> float:
    from numpy import floor
    from sklearn.metrics import cohen_kappa_score

    whole = [floor(grades + 0.5).astype(int) for grades in (a, b)]
    return float(cohen_kappa_score(*whole, labels=list(GRADES), weights="quadratic"))


_MEASURES = {"spearman": spearman, "kendall": _kendall, "kappa": _kappa}
