"""Has the judge grade a model's predictions, and compares two models on the same prompts."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean

from longwriter.core.errors import BadRequest, DataError, TooFewGrades
from longwriter.core.rows import Judgement, Prediction, SecondOpinion
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import Interval, bootstrap, grouped, paired
from longwriter.evaluation.agreement import MOST_RESAMPLES, spearman
from longwriter.evaluation.judge import JudgePrompt, judge, quality_score, ungraded
from longwriter.evaluation.settings import BenchSettings
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_or_none
from longwriter.text.lengths import length_constraint
from longwriter.text.repetition import repeated_ngrams

NOT_ASKED = "NotAsked"
"""Reason given for predictions that have no grades because `bench.judged` leaves them out."""

Value = Callable[[Judgement], float | None]
"""What two models are compared by; None for a row without a value."""


async def evaluate(
    client: ChatClient,
    predictions: Sequence[Prediction],
    judged: int | None = None,
    prompt: JudgePrompt | None = None,
    repeats: int = 1,
) -> list[Judgement]:
    """Has the judge grade the predictions.

    Args:
        judged: number to grade, evenly spread over the predictions, so that the same prompts are
            graded for every model; the rest are unscored as NotAsked. None: all.
        prompt: the judge's prompt; None: the project's own.
        repeats: how often each prediction is graded.

    Returns:
        A judgement for each prediction, in their order.

    Raises:
        TransientError: the server failed for some predictions; finished calls are kept.
        BadRequest: the server refuses every call.
        ServerError: the judge cannot be reached; finished calls are kept.
    """
    judge_prompt = prompt or JudgePrompt()
    places = spread_out(len(predictions), judged)
    graded = await all_or_none(
        [judge(client, predictions[place], judge_prompt, repeats) for place in places], "eval"
    )
    asked = [row for row in graded if row.response.strip()]
    if asked and all(reason(row.unscored) == BadRequest.__name__ for row in asked):
        raise BadRequest(f"the judge refuses every call: {asked[0].unscored}")
    rows = [
        ungraded(prediction, f"{NOT_ASKED}: bench.judged is {judged}") for prediction in predictions
    ]
    for place, row in zip(places, graded, strict=True):
        rows[place] = row
    return rows


def spread_out(total: int, chosen: int | None) -> list[int]:
    """Returns `chosen` evenly spread indices below `total`; all of them if it is None."""
    count = total if chosen is None else chosen
    return sorted({place * total // count for place in range(count)})


def check_unscored(rows: Sequence[Judgement], most: float) -> None:
    """Checks that the judge graded nearly all rows that it was asked about.

    Rows that `bench.judged` leaves out count neither as asked nor as failed.

    Args:
        most: maximum share of the rows asked about that may be without grades.

    Raises:
        TooFewGrades: the share is larger.
    """
    asked = [row for row in rows if reason(row.unscored) != NOT_ASKED]
    failed = [row for row in asked if row.scores is None]
    if asked and len(failed) / len(asked) > most:
        counts = Counter(reason(row.unscored) for row in failed)
        reasons = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        raise TooFewGrades(
            f"{len(failed)} of {len(asked)} texts have no grades ({reasons}), and "
            f"judge.max_unscored allows {most:g}. The first: {failed[0].unscored}. Name a better "
            "judge, fix its settings (max_tokens, context, structured), or allow more; finished "
            "calls are kept."
        )


def with_second(rows: Sequence[Judgement], others: Sequence[Judgement]) -> list[Judgement]:
    """Returns `rows` with another judge's grades of the same texts in `second`.

    Args:
        others: the other judge's judgements, in the order of `rows`.
    """
    return [
        row.model_copy(
            update={"second": SecondOpinion(scores=other.scores, unscored=other.unscored)}
        )
        for row, other in zip(rows, others, strict=True)
    ]


def obedient(row: Judgement) -> float | None:
    """Returns 100 if the row meets its prompt's length constraint, else 0; None without one."""
    constraint = length_constraint(row)
    return None if constraint is None else 100.0 * constraint.obeyed(row.response_length)


def quality(row: Judgement) -> float | None:
    """Returns S_q of a row; None if it has no grades."""
    return None if row.scores is None else quality_score(row.scores)


