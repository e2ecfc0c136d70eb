import pytest

from longwriter.evaluation.statistics import Interval, interval, paired


def test_interval_of_a_binomial() -> None:
    # Means of resamples of eight 0 and two 10 are K ~ Binomial(10, 0.2).
    # P(K=0) = 0.8^10 = 0.107 > 0.025, so the lower end is 0.
    # P(K≤4) = 0.967 < 0.975 ≤ P(K≤5) = 0.994, so the upper end is 5 (of a 90 % interval: 4).
    assert interval([0.0] * 8 + [10.0] * 2, 10_000, 1) == Interval(2.0, 0.0, 5.0)


def test_the_seed_gives_the_interval() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0]
    assert interval(values, 200, 5) == interval(values, 200, 5)
    assert interval(values, 200, 5) != interval(values, 200, 6)


@pytest.mark.parametrize("values", [[0.1], [0.1, 0.1, 0.1]])
def test_values_without_spread_are_their_interval(values: list[float]) -> None:
    assert interval(values, 100, 1) == Interval(0.1, 0.1, 0.1)


def test_no_value_no_interval() -> None:
    assert interval([], 100, 1) is None


def test_paired_takes_the_prompts_difference() -> None:
    # b - a is 5 for every prompt, however far apart the prompts are.
    assert paired([0.0, 50.0, 90.0], [5.0, 55.0, 95.0], 100, 1) == Interval(5.0, 5.0, 5.0)


def test_paired_draws_prompts() -> None:
    # b - a: eight 0 and two 10, as in test_interval_of_a_binomial.
    a = [float(i) for i in range(10)]
    b = [10.0, 11.0, *a[2:]]
    assert paired(a, b, 10_000, 1) == Interval(2.0, 0.0, 5.0)


def test_paired_needs_a_partner_for_each() -> None:
    with pytest.raises(ValueError, match=r"zip\(\) argument 2 is shorter"):
        paired([1.0, 2.0], [1.0], 100, 1)
