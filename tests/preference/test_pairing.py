"""Which candidates become pairs, and which pairs are for validation."""

import random
from dataclasses import replace
from itertools import chain

import pytest
from helpers.candidates import RANDOM, group

from longwriter.core.rows import Candidate, Pair
from longwriter.preference.pairing import PairingResult, build_pairs, split_validation
from longwriter.preference.settings import PairsSettings, Selection

WORST = replace(RANDOM, select=Selection.best_against_worst)
ABOVE = replace(RANDOM, select=Selection.above_margin)


def paired(
    candidates: list[Candidate], seed: int, settings: PairsSettings = RANDOM
) -> PairingResult:
    return build_pairs(candidates, replace(settings, seed=seed))


def test_the_best_against_another() -> None:
    (pair,) = build_pairs(group("a", 20.0, 90.0), RANDOM, "c0ffee").pairs
    assert pair.model_dump() == {
        "prompt": [{"role": "user", "content": "Write a."}],
        "chosen": [{"role": "assistant", "content": "a answer 1"}],
        "rejected": [{"role": "assistant", "content": "a answer 0"}],
        "id": "a",
        "source": "candidates",
        "length": 100,
        "chosen_score": 90.0,
        "rejected_score": 20.0,
        "chosen_sample": 1,
        "rejected_sample": 0,
        "chosen_seed": 70_001,
        "rejected_seed": 70_000,
        "chosen_length": 4,
        "rejected_length": 3,
        "rejected_cut": False,
        "checkpoint": "c0ffee",
    }


def test_each_other_is_rejected_about_as_often() -> None:
    candidates = [c for i in range(600) for c in group(f"i{i}", 50.0, 0.0, 90.0, 50.0)]
    pairs = paired(candidates, 1).pairs
    assert {pair.chosen_sample for pair in pairs} == {2}
    rejected = [pair.rejected_sample for pair in pairs]
    # 600 draws of three: 200 each, with a standard deviation of 11.5
    assert all(150 < rejected.count(sample) < 250 for sample in (0, 1, 3))


@pytest.mark.parametrize(
    ("scores", "cut", "chosen", "rejected"),
    [
        ((90.0, 90.0, 10.0), (), 0, {2}),  # of equals the first is the best, and no other is worse
        ((10.0, 90.0, 90.0), (), 1, {0}),
        ((90.0, None, 10.0), (), 0, {2}),  # without a score in no pair
        ((None, 40.0, 90.0), (), 2, {1}),
        ((10.0, 99.0, 50.0), (1,), 2, {0}),  # cut off: not chosen, and too good to be rejected
        ((10.0, 99.0, 50.0), (0, 1), 2, {0}),  # cut off can be rejected
        ((0.0, 50.0, 20.0, 70.0), (), 3, {0, 1, 2}),
    ],
)
def test_who_is_chosen_and_who_may_be_rejected(
    scores: tuple[float | None, ...], cut: tuple[int, ...], chosen: int, rejected: set[int]
) -> None:
    pairs = [
        pair for seed in range(40) for pair in paired(group("a", *scores, cut=cut), seed).pairs
    ]
    assert len(pairs) == 40
    assert {pair.chosen_sample for pair in pairs} == {chosen}
    assert {pair.rejected_sample for pair in pairs} == rejected


@pytest.mark.parametrize(
    ("candidates", "reason"),
    [
        (group("a", 50.0, 50.0, 50.0), "no answer scores lower than the best"),
        (group("a", 50.0), "only one scored answer"),
        (group("a", 50.0, None), "only one scored answer"),
        (group("a", 50.0, 90.0, cut=(1,)), "no answer scores lower than the best"),
        (group("a", None, None), "no scored answer"),
        (group("a", 50.0, 90.0, cut=(0, 1)), "no scored answer that ends by itself"),
        (group("a", 50.0, None, cut=(0,)), "no scored answer that ends by itself"),
    ],
)
def test_an_instruction_without_a_pair(candidates: list[Candidate], reason: str) -> None:
    found = paired([*candidates, *group("b", 1.0, 2.0)], 1)
    assert [pair.id for pair in found.pairs] == ["b"]
    assert found.without_pair == {reason: 1}


@pytest.mark.parametrize("response", ["", " \n"])
def test_an_empty_answer_is_in_no_pair(response: str) -> None:
    empty, good = group("a", 0.0, 90.0)
    found = paired([empty.model_copy(update={"response": response}), good], 1)
    assert found == PairingResult([], {"only one scored answer": 1})


