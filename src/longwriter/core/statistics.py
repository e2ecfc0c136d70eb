"""Means, proportions and other statistics with their 95 % confidence intervals."""

import math
from collections.abc import Callable, Hashable, Sequence
from statistics import fmean, variance
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from longwriter.core.settings import StatisticsSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

DRAWN_AT_ONCE = 2**22
"""Row indices of bootstrap resamples that are held in memory at once (32 MB)."""


class Interval(NamedTuple):
    """A mean with its 95 % interval.

    The bounds are None if there are fewer than two values or all of them are equal.
    """

    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def bounds(self) -> list[float] | None:
        """Returns [low, high]; None if there is no interval."""
        return None if self.low is None or self.high is None else [self.low, self.high]

    @property
    def sign(self) -> int:
        """Returns 1 if the whole interval is above 0, -1 if it is below, else 0."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)


class Bounds(NamedTuple):
    """A 95 % interval without the estimate that it belongs to."""

    low: float
    high: float


def bootstrap(
    rows: int,
    statistic: "Callable[[NDArray[np.int64]], Sequence[float] | NDArray[Any]]",
    statistics: StatisticsSettings,
    *,
    least_defined: float = 0.0,
) -> Bounds | None:
    """Returns the percentile bootstrap's 95 % interval of a statistic over `rows` rows.

    Values that belong together, such as the answers to one prompt, must share a row, the unit of
    resampling; drawn one by one they would make the interval too narrow.

        x = np.array([3.0, 1.0, 4.0])
        bootstrap(len(x), lambda drawn: x[drawn].mean(axis=1), statistics)

    Args:
        statistic: takes the indices of the drawn rows, shape (resamples, rows), and returns one
            value per resample; NaN where the statistic is undefined.
        least_defined: share of the resamples for which the statistic must be defined.

    Returns:
        The 2.5th and the 97.5th percentile of the defined values; None if there are none, or fewer
        than `least_defined`.

    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    import numpy as np

    random = np.random.default_rng(statistics.seed)
    found, step = [], max(DRAWN_AT_ONCE // rows, 1)
    for start in range(0, statistics.resamples, step):
        number = min(step, statistics.resamples - start)
        found.append(np.asarray(statistic(random.integers(rows, size=(number, rows))), float))
    values = np.concatenate(found)
    defined = values[~np.isnan(values)]
    if not len(defined) or len(defined) < least_defined * len(values):
        return None
    low, high = np.quantile(defined, (0.025, 0.975))
    return Bounds(float(low), float(high))


def interval(values: Sequence[float], within: tuple[float, float] | None = None) -> Interval | None:
    """Returns the mean of `values`, one per prompt, with Student's t interval; None without values.

    Args:
        within: the range of possible means, such as (0, 100) for a score, to which the interval is
            clipped.

    `python benchmarks/intervals.py` compares its coverage with the bootstrap's.
    """
    return _cut(ratio_interval(values, [1] * len(values)), within)


def paired(a: Sequence[float], b: Sequence[float]) -> Interval | None:
    """Returns the mean of b - a with its interval, where a[i] and b[i] belong to the same prompt.

    The prompts' difficulty cancels out, so the interval is narrower than those of `a` and `b`
    suggest.

    Raises:
        ValueError: `a` and `b` differ in length.
    """
    return interval([after - before for before, after in zip(a, b, strict=True)])


def halves(
    a: Sequence[float], b: Sequence[float | None], within: tuple[float, float] | None = None
) -> Interval | None:
    """Returns (mean of `a` + mean of `b`) / 2 with its interval, as for S̄ from S_l and S_q.

    a[i] and b[i] belong to the same prompt. A None in `b` (no grades) is left out of the mean of
    `b`; if all of `b` is None, so is the result. A prompt contributes half the deviation of its
    value in `a`, and, if it has one, half the deviation of its value in `b`; the interval is
    Student's t on these contributions, with the degrees of freedom of the graded prompts.

    Source: linearisation; Cochran, "Sampling Techniques" (1977), section 6.3.
    """
    graded = [value for value in b if value is not None]
    if not graded:
        return None
    n, m = len(a), len(graded)
    first, second = fmean(a), fmean(graded)
    mean = (first + second) / 2
    parts = [
        (x - first) / n / 2 + (0.0 if y is None else (y - second) / m / 2)
        for x, y in zip(a, b, strict=True)
    ]
    return _cut(_by_parts(mean, parts, n, m), within)


def share(times: float, of: int) -> Interval | None:
    """Returns `times / of` with Wilson's interval; None if `of` is 0.

    If the answers to a prompt count as one observation, `of` is the number of prompts and `times`
    the sum of the prompts' shares.

    Source: Wilson (1927), doi 10.1080/01621459.1927.10502953.
    """
    if not of:
        return None
    p, z = times / of, 1.959963984540054
    middle, spread = p + z * z / of / 2, z * math.sqrt(p * (1 - p) / of + (z / of) ** 2 / 4)
    scale = 1 + z * z / of
    return Interval(p, max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale))


