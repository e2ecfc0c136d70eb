"""Means, and how far to trust them: 95 % intervals by the bootstrap, and by Student's t."""

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
"""Row numbers of resamples that are in memory at once: 32 MB of them."""


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


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
    """The percentile bootstrap's 95 % interval of a statistic of `rows` rows.

    Rows are drawn whole. Values that belong together, such as the answers to one prompt, share a row;
    drawn one by one they would make the interval too narrow.

        x = np.array([3.0, 1.0, 4.0])
        bootstrap(len(x), lambda drawn: x[drawn].mean(axis=1), statistics)

    Args:
        statistic: gets the numbers of the drawn rows, shape (resamples, rows), and returns a value for
            each resample; NaN where the statistic is not defined for it.
        least_defined: share of the resamples that must have a value.

    Returns:
        The 2.5th and the 97.5th percentile of the resamples that have a value; None where no resample
        has one, or too few have.

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


def interval(values: Sequence[float], statistics: StatisticsSettings) -> Interval | None:
    """The mean of `values`, one for each prompt, with its bootstrap interval; None without values.

    Where all values are equal, the interval is that value.
    """
    if not values:
        return None
    if min(values) == max(values):  # a mean of equal floats may differ from them in the last bit
        return Interval(values[0], values[0], values[0])
    import numpy as np

    x = np.asarray(values, float)
    bounds = bootstrap(len(x), lambda drawn: x[drawn].mean(axis=1), statistics)
    assert bounds is not None
    return Interval(float(x.mean()), *bounds)


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
    """(mean of `a` + mean of `b`) / 2 with its interval, for S̄ of S_l and S_q: a[i] and b[i] belong
    to the same prompt.

    The same prompts are drawn for both. A None in `b` (no grades) is left out of its mean; so is a
    resample whose `b` are all None. None where all of `b` are.
    """
    import numpy as np

    x, y = np.asarray(a, float), np.asarray([np.nan if v is None else v for v in b], float)
    graded = ~np.isnan(y)
    if not graded.any():
        return None

    def mean(drawn: "NDArray[np.int64]") -> Any:
        counts = graded[drawn].sum(axis=1)
        sums = np.where(graded, y, 0)[drawn].sum(axis=1)
        means = np.divide(sums, counts, out=np.full(len(drawn), np.nan), where=counts > 0)
        return (x[drawn].mean(axis=1) + means) / 2

    bounds = bootstrap(len(x), mean, statistics)
    assert bounds is not None  # each resample lacks grades with a probability below 1
    return Interval(float((x.mean() + y[graded].mean()) / 2), *bounds)


def means_by(keys: Sequence[K], values: Sequence[float]) -> dict[K, float]:
    """Each key's mean, in the order in which the keys first occur. Several answers to one prompt are
    one observation, for they share how hard the prompt is.

    Source: cluster bootstrap; Cameron, Gelbach and Miller (2008), doi 10.1162/rest.90.3.414.
    """
    return {key: fmean(group) for key, group in grouped(keys, values).items()}


def spread_within(keys: Sequence[K], values: Sequence[float]) -> float | None:
    """Standard deviation of values with the same key, pooled over keys; None where no key has two."""
    groups = [group for group in grouped(keys, values).values() if len(group) > 1]
    if not groups:
        return None
    freedom = sum(len(group) - 1 for group in groups)
    return float((sum(variance(group) * (len(group) - 1) for group in groups) / freedom) ** 0.5)


def grouped(keys: Sequence[K], values: Sequence[V]) -> dict[K, list[V]]:
    """Key → its values, both in the order in which they occur."""
    groups: dict[K, list[V]] = {}
    for key, value in zip(keys, values, strict=True):
        groups.setdefault(key, []).append(value)
    return groups


def ratio_interval(sums: Sequence[float], sizes: Sequence[int]) -> Interval | None:
    """Σ sums / Σ sizes over rows, with its 95 % interval; None where fewer than two rows have a size
    above 0. For a mean over tokens, `sums` are each row's sum and `sizes` its number of tokens.

    Tokens of one row are not independent, rows are, so the interval counts rows. For m rows with the
    ratio r, its half-width is t · √(m / (m - 1) · Σ (sum - r · size)²) / Σ size, with Student's t of
    m - 1 degrees of freedom.

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
