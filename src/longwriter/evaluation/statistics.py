"""Means over prompts, with bootstrap intervals that say how far to trust them."""

from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], resamples: int, seed: int) -> Interval | None:
    """The mean of `values`, one a prompt, with the percentile bootstrap's 95 % interval.

    Where the values are all equal, or only one is there, the interval is the mean itself. None
    where there is no value.

    Args:
        resamples: how often as many prompts are drawn with replacement.
        seed: same values, resamples and seed give the same interval.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    if not values:
        return None
    if min(values) == max(values):
        return Interval(values[0], values[0], values[0])
    import numpy as np
    from scipy.stats import bootstrap  # a second to import, and many a caller needs no interval

    found = bootstrap(
        (values,), np.mean, n_resamples=resamples, method="percentile", rng=seed
    ).confidence_interval
    return Interval(float(np.mean(values)), float(found.low), float(found.high))


def paired(a: Sequence[float], b: Sequence[float], resamples: int, seed: int) -> Interval | None:
    """The mean of b - a with its interval, where a[i] and b[i] belong to the same prompt.

    Prompts are drawn, not values: how hard a prompt is cancels out, so the interval is narrower
    than those of `a` and `b` suggest.

    Raises:
        ValueError: `a` and `b` differ in length.
    """
    differences = [after - before for before, after in zip(a, b, strict=True)]
    return interval(differences, resamples, seed)
