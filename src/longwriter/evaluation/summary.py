"""Summarises a model's judgements: S_l, S_q and S̄ with intervals, overall and by group."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from longwriter.core.rows import Judgement
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import (
    Interval,
    grouped,
    halves,
    interval,
    means_by,
    spread_within,
)
from longwriter.core.tables import percent, round_floats, with_interval
from longwriter.evaluation.agreement import GradePair, agreement, measured, spearman
from longwriter.evaluation.health import Health, health
from longwriter.evaluation.health import summary as summary_of_health
from longwriter.evaluation.judge import DIMENSIONS, quality_score, to_percent
from longwriter.evaluation.length import Length, describe_lengths
from longwriter.evaluation.scoring import obedient, quality, reason
from longwriter.text.languages import benchmark_language
from longwriter.text.lengths import length_constraint

SCORE = (0.0, 100.0)
"""Range of a score, at which its interval is cut off."""


def summarise(
    judgements: Sequence[Judgement],
    length_bins: Sequence[int],
    statistics: StatisticsSettings,
    marked: Sequence[Health] | None = None,
) -> dict[str, Any]:
    """Returns a model's scores, metrics/eval/NAME.json, with floats rounded to 4 decimals.

    S_l covers all rows, S_q and the dimensions those with grades (null if none has any), and
    `unscored` counts the others. Several answers to a prompt are one observation: a score is the
    mean over prompts of the prompt's mean, and the bootstrap resamples prompts.

    Args:
        judgements: at least one.
        length_bins: lower edges, in required words, of the bins of `by_length`; 0 is always one.
        marked: health signs of the rows, if they are already known.
    """
    s_l, s_q, s_bar = scores_of(judgements)
    unscored = [row for row in judgements if row.unscored is not None]
    shortest_first = sorted(judgements, key=lambda row: row.length)
    marks = marked or [health(row) for row in judgements]
    lengths = [
        Length(row.length, row.response_length, length_constraint(row)) for row in judgements
    ]
    summary = {
        "S_l": s_l and s_l.mean,
        "S_q": s_q and s_q.mean,
        "S_bar": s_bar and s_bar.mean,
        "n": len(judgements),
        "prompts": len({row.prompt for row in judgements}),
        "unscored": len(unscored),
        "unscored_reasons": dict(Counter(reason(row.unscored) for row in unscored)),
        "cut_off": sum(row.finish_reason == "length" for row in judgements),
        "mean_words": fmean(row.response_length for row in judgements),
        "intervals": {"S_l": _bounds(s_l), "S_q": _bounds(s_q), "S_bar": _bounds(s_bar)},
        "dimensions": _dimensions(judgements),
        "repetition": fmean(mark.repetition for mark in marks),
        "length": describe_lengths(lengths, [row.prompt for row in judgements])
        | {"rank_correlation": rank_correlation(judgements, statistics)},
        "health": summary_of_health(marks),
        "spread": _spread(judgements),
        **_second(judgements, statistics),
        "by_length": _by(lambda row: length_label(row.length, length_bins), shortest_first),
        "by_language": _by(lambda row: benchmark_language(row.prompt), judgements),
        "by_type": _by(lambda row: row.type, [row for row in judgements if row.type]),
        "by_required": _by_required(shortest_first),
    }
    return dict(round_floats(summary))


def scores_of(
    rows: Sequence[Judgement],
) -> tuple[Interval | None, Interval | None, Interval | None]:
    """Returns S_l, S_q and S̄ of the rows with intervals; the last two are None without grades."""
    by_prompt = means_by([row.prompt for row in rows], [row.length_score for row in rows])
    graded = [row for row in rows if row.scores is not None]
    qualities = means_by([row.prompt for row in graded], [quality(row) or 0.0 for row in graded])
    lengths = list(by_prompt.values())
    return (
        interval(lengths, SCORE),
        interval(list(qualities.values()), SCORE),
        halves(lengths, [qualities.get(prompt) for prompt in by_prompt], SCORE),
    )


def rank_correlation(
    rows: Sequence[Judgement], statistics: StatisticsSettings
) -> dict[str, Any] | None:
    """Returns Spearman's correlation of written with required words: `value` and `interval`."""
    pairs = [
        GradePair("length", row.prompt, row.length, float(row.response_length)) for row in rows
    ]
    return measured(spearman, pairs, statistics)


def headline(summary: Mapping[str, Any]) -> str:
    """Returns the summary's main numbers in one line.

    S_q is left out, because how far the judge can be trusted is not known yet.
    """
    graded = summary["n"] - summary["unscored"]
    return (
        f"S_l {with_interval(summary['S_l'], summary['intervals']['S_l'])}, "
        f"{percent(summary['length']['within_20'])} within ±20 % of the length, "
        f"n {summary['n']}, graded {graded}"
    )