def compare(
    a: Sequence[Judgement],
    b: Sequence[Judgement],
    value: Value = lambda row: row.length_score,
) -> Interval | None:
    """Compares two models on the same prompts.

    Several answers to a prompt count as their mean. Prompts for which either side has no value are
    left out.

    Args:
        value: quantity to compare, S_l by default.

    Returns:
        The mean of value(b) - value(a) over prompts with its interval; None if no prompt is left.

    Raises:
        DataError: `a` and `b` do not answer the same prompts.
    """
    before, after = (grouped([row.prompt for row in rows], rows) for rows in (a, b))
    only_a, only_b = (
        [prompt for prompt in one if prompt not in other]
        for one, other in ((before, after), (after, before))
    )
    if only_a or only_b:
        raise DataError(
            f"the two do not answer the same prompts: {len(only_a)} only in the first, "
            f"{len(only_b)} only in the second, {(only_a + only_b)[0][:60]!r} for one; predict "
            "both with the same benchmark"
        )
    pairs = [
        (_mean(before[prompt], value), _mean(after[prompt], value)) for prompt in sorted(before)
    ]
    both = [(x, y) for x, y in pairs if x is not None and y is not None]
    return paired([x for x, _ in both], [y for _, y in both])


def comparison(
    a: Sequence[Judgement],
    b: Sequence[Judgement],
    bench: BenchSettings,
    statistics: StatisticsSettings,
) -> dict[str, Interval]:
    """Compares two models by scores, and by what a gain on long requests may have cost elsewhere.

    Returns:
        Paired differences b - a, where defined: `S_l`; `S_q`; `S_l_shortest`, S_l in the shortest
        length bin; `rank_correlation` of written and required words; and in percentage points,
        `within_20` (texts within 20 % of the required length), `obedience` (length constraints
        met), `cut_off` texts, `looping` texts and `repetition` (repeated 8-grams).
    """
    lengths = sorted({row.length for row in a})
    edges = [edge for edge in sorted(bench.length_bins) if edge > lengths[0]]
    first = [length for length in lengths if not edges or length < edges[0]]

    def shortest(row: Judgement) -> float | None:
        return row.length_score if row.length in first else None

    values: dict[str, Value] = {
        "S_l": lambda row: row.length_score,
        "S_q": quality,
        "S_l_shortest": shortest,
        "within_20": lambda row: 100.0 * (5 * abs(row.response_length - row.length) <= row.length),
        "obedience": obedient,
        "cut_off": lambda row: 100.0 * (row.finish_reason == "length"),
        "looping": _loops,
        "repetition": lambda row: 100.0 * repeated_ngrams(row.response),
    }
    found = {name: compare(a, b, value) for name, value in values.items()}
    found["rank_correlation"] = _correlation_gain(a, b, statistics)
    return {name: difference for name, difference in found.items() if difference is not None}


def _loops(row: Judgement) -> float:
    from longwriter.evaluation.health import health  # numpy, which `longwriter write` avoids

    return 100.0 * (health(row).loop > 0)


def _correlation_gain(
    a: Sequence[Judgement], b: Sequence[Judgement], statistics: StatisticsSettings
) -> Interval | None:
    """Returns the difference of the two rank correlations, with a bootstrap interval over prompts.

    None if the lengths of one side do not vary.
    """
    import numpy as np

    before, after = (grouped([row.prompt for row in rows], rows) for rows in (a, b))
    prompts = sorted(before)

    def gain(chosen: Iterable[int]) -> float:
        names = [prompts[number] for number in chosen]
        of = [
            _correlation([row for name in names for row in rows[name]]) for rows in (before, after)
        ]
        return of[1] - of[0]

    value = gain(range(len(prompts)))
    if math.isnan(value):
        return None
    few = replace(statistics, resamples=min(statistics.resamples, MOST_RESAMPLES))
    bounds = bootstrap(
        len(prompts), lambda drawn: np.asarray([gain(row) for row in drawn]), few, least_defined=0.9
    )
    return Interval(value, *(bounds or ()))


def _correlation(rows: Sequence[Judgement]) -> float:
    required, written = [row.length for row in rows], [row.response_length for row in rows]
    constant = len(set(required)) < 2 or len(set(written)) < 2
    return math.nan if constant else spearman(required, written)


def reason(unscored: str | None) -> str:
    """Returns the error class named at the beginning of `unscored`; empty if there are grades."""
    return (unscored or "").partition(":")[0]


def _mean(rows: Sequence[Judgement], value: Value) -> float | None:
    values = [found for row in rows if (found := value(row)) is not None]
    return fmean(values) if values else None
