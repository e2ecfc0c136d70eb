import math

import numpy as np
import pytest

from longwriter.core import statistics
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import (
    Bounds,
    bootstrap,
    means_by,
    spread_within,
)


def of(resamples: int, seed: int) -> StatisticsSettings:
    return StatisticsSettings(resamples=resamples, seed=seed)


def test_the_seed_gives_the_interval() -> None:
    x = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0])

    def mean(drawn: np.ndarray) -> np.ndarray:
        return x[drawn].mean(axis=1)

    assert bootstrap(7, mean, of(200, 5)) == bootstrap(7, mean, of(200, 5))
    assert bootstrap(7, mean, of(200, 5)) != bootstrap(7, mean, of(200, 6))


def test_answers_to_the_same_prompt_are_one_observation() -> None:
    assert means_by(["b", "a", "b"], [1.0, 5.0, 3.0]) == {"b": 2.0, "a": 5.0}


def test_spread_within_pools_over_prompts() -> None:
    # Variances 2 (1 degree of freedom) and 1 (2 degrees): (2 · 1 + 1 · 2) / 3; "c" has one value.
    keys, values = ["a", "a", "b", "b", "b", "c"], [1.0, 3.0, 1.0, 2.0, 3.0, 9.0]
    assert spread_within(keys, values) == pytest.approx((4 / 3) ** 0.5)
    assert spread_within(["a", "b"], [1.0, 2.0]) is None


def test_bootstrap_of_a_median() -> None:
    # The median of resamples of 0, 0, 0, 10, 10 is 10 where at least three of five draws are a 10:
    # P = 10 · 0.4³ · 0.6² + 5 · 0.4⁴ · 0.6 + 0.4⁵ = 0.317 > 0.025, and 0.683 > 0.025 for 0.
    x = np.array([0, 0, 0, 10, 10])
    found = bootstrap(5, lambda drawn: np.median(x[drawn], axis=1), of(2000, 1))
    assert found == Bounds(0.0, 10.0)


def test_bootstrap_draws_whole_rows() -> None:
    # Each row is a cluster of values whose sum is 6, so every resample of three rows has the sum 18.
    clusters = [[1.0, 5.0], [2.0, 2.0, 2.0], [6.0]]
    drawn_rows = []

    def total(drawn: np.ndarray) -> list[float]:
        drawn_rows.append(drawn.shape)
        return [math.fsum(value for row in rows for value in clusters[row]) for rows in drawn]

    assert bootstrap(3, total, of(100, 1)) == Bounds(18.0, 18.0)
    assert drawn_rows == [(100, 3)]


def test_bootstrap_is_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.arange(7.0) ** 2
    shapes = []

    def mean(drawn: np.ndarray) -> np.ndarray:
        shapes.append(drawn.shape)
        return x[drawn].mean(axis=1)

    whole = bootstrap(7, mean, of(100, 3))
    monkeypatch.setattr(statistics, "DRAWN_AT_ONCE", 7 * 33)
    assert bootstrap(7, mean, of(100, 3)) == whole
    assert shapes == [(100, 7), (33, 7), (33, 7), (33, 7), (1, 7)]


def test_bootstrap_where_the_statistic_is_not_defined() -> None:
    # Of two rows, a quarter of the resamples draw the first twice, for which there is no value.
    def where_the_second_is_drawn(drawn: np.ndarray) -> np.ndarray:
        return np.where(drawn.any(axis=1), 1.0, np.nan)

    assert bootstrap(2, where_the_second_is_drawn, of(1000, 1)) == Bounds(1.0, 1.0)
    assert bootstrap(2, where_the_second_is_drawn, of(1000, 1), least_defined=0.7) == Bounds(1, 1)
    assert bootstrap(2, where_the_second_is_drawn, of(1000, 1), least_defined=0.8) is None
    assert bootstrap(2, lambda drawn: np.full(len(drawn), np.nan), of(100, 1)) is None


def test_bootstrap_agrees_with_scipy() -> None:
    from scipy.stats import bootstrap as independent

    x = np.random.default_rng(5).normal(50, 20, 113)
    found = independent((x,), np.mean, n_resamples=2000, method="percentile", rng=3)
    low, high = found.confidence_interval
    ours = bootstrap(len(x), lambda drawn: x[drawn].mean(axis=1), of(2000, 3))
    assert ours == (pytest.approx(low), pytest.approx(high))
