import pytest

from longwriter.core.statistics import Interval, halves, interval, means_by, paired, spread_within


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


def test_answers_to_the_same_prompt_are_one_observation() -> None:
    assert means_by(["b", "a", "b"], [1.0, 5.0, 3.0]) == {"b": 2.0, "a": 5.0}


def test_spread_within_pools_over_prompts() -> None:
    # Variances 2 (1 degree of freedom) and 1 (2 degrees): (2 · 1 + 1 · 2) / 3; "c" has one value.
    keys, values = ["a", "a", "b", "b", "b", "c"], [1.0, 3.0, 1.0, 2.0, 3.0, 9.0]
    assert spread_within(keys, values) == pytest.approx((4 / 3) ** 0.5)
    assert spread_within(["a", "b"], [1.0, 2.0]) is None


def test_halves_draws_the_same_prompts_for_both() -> None:
    # S_l + S_q is 100 for every prompt, so S̄ is 50 in every resample.
    assert halves([0.0, 40.0, 100.0], [100.0, 60.0, 0.0], 200, 1) == Interval(50.0, 50.0, 50.0)


def test_halves_leaves_out_what_has_no_grades() -> None:
    found = halves([10.0, 30.0], [None, 50.0], 500, 1)
    assert found is not None
    # (20 + 50) / 2; resamples: both second: (30 + 50) / 2, one each: 35, both first: left out
    assert found == Interval(35.0, 35.0, 40.0)
    assert halves([10.0], [None], 100, 1) is None
