"""Intervals of a ratio and of a mean by Student's t, against values derived by hand."""

import pytest

from longwriter.core.statistics import mean_interval, ratio_interval

T = 12.7062047
"""The 97.5th percentile of Student's t with one degree of freedom."""


def test_ratio_and_interval_by_hand() -> None:
    # Rows of 2 and 4 tokens with sums 2 and 10: mean 12/6 = 2, residuals 2 - 4 = -2 and 10 - 8 = 2.
    # Half: t(0.975, 1) = 12.7062 times √(2/1 · (4 + 4)) / 6 = 4/6. The third row is not that long.
    found = ratio_interval([2, 10, 0], [2, 4, 0])
    assert found is not None
    assert found == (2, pytest.approx(2 - T * 4 / 6), pytest.approx(2 + T * 4 / 6))


def test_one_row_has_no_interval() -> None:
    assert ratio_interval([6], [3]) is None
    assert ratio_interval([6, 0], [3, 0]) is None
    assert mean_interval([6]) is None


def test_mean_and_interval_by_hand() -> None:
    # Mean 2, residuals -1 and 1, half: t · √(2/1 · 2) / 2 = t, which is t · s / √n with s = √2.
    found = mean_interval([1, 3])
    assert found is not None
    assert found == (2, pytest.approx(2 - T), pytest.approx(2 + T))
