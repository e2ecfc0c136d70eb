"""Intervals by Student's t and Wilson's, against values derived by hand and scipy's."""

import pytest
from scipy.stats import binomtest, ttest_1samp

from longwriter.core.statistics import Interval, halves, interval, paired, ratio_interval, share

T = 12.7062047
"""The 97.5th percentile of Student's t with one degree of freedom."""


def test_ratio_and_interval_by_hand() -> None:
    # Rows of 2 and 4 tokens with sums 2 and 10: mean 12/6 = 2, residuals 2 - 4 = -2 and 10 - 8 = 2.
    # Half: t(0.975, 1) = 12.7062 times √(2/1 · (4 + 4)) / 6 = 4/6. The third row is not that long.
    found = ratio_interval([2, 10, 0], [2, 4, 0])
    assert found is not None
    assert found == (2, pytest.approx(2 - T * 4 / 6), pytest.approx(2 + T * 4 / 6))


def test_one_row_has_no_interval() -> None:
    assert ratio_interval([6], [3]) == Interval(2)
    assert ratio_interval([6, 0], [3, 0]) == Interval(2)
    assert ratio_interval([], []) is None
    assert interval([6]) == Interval(6)
    assert interval([]) is None


def test_mean_and_interval_by_hand() -> None:
    # Mean 2, residuals -1 and 1, half: t · √(2/1 · 2) / 2 = t, which is t · s / √n with s = √2.
    assert interval([1, 3]) == (2, pytest.approx(2 - T), pytest.approx(2 + T))
    assert interval([1, 3], (0, 100)) == (2, 0, pytest.approx(2 + T))


def test_the_mean_s_interval_is_scipy_s() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0]
    found = ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((sum(values) / 7, found.low, found.high))


@pytest.mark.parametrize("values", [[0.1, 0.1, 0.1], [100.0] * 5, [0.0, 0.0]])
def test_values_without_spread_have_no_interval(values: list[float]) -> None:
    assert interval(values) == Interval(pytest.approx(values[0]))


def test_paired_takes_the_prompts_difference() -> None:
    assert paired([0.0, 50.0], [1.0, 53.0]) == interval([1.0, 3.0])
    # b - a is 5 for every prompt, however far apart the prompts are.
    assert paired([0.0, 50.0, 90.0], [5.0, 55.0, 95.0]) == Interval(5.0)


def test_paired_needs_a_partner_for_each() -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        paired([1.0, 2.0], [1.0])


def test_halves_takes_both_of_a_prompt_together() -> None:
    # All graded: S̄ is the mean of the prompts' halves, 10 and 30.
    assert halves([0.0, 20.0], [20.0, 40.0]) == pytest.approx(interval([10.0, 30.0]))
    # S_l + S_q is 100 for every prompt: S̄ doesn't vary.
    assert halves([0.0, 40.0, 100.0], [100.0, 60.0, 0.0]) == Interval(50.0)


def test_halves_leaves_out_what_has_no_grades() -> None:
    # (20 + 50) / 2; one grade tells nothing of how grades vary.
    assert halves([10.0, 30.0], [None, 50.0]) == Interval(35.0)
    assert halves([10.0], [None]) is None
    # Parts: (10-20)/3/2 = -5/3; 0 + (40-50)/2/2 = -2.5; 5/3 + 2.5. Half: t(0.975, 1) · √(3/2 · Σ parts²).
    parts = [-5 / 3, -2.5, 5 / 3 + 2.5]
    half = T * (1.5 * sum(part**2 for part in parts)) ** 0.5
    found = halves([10.0, 20.0, 30.0], [None, 40.0, 60.0])
    assert found == pytest.approx((35.0, 35 - half, 35 + half))


@pytest.mark.parametrize(("times", "of"), [(0, 7), (3, 13), (13, 13), (40, 80)])
def test_a_share_s_interval_is_scipy_s(times: int, of: int) -> None:
    found = binomtest(times, of).proportion_ci(method="wilson")
    assert share(times, of) == pytest.approx((times / of, found.low, found.high))
    assert share(0, 0) is None


@pytest.mark.parametrize(
    ("found", "sign"),
    [(Interval(2, 1, 3), 1), (Interval(-2, -3, -1), -1), (Interval(2, -1, 5), 0), (Interval(2), 0)],
)
def test_the_sign_of_an_interval(found: Interval, sign: int) -> None:
    assert found.sign == sign
