"""The index of sets in an order against the one that grows, which is `datasketch`'s."""

import numpy as np
import pytest

from longwriter.text.minhash import CROWD, PERMUTATIONS, ROWS, InOrder, NearIndex


def clusters(seed: int, sets: int = 1500) -> "np.ndarray[tuple[int, int], np.dtype[np.uint32]]":
    """Signatures of which most are alone, some are near copies of others, and CROWD + 300 share a band. The last
    30 are like one of those, and share no other band with it: they are not found where that bucket is a crowd."""
    draws = np.random.default_rng(seed)
    found = draws.integers(0, 2**32, (sets, PERMUTATIONS), dtype=np.uint32)
    for copy in draws.choice(sets, 400, replace=False):
        found[copy] = found[draws.integers(sets)]
        found[copy, draws.choice(PERMUTATIONS, draws.integers(0, 30), replace=False)] = 7
    template = draws.choice(sets, CROWD + 300, replace=False)
    found[template, :ROWS] = 5
    copies = found[template[:30]].copy()
    copies[:, ROWS::ROWS] += 1
    found[-30:] = copies
    return found


@pytest.mark.parametrize("seed", range(3))
def test_both_indexes_find_the_same(seed: int) -> None:
    signatures = clusters(seed)
    ahead, growing, found = InOrder(signatures), NearIndex(), 0
    for number, values in enumerate(signatures):
        expected = growing.candidates(values, 0.7)
        assert ahead.candidates(number, 0.7) == expected
        found += bool(expected)
        if not expected:  # as a row is kept that is like none before
            ahead.keep(number)
            growing.insert(number, values)
    assert found > 200


def test_no_sets_and_sets_without_a_bucket_in_common() -> None:
    assert len(clusters(0)) == 1500
    InOrder(np.zeros((0, PERMUTATIONS), dtype=np.uint32))
    alone = InOrder(np.arange(3 * PERMUTATIONS, dtype=np.uint32).reshape(3, -1))
    for number in range(3):
        assert alone.candidates(number, 0.1) == []
        alone.keep(number)