def length_label(length: int, edges: Sequence[int]) -> str:
    """Returns the bin of `length`, such as "[100,200)", or "[400,∞)" for the last bin.

    Args:
        edges: lower edges; 0 is always one.
    """
    lower = max(edge for edge in {0, *edges} if edge <= length)
    upper = min((edge for edge in edges if edge > length), default="∞")
    return f"[{lower},{upper})"


def _dimensions(rows: Sequence[Judgement]) -> dict[str, float | None]:
    graded = [row for row in rows if row.scores is not None]
    if not graded:
        return dict.fromkeys(DIMENSIONS)
    prompts = [row.prompt for row in graded]

    def mean(name: str) -> float:
        return fmean(means_by(prompts, [(row.scores or {})[name] for row in graded]).values())

    return {name: to_percent(mean(name)) for name in DIMENSIONS}


def _by(label: Callable[[Judgement], str], rows: Sequence[Judgement]) -> dict[str, Any]:
    """Returns `_group` for the rows of each label, in the order in which labels first occur."""
    groups = grouped([label(row) for row in rows], rows)
    return {name: _group(members) for name, members in groups.items()}


def _group(rows: Sequence[Judgement]) -> dict[str, Any]:
    s_l, s_q, _ = scores_of(rows)
    met = [found for row in rows if (found := obedient(row)) is not None]
    return {
        "S_l": s_l and s_l.mean,
        "S_q": s_q and s_q.mean,
        "n": len(rows),
        "unscored": sum(row.scores is None for row in rows),
        "interval_S_l": _bounds(s_l),
        "interval_S_q": _bounds(s_q),
        "mean_words": fmean(row.response_length for row in rows),
        "cut_off": sum(row.finish_reason == "length" for row in rows),
        "obedience": fmean(met) / 100 if met else None,
    }


def _by_required(rows: Sequence[Judgement]) -> dict[str, Any]:
    """Returns the words written for each required length; empty for more than a dozen lengths.

    This is the curve of LongWrite-Ruler, whose 48 prompts ask for six lengths.
    """
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row.length, []).append(row.response_length)
    if len(found) > 12:
        return {}
    return {
        str(length): {"mean_words": fmean(words), "longest_words": max(words), "n": len(words)}
        for length, words in found.items()
    }


def _spread(rows: Sequence[Judgement]) -> dict[str, Any]:
    """Returns how much scores vary between samples of a prompt and between repeats of a text.

    Values are standard deviations, null if there is only one sample or repeat.
    """
    prompts = [row.prompt for row in rows]
    graded = [row for row in rows if row.scores is not None]
    tries = [
        (number, quality_score(grades))
        for number, row in enumerate(rows)
        for grades in row.repeats
        if isinstance(grades, dict)
    ]
    failed = sum(isinstance(each, str) for row in rows for each in row.repeats)
    return {
        "samples_S_l": spread_within(prompts, [row.length_score for row in rows]),
        "samples_S_q": spread_within(
            [row.prompt for row in graded], [quality(row) or 0.0 for row in graded]
        ),
        "repeats_S_q": spread_within([n for n, _ in tries], [score for _, score in tries]),
        "repeats_mean_S_q": _between_repeats(rows),
        "repeats_failed": failed,
    }


def _between_repeats(rows: Sequence[Judgement]) -> float | None:
    """Returns the standard deviation of the model's S_q between repeats.

    It covers the rows graded in every repeat, and shows how much S_q would change if the judge ran
    again.
    """
    complete = [
        [quality_score(grades) for grades in row.repeats if isinstance(grades, dict)]
        for row in rows
        if row.repeats and all(isinstance(grades, dict) for grades in row.repeats)
    ]
    if not complete or len(complete[0]) < 2:
        return None
    return stdev(fmean(scores) for scores in zip(*complete, strict=True))


def _second(rows: Sequence[Judgement], statistics: StatisticsSettings) -> dict[str, Any]:
    """Returns the second judge's S_q and agreement with the first; empty without a second judge."""
    seconds = [(row, row.second) for row in rows if row.second is not None]
    if not seconds:
        return {}
    others = [
        row.model_copy(update={"scores": second.scores, "unscored": second.unscored})
        for row, second in seconds
    ]
    _, s_q, _ = scores_of(others)
    pairs = [
        GradePair(name, row.prompt, row.scores[name], second.scores[name])
        for row, second in seconds
        if row.scores is not None and second.scores is not None
        for name in DIMENSIONS
    ]
    return {
        "second": {
            "S_q": s_q and s_q.mean,
            "interval": _bounds(s_q),
            "unscored": sum(row.scores is None for row in others),
            "dimensions": _dimensions(others),
            "agreement": agreement(pairs, statistics),
        }
    }


def _bounds(found: Interval | None) -> list[float] | None:
    return found and found.bounds
