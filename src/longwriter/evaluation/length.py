"""What the length score S_l does not show: direction of deviations and length constraints met."""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from longwriter.core.statistics import means_by, share
from longwriter.text.lengths import LengthConstraint


class Length(NamedTuple):
    """Required and actual length of a text."""

    required: int
    """In words."""
    written: int
    """In words."""
    constraint: LengthConstraint | None

    @property
    def deviation(self) -> float:
        """(written - required) / required: -0.1 means a tenth too short."""
        return (self.written - self.required) / self.required

    @property
    def obeyed(self) -> bool | None:
        """Whether the length constraint is met; None if there is none."""
        return None if self.constraint is None else self.constraint.obeyed(self.written)


def describe_lengths(lengths: Sequence[Length], prompts: Sequence[str]) -> dict[str, Any]:
    """Describes how texts deviate from the required length.

    Args:
        prompts: prompt of each text; `within_…` and its interval average over prompts.

    Returns:
        deviation, deviation_median: mean and median, signed, as shares of the required length.
        within_10, within_20: share of texts within 10 and 20 % of the required length, each with
            its interval in `…_interval`.
        obedience: number `n` of texts with a length constraint, and the `share` of them that meet
            it (null if there are none); also by kind of constraint.
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
        **_within(deviations, prompts, 10),
        **_within(deviations, prompts, 20),
        "obedience": {**_obedience(bounded), **{k: v for k, v in by_kind.items() if v["n"]}},
        "longest_words": max(length.written for length in lengths),
    }


def _within(
    deviations: Sequence[float], prompts: Sequence[str], percent: int
) -> dict[str, float | list[float] | None]:
    near = [float(100 * abs(deviation) <= percent) for deviation in deviations]
    by_prompt = means_by(prompts, near)
    found = share(sum(by_prompt.values()), len(by_prompt))
    assert found is not None
    name = f"within_{percent}"
    return {name: found.mean, f"{name}_interval": found.bounds}


def _obedience(lengths: Sequence[Length]) -> dict[str, Any]:
    share = fmean(bool(length.obeyed) for length in lengths) if lengths else None
    return {"share": share, "n": len(lengths)}
