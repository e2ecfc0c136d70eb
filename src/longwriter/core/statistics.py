"""Means over prompts, with bootstrap intervals that say how far to trust them."""

import math
from collections.abc import Hashable, Sequence
from statistics import fmean, variance
from typing import NamedTuple, TypeVar

from longwriter.core.settings import StatisticsSettings

K = TypeVar("K", bound=Hashable)


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: Sequence[float], statistics: StatisticsSettings) -> Interval | None:
    """The mean of `values`, one a prompt, with the percentile bootstrap's 95 % interval.

    Where the values are all equal, or only one is there, the interval is the mean itself. None
    where there is no value.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    if not values:
        return None
    if min(values) == max(values):
        return Interval(values[0], values[0], values[0])
    import numpy as np
    from scipy.stats import bootstrap  # a second to import, and many a caller needs no interval

    found = bootstrap(
        (values,),
        np.mean,
        n_resamples=statistics.resamples,
        method="percentile",
        rng=statistics.seed,
    ).confidence_interval
    return Interval(float(np.mean(values)), float(found.low), float(found.high))


def paired(
    a: Sequence[float], b: Sequence[float], statistics: StatisticsSettings
) -> Interval | None:
    """The mean of b - a with its interval, where a[i] and b[i] belong to the same prompt.

    Prompts are drawn, not values: how hard a prompt is cancels out, so the interval is narrower
    than those of `a` and `b` suggest.

    Raises:
        ValueError: `a` and `b` differ in length.
    """
    differences = [after - before for before, after in zip(a, b, strict=True)]
    return interval(differences, statistics)


def halves(
    a: Sequence[float], b: Sequence[float | None], statistics: StatisticsSettings
) -> Interval | None:
    """(mean of `a` + mean of `b`) / 2 with its interval: S̄ of S_l and S_q, one of each a prompt.

    The same prompts are drawn for both. A None in `b` (no grades) is left out of its mean; a
    resample that draws nothing else is left out too. None where `b` holds nothing else.
    """
    import numpy as np

    x, y = np.asarray(a, float), np.asarray([np.nan if v is None else v for v in b], float)
    if np.isnan(y).all():
        return None
    drawn = np.random.default_rng(statistics.seed).integers(
        len(x), size=(statistics.resamples, len(x))
    )
    graded = ~np.isnan(y)
    counts = graded[drawn].sum(axis=1)
    sums = np.where(graded, y, 0)[drawn].sum(axis=1)
    means = (x[drawn].mean(axis=1)[counts > 0] + sums[counts > 0] / counts[counts > 0]) / 2
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float((x.mean() + y[graded].mean()) / 2), float(low), float(high))


def means_by(keys: Sequence[K], values: Sequence[float]) -> dict[K, float]:
    """Each key's mean, in the order in which the keys first come: several answers to one prompt
    are one observation, for they share how hard the prompt is.

    Source: cluster bootstrap; Cameron, Gelbach and Miller (2008), doi 10.1162/rest.90.3.414.
    """
    return {key: fmean(group) for key, group in grouped(keys, values).items()}


def spread_within(keys: Sequence[K], values: Sequence[float]) -> float | None:
    """Standard deviation of values of the same key, pooled over keys; None where no key has two."""
    groups = [group for group in grouped(keys, values).values() if len(group) > 1]
    if not groups:
        return None
    freedom = sum(len(group) - 1 for group in groups)
    return float((sum(variance(group) * (len(group) - 1) for group in groups) / freedom) ** 0.5)


V = TypeVar("V")


def grouped(keys: Sequence[K], values: Sequence[V]) -> dict[K, list[V]]:
    """Key → its values, in order."""
    groups: dict[K, list[V]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def ratio_interval(sums: Sequence[float], sizes: Sequence[int]) -> Interval | None:
    """Σ sums / Σ sizes with its 95 % interval over rows; groups of size 0 are left out. None where
    fewer than two are left.

    What belongs to one row, such as its tokens, is not independent, rows are: so the interval counts
    rows. For m of them with mean r, its half is t · √(m / (m - 1) · Σ (sum - r · size)²) / Σ size,
    with Student's t of m - 1 degrees of freedom.

    Source: the ratio estimator of Cochran, "Sampling Techniques" (1977), section 2.11.
    """
    from scipy.stats import t

    pairs = [(found, size) for found, size in zip(sums, sizes, strict=True) if size]
    m = len(pairs)
    if m < 2:
        return None
    total = sum(size for _, size in pairs)
    mean = math.fsum(found for found, _ in pairs) / total
    spread = math.fsum((found - mean * size) ** 2 for found, size in pairs)
    half = float(t.ppf(0.975, m - 1)) * math.sqrt(m / (m - 1) * spread) / total
    return Interval(mean, mean - half, mean + half)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The mean of `values` with Student's t 95 % interval; None below two values."""
    return ratio_interval(values, [1] * len(values))
