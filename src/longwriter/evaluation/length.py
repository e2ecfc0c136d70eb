"""What the length score S_l does not show: the direction of deviations, and length constraints met."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from longwriter.text.lengths import LengthConstraint


class Length(NamedTuple):
    """The length that a text should have, and the one that it has."""

    required: int
    """Words."""
    written: int
    """Words."""
    constraint: LengthConstraint | None

    @property
    def deviation(self) -> float:
        """(written - required) / required: -0.1 means a tenth too short."""
        return (self.written - self.required) / self.required

    @property
    def obeyed(self) -> bool | None:
        """Whether the length constraint is met; None where there is none."""
        return None if self.constraint is None else self.constraint.obeyed(self.written)


def describe_lengths(lengths: Sequence[Length]) -> dict[str, Any]:
    """Describes how texts deviate from the required length.

    Returns:
        deviation, deviation_median: mean and median, signed, as shares of the required length.
        within_10, within_20: share of texts within 10 and 20 % of the required length.
        obedience: of the texts with a length constraint, their number `n` and the `share` that meet it
            (null if there are none); the same by kind of constraint.
        longest_words: words of the longest text.
    """
    deviations = [length.deviation for length in lengths]
    kinds = ("at most", "at least", "between")
    bounded = [length for length in lengths if length.constraint]
    by_kind = {
        kind: _obedience(
            [each for each in bounded if each.constraint and each.constraint.kind == kind]
        )
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
