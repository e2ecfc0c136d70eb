"""The length score S_l: how near a text comes to the length that was asked for; and what it hides."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from longwriter.evaluation.demand import Demand


def length_score(required: int, written: int) -> float:
    """S_l of one text, 0 to 100.

    With x words required and y written:
        y > x:      100 · max(0, 1 - (y/x - 1) / 3)    0 from four times the length on
        0 < y ≤ x:  100 · max(0, 1 - (x/y - 1) / 2)    0 from a third of the length down
        y = 0:      0

    Args:
        required: words asked for, above 0.
        written: words in the text, as `count_words` counts them.

    Peculiarities kept: a text of twice the length loses a third of the points, one of half the
    length a half; bounds such as "at least" count as the length itself. The released function
    divides by zero where y = 0 and otherwise gives these very numbers, bit by bit.

    Source: LongWriter (arXiv 2408.07055), section 2; `score` of its released
    evaluation/eval_length.py at commit ca6ccd4.
    """
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)


class Length(NamedTuple):
    """What was asked of a text's length, and what came."""

    required: int
    written: int
    demand: Demand | None

    @property
    def deviation(self) -> float:
        """(written - required) / required: -0.1 is a tenth too short."""
        return (self.written - self.required) / self.required

    @property
    def obeyed(self) -> bool | None:
        """Whether the bounds are kept; None where there are none."""
        return None if self.demand is None else self.demand.obeyed(self.written)


def describe_lengths(lengths: Sequence[Length]) -> dict[str, Any]:
    """What S_l, which does not say whether texts are too long or too short, leaves out.

    Returns:
        deviation, deviation_median: signed, as shares of the required length.
        within_10, within_20: share of texts within 10 and 20 % of it.
        obedience: share of the texts with bounds that keep them (null without any), their number
            `n`, and both by kind of bounds.
        longest_words: words of the longest text.
    """
    deviations = [length.deviation for length in lengths]
    kinds = ("at most", "at least", "between")
    bounded = [length for length in lengths if length.demand]
    by_kind = {
        kind: _obedience([each for each in bounded if each.demand and each.demand.kind == kind])
        for kind in kinds
    }
    return {
        "deviation": fmean(deviations),
        "deviation_median": median(deviations),
        "within_10": fmean(abs(deviation) <= 0.1 for deviation in deviations),
        "within_20": fmean(abs(deviation) <= 0.2 for deviation in deviations),
        "obedience": {**_obedience(bounded), **{k: v for k, v in by_kind.items() if v["n"]}},
        "longest_words": max(length.written for length in lengths),
    }


def _obedience(lengths: Sequence[Length]) -> dict[str, Any]:
    share = fmean(bool(length.obeyed) for length in lengths) if lengths else None
    return {"share": share, "n": len(lengths)}
