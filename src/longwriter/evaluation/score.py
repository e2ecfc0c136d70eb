"""Scores predictions and sums them up: S_l, S_q and S̄ with intervals, overall and by group."""

from collections import Counter
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from longwriter.chat.calls import all_or_none
from longwriter.chat.client import ChatClient
from longwriter.errors import BadRequest, DataError
from longwriter.evaluation.quality import DIMENSIONS, judge, quality_score, to_percent, ungraded
from longwriter.evaluation.repetition import repeated_ngrams
from longwriter.evaluation.statistics import Interval, interval, paired
from longwriter.records import Judgement, Prediction
from longwriter.text import language


async def evaluate(
    client: ChatClient, predictions: Sequence[Prediction], judged: int | None = None
) -> list[Judgement]:
    """A judgement for each prediction, in their order, all asked for at once.

    Args:
        judged: grade only so many, evenly spread over the predictions, so that the same prompts
            are graded for every model; the others are unscored as NotAsked. None: all.

    Raises:
        TransientError: the server's trouble kept a prediction from being judged.
        BadRequest: the server refuses every call.
        ServerError: the judge cannot be reached; finished calls are kept.
    """
    count = len(predictions) if judged is None else judged
    places = sorted({place * len(predictions) // count for place in range(count)})
    graded = await all_or_none([judge(client, predictions[place]) for place in places], "eval")
    asked = [row for row in graded if row.response.strip()]
    if asked and all(_reason(row) == BadRequest.__name__ for row in asked):
        raise BadRequest(f"the judge refuses every call: {asked[0].unscored}")
    rows = [
        ungraded(prediction, f"NotAsked: bench.judged is {judged}") for prediction in predictions
    ]
    for place, row in zip(places, graded, strict=True):
        rows[place] = row
    return rows


def summarise(
    judgements: Sequence[Judgement], length_bins: Sequence[int], resamples: int, seed: int
) -> dict[str, Any]:
    """The scores of a model: metrics/eval/X.json, floats rounded to 4 decimals.

    S_l is over all rows, S_q and the dimensions over those that have grades (null where none
    has), and `unscored` counts the others.

    Args:
        judgements: at least one.
        length_bins: lower edges, in required words, of the bins of `by_length`; 0 is one anyway.
    """

    def by(rows: Sequence[Judgement], label: Callable[[Judgement], str]) -> dict[str, Any]:
        groups: dict[str, list[Judgement]] = {}
        for row in rows:
            groups.setdefault(label(row), []).append(row)
        return {name: _group(members, resamples, seed) for name, members in groups.items()}

    s_l = interval([row.length_score for row in judgements], resamples, seed)
    s_q = interval(_qualities(judgements), resamples, seed)
    unscored = [row for row in judgements if row.unscored is not None]
    shortest_first = sorted(judgements, key=lambda row: row.length)
    summary = {
        "S_l": s_l and s_l.mean,
        "S_q": s_q and s_q.mean,
        "S_bar": s_l and s_q and (s_l.mean + s_q.mean) / 2,
        "n": len(judgements),
        "unscored": len(unscored),
        "unscored_reasons": dict(Counter(map(_reason, unscored))),
        "cut_off": sum(row.finish_reason == "length" for row in judgements),
        "mean_words": fmean(row.response_length for row in judgements),
        "intervals": {"S_l": _bounds(s_l), "S_q": _bounds(s_q)},
        "dimensions": _dimensions(judgements),
        "repetition": fmean(repeated_ngrams(row.response) for row in judgements),
        "by_length": by(shortest_first, lambda row: length_label(row.length, length_bins)),
        "by_language": by(judgements, lambda row: language(row.prompt)),
        "by_type": by(judgements, lambda row: row.type),
    }
    return dict(_rounded(summary))


def headline(summary: dict[str, Any]) -> str:
    """The summary's main numbers in one line."""
    low, high = summary["intervals"]["S_l"]
    quality = "none" if summary["S_q"] is None else f"{summary['S_q']:.1f}"
    return (
        f"S_l {summary['S_l']:.1f} [{low:.1f}, {high:.1f}], S_q {quality}, "
        f"n {summary['n']}, unscored {summary['unscored']}"
    )


def compare(
    a: Sequence[Judgement], b: Sequence[Judgement], resamples: int, seed: int
) -> Interval | None:
    """The mean of S_l(b) - S_l(a) over the same prompts, with its interval; None without rows.

    Raises:
        DataError: `a` and `b` do not answer the same prompts.
    """
    before, after = (sorted(rows, key=lambda row: row.prompt) for rows in (a, b))
    if [row.prompt for row in before] != [row.prompt for row in after]:
        lone = Counter(row.prompt for row in a)
        lone.subtract(row.prompt for row in b)
        only_a = [prompt for prompt, count in lone.items() if count > 0]
        only_b = [prompt for prompt, count in lone.items() if count < 0]
        first = (only_a + only_b)[0]
        raise DataError(
            f"the two do not answer the same prompts: {len(only_a)} only in the first, "
            f"{len(only_b)} only in the second, {first[:60]!r} for one; predict both with the "
            "same benchmark"
        )
    return paired(
        [row.length_score for row in before],
        [row.length_score for row in after],
        resamples,
        seed,
    )


def length_label(length: int, edges: Sequence[int]) -> str:
    """The bin of `length`: "[100,200)", or "[400,∞)" from the last edge on; 0 is an edge too."""
    lower = max(edge for edge in {0, *edges} if edge <= length)
    upper = min((edge for edge in edges if edge > length), default="∞")
    return f"[{lower},{upper})"


def _qualities(rows: Sequence[Judgement]) -> list[float]:
    return [quality_score(row.scores) for row in rows if row.scores is not None]


def _reason(row: Judgement) -> str:
    """Name of the error's class; empty where there are grades."""
    return (row.unscored or "").partition(":")[0]


def _dimensions(rows: Sequence[Judgement]) -> dict[str, float | None]:
    graded = [row.scores for row in rows if row.scores is not None]
    if not graded:
        return dict.fromkeys(DIMENSIONS)
    return {name: to_percent(fmean(scores[name] for scores in graded)) for name in DIMENSIONS}


def _group(rows: Sequence[Judgement], resamples: int, seed: int) -> dict[str, Any]:
    s_l, qualities = interval([row.length_score for row in rows], resamples, seed), _qualities(rows)
    return {
        "S_l": s_l and s_l.mean,
        "S_q": fmean(qualities) if qualities else None,
        "n": len(rows),
        "unscored": len(rows) - len(qualities),
        "interval_S_l": _bounds(s_l),
    }


def _bounds(found: Interval | None) -> list[float] | None:
    return found and [found.low, found.high]


def _rounded(value: Any) -> Any:
    match value:
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
        case float():
            return round(value, 4)
        case _:
            return value
