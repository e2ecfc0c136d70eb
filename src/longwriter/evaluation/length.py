"""The length score S_l: how near a text comes to the length that was asked for; and what it hides."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from longwriter.text.constraints import LengthConstraint


class Length(NamedTuple):
    """What was asked of a text's length, and what came."""

    required: int
    written: int
    demand: LengthConstraint | None

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
