"""Numbers of candidates and pairs, against values derived by hand."""

import math

import pytest
from helpers.candidates import RANDOM, group

from longwriter.core.rows import Message, Pair
from longwriter.core.settings import StatisticsSettings
from longwriter.preference.metrics import Correlation, describe, histogram, length_bias
from longwriter.preference.pairing import build_pairs

STATISTICS = StatisticsSettings(resamples=500, seed=1)


def of_lengths(name: str, chosen: int, rejected: int) -> Pair:
    messages = {side: [Message(role="user", content="x")] for side in ("prompt", "chosen")}
    return Pair(
        **messages,
        rejected=messages["chosen"],
        id=name,
        chosen_length=chosen,
        rejected_length=rejected,
    )


def test_length_bias_by_hand() -> None:
    # x = (c - r) / (c + r): 1/3, 1/3, -1/2; mean 1/18; mean of squares (1/9 + 1/9 + 1/4) / 3
    pairs = [of_lengths("a", 20, 10), of_lengths("b", 200, 100), of_lengths("c", 10, 30)]
    found = length_bias(pairs, STATISTICS)
    assert found is not None
    assert found.correlation == pytest.approx((1 / 18) / math.sqrt((2 / 9 + 1 / 4) / 3), abs=1e-4)
    assert (found.low, found.high, found.n) == (-1, 1, 3)


def test_length_bias_is_pearson_s_correlation() -> None:
    import numpy as np

    lengths = [(20, 10), (50, 70), (300, 200), (90, 30), (40, 45)]
    relative = [n / (a + b) for a, b in lengths for n in (a, b)]
    is_chosen = [yes for _ in lengths for yes in (1, 0)]
    found = length_bias([of_lengths(str(n), *pair) for n, pair in enumerate(lengths)], STATISTICS)
    assert found is not None
    assert found.correlation == pytest.approx(np.corrcoef(relative, is_chosen)[0, 1], abs=1e-4)


def test_length_bias_at_its_ends() -> None:
    longer = [of_lengths(str(n), 30, 10) for n in range(5)]
    assert length_bias(longer, STATISTICS) == Correlation(1, 1, 1, 5)
    shorter = [of_lengths(str(n), 10, 30) for n in range(5)]
    assert length_bias(shorter, STATISTICS) == Correlation(-1, -1, -1, 5)
    assert length_bias([of_lengths("a", 10, 10)], STATISTICS) is None
    assert length_bias([], STATISTICS) is None


def test_pairs_of_one_instruction_are_drawn_together() -> None:
    together = [of_lengths("a", 30, 10), of_lengths("a", 10, 30)]
    assert length_bias(together, STATISTICS) == Correlation(0, 0, 0, 1)


def test_histogram() -> None:
    found = histogram([0, 0, 12], [6])
    assert found["edges"] == list(range(13))
    assert found["counts0"] == [2, *[0] * 10, 1]
    assert found["counts1"] == [*[0] * 6, 1, *[0] * 5]


def test_describe() -> None:
    candidates = [
        *group("a", 20.0, 90.0),
        *group("b", 50.0, 100.0, cut=(0,)),
        *group("c", 50.0, 50.0),
        *group("d", None, None, cut=(1,)),
    ]
    found = describe(candidates, build_pairs(candidates, RANDOM))
    histograms = found.pop("histograms")
    assert found == {
        "instructions": 4,
        "candidates": 8,
        "cut_off": 2,
        "unscored": 2,
        "unscored_reasons": {"": 2},
        "pairs": 2,
        "without_pair": {"no answer scores lower than the best": 1, "no scored answer": 1},
        "without_pair_share": 0.5,
        "chosen_score": 95.0,  # (90 + 100) / 2
        "rejected_score": 35.0,  # (20 + 50) / 2
        "chosen_words": 4.0,
        "rejected_words": 3.0,
        "margin": 60.0,  # (90 - 20 + 100 - 50) / 2
    }
    assert {name: sum(part["counts0"]) for name, part in histograms.items()} == {
        "score": 2,
        "words": 2,
        "margin": 2,
    }


def test_describe_nothing() -> None:
    assert describe([], build_pairs([], RANDOM)) == {
        "instructions": 0,
        "candidates": 0,
        "cut_off": 0,
        "unscored": 0,
        "unscored_reasons": {},
        "pairs": 0,
        "without_pair": {},
        "without_pair_share": 0.0,
    }
