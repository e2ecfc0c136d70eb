"""Reward margins on validation pairs, against values derived by hand."""

from helpers.dpo_runs import pair

from longwriter.preference.validation import instruction_margins, summarise_validation


def test_pairs_of_one_instruction_are_one_observation() -> None:
    pairs = [pair(name, "p", "c", "r") for name in ("a", "b", "a")]
    rewards = [(1.0, 0.5), (-1.0, 1.0), (0.25, 0.25)]
    found = summarise_validation(pairs, rewards)
    assert found == {
        "pairs": 3,
        "instructions": 2,
        "margin": -0.875,  # a: (0.5 + 0) / 2 = 0.25, b: -2
        "chosen_reward": 0.0833,  # 0.25 / 3
        "rejected_reward": 0.5833,  # 1.75 / 3
        "accuracy": 0.3333,  # a margin of 0 is no preference
        "ids": ["a", "b", "a"],
        "margins": [0.5, -2.0, 0.0],
    }
    assert instruction_margins(found) == [0.25, -2.0]


def test_before_training_there_is_no_minus_zero() -> None:
    found = summarise_validation([pair("a", "p", "c", "r")], [(-0.0, 0.0)])
    assert str(found["margin"]) == str(found["chosen_reward"]) == "0.0"