def test_the_seed_gives_the_pairs() -> None:
    groups = [c for i in range(30) for c in group(f"i{i}", 50.0, 0.0, 90.0, 20.0)]
    assert paired(groups, 1) == paired(groups, 1)
    assert paired(groups, 1) != paired(groups, 2)


def test_other_instructions_change_no_pair() -> None:
    groups = [group(f"i{i}", 50.0, 0.0, 90.0, 20.0) for i in range(30)]
    expected = {pair.id: pair for pair in paired(list(chain(*groups)), 1).pairs}
    shuffled = random.Random(5).sample(groups, 20)
    mixed = paired(list(chain(*shuffled)), 1).pairs
    assert [pair.id for pair in mixed] == [candidates[0].id for candidates in shuffled]
    assert mixed == [expected[pair.id] for pair in mixed]


SCORES = (40.0, 90.0, 10.0, 70.0, 95.0)
"""Of the samples 0 to 4; the last is cut off in what follows."""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(WORST, [(1, 2)], id="worst"),
        pytest.param(replace(WORST, max_pairs=2), [(1, 2), (1, 0)], id="two worst"),
        pytest.param(replace(WORST, max_pairs=9), [(1, 2), (1, 0), (1, 3)], id="no more than are"),
        # Margins: 1-2 80, 3-2 60, 1-0 50, 0-2 30, 3-0 30, 1-3 20
        pytest.param(replace(ABOVE, max_pairs=3), [(1, 2), (3, 2), (1, 0)], id="widest"),
        pytest.param(
            replace(ABOVE, max_pairs=9, min_margin=30),
            [(1, 2), (3, 2), (1, 0), (0, 2), (3, 0)],
            id="all of at least 30",
        ),
        pytest.param(
            replace(WORST, max_pairs=9, min_margin=50), [(1, 2), (1, 0)], id="worst of 50"
        ),
    ],
)
def test_strategies(settings: PairsSettings, expected: list[tuple[int, int]]) -> None:
    pairs = paired(group("a", *SCORES, cut=(4,)), 1, settings).pairs
    assert [(pair.chosen_sample, pair.rejected_sample) for pair in pairs] == expected


def test_random_others_differ_and_keep_the_margin() -> None:
    settings = replace(RANDOM, max_pairs=2, min_margin=50)
    for seed in range(20):
        pairs = paired(group("a", *SCORES, cut=(4,)), seed, settings).pairs
        assert {(pair.chosen_sample, pair.rejected_sample) for pair in pairs} == {(1, 0), (1, 2)}


@pytest.mark.parametrize("settings", [RANDOM, WORST, ABOVE])
def test_no_margin_wide_enough(settings: PairsSettings) -> None:
    settings = replace(settings, min_margin=50)
    candidates = [*group("a", 50.0, 99.0), *group("b", 50.0, 100.0)]
    found = paired(candidates, 1, settings)
    assert [pair.id for pair in found.pairs] == ["b"]
    assert found.without_pair == {"no margin of min_margin": 1}


# Validation pairs


def named(*names: str) -> list[Pair]:
    return [pair for name in names for pair in paired(group(name, 1.0, 2.0), 1).pairs]


@pytest.mark.parametrize(
    ("fraction", "number"), [(0, 0), (0.34, 3), (0.3, 3), (0.29, 2), (0.99, 9)]
)
def test_a_share_of_the_instructions_is_for_validation(fraction: float, number: int) -> None:
    names = [f"i{place}" for place in range(10)]
    pairs = named(*names, *names)  # two pairs each
    train, validation = split_validation(pairs, fraction, seed=3)
    assert len({pair.id for pair in validation}) == number
    assert len(validation) == 2 * number
    assert {pair.id for pair in train} | {pair.id for pair in validation} == set(names)
    assert not {pair.id for pair in train} & {pair.id for pair in validation}


def test_validation_instructions_go_by_seed_and_id_not_by_place() -> None:
    names = [f"i{place}" for place in range(20)]

    def chosen(seed: int, *names: str) -> set[str]:
        return {pair.id for pair in split_validation(named(*names), 0.25, seed=seed)[1]}

    first = chosen(3, *names)
    assert len(first) == 5
    assert chosen(3, *reversed(names)) == first
    assert chosen(4, *names) != first
    assert len(first & chosen(3, *names, "new")) >= 4


def test_something_is_always_left_to_train_on() -> None:
    train, validation = split_validation(named("a", "b"), 0.99, seed=3)
    assert (len(train), len(validation)) == (1, 1)
    assert split_validation(named("a"), 0.99, seed=3)[1] == []