def means_by(keys: Sequence[K], values: Sequence[float]) -> dict[K, float]:
    """Returns each key's mean, in the order in which the keys first occur.

    It makes the answers to one prompt one observation, because they share the prompt's difficulty.

    Source: cluster bootstrap; Cameron, Gelbach and Miller (2008), doi 10.1162/rest.90.3.414.
    """
    return {key: fmean(group) for key, group in grouped(keys, values).items()}


def spread_within(keys: Sequence[K], values: Sequence[float]) -> float | None:
    """Returns the standard deviation within keys, pooled over keys; None if none has two values."""
    groups = [group for group in grouped(keys, values).values() if len(group) > 1]
    if not groups:
        return None
    freedom = sum(len(group) - 1 for group in groups)
    return float((sum(variance(group) * (len(group) - 1) for group in groups) / freedom) ** 0.5)


def grouped(keys: Sequence[K], values: Sequence[V]) -> dict[K, list[V]]:
    """Returns key → its values, both in the order in which they occur."""
    groups: dict[K, list[V]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def ratio_interval(sums: Sequence[float], sizes: Sequence[int]) -> Interval | None:
    """Returns Σ sums / Σ sizes over rows with its 95 % interval; None if no row has a size above 0.

    For a mean over tokens, `sums` are the rows' sums and `sizes` their numbers of tokens. Rows are
    independent, but tokens of one row are not, so the row is the observation. For m rows with the
    ratio r, the interval's half-width is
    t · √(m / (m - 1) · Σ (sum - r · size)²) / Σ size, with Student's t of m - 1 degrees of freedom.

    Source: the ratio estimator of Cochran, "Sampling Techniques" (1977), section 2.11.
    """
    pairs = [(found, size) for found, size in zip(sums, sizes, strict=True) if size]
    if not pairs:
        return None
    total = sum(size for _, size in pairs)
    mean = math.fsum(found for found, _ in pairs) / total
    parts = [(found - mean * size) / total for found, size in pairs]
    return _by_parts(mean, parts, len(pairs), len(pairs))


def _by_parts(mean: float, parts: Sequence[float], rows: int, least: int) -> Interval:
    """Returns Student's t interval of a statistic from each row's contribution to its deviation.

    Args:
        rows: number of rows that contribute.
        least: number of rows in the smallest of the means that make up the statistic; the degrees
            of freedom are one less.
    """
    # Student's t quantile. scipy.stats has it too, but takes a second to import.
    from scipy.special import stdtrit

    spread = math.fsum(part**2 for part in parts)
    # A mean of equal floats may differ from them in the last bit.
    if least < 2 or spread <= (1e-12 * max(abs(mean), 1.0)) ** 2:
        return Interval(mean)
    half = float(stdtrit(least - 1, 0.975)) * math.sqrt(rows / (rows - 1) * spread)
    return Interval(mean, mean - half, mean + half)


def _cut(found: Interval | None, within: tuple[float, float] | None) -> Interval | None:
    if found is None or within is None or found.low is None or found.high is None:
        return found
    return Interval(found.mean, max(found.low, within[0]), min(found.high, within[1]))
