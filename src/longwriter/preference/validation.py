"""Reward margins on validation pairs, as raw numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from longwriter.core.rows import Pair
from longwriter.core.statistics import grouped


def summarise_validation(
    pairs: Sequence[Pair], rewards: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    """Summarises the effect of DPO on pairs that it was not trained on.

    Args:
        pairs: the validation pairs.
        rewards: of the chosen and the rejected answer of each pair, in the same order: β times the
            log-ratio of policy and reference.

    Returns:
        pairs, instructions: number of each.
        margin: mean reward margin over instructions, in β times nats. Before training it is 0,
            because the policy is the reference.
        chosen_reward, rejected_reward: means over pairs.
        accuracy: share of pairs whose chosen answer has the higher reward.
        ids, margins: instruction and margin of each pair, from which intervals can be computed.
    """
    ids, margins = [pair.id for pair in pairs], [chosen - rejected for chosen, rejected in rewards]
    by_instruction = instruction_margins({"ids": ids, "margins": margins})
    numbers = {
        "margin": fmean(by_instruction),
        "chosen_reward": fmean(chosen for chosen, _ in rewards),
        "rejected_reward": fmean(rejected for _, rejected in rewards),
        "accuracy": fmean(margin > 0 for margin in margins),
    }
    return {
        "pairs": len(pairs),
        "instructions": len(by_instruction),
        **{name: round(number, 4) + 0.0 for name, number in numbers.items()},  # no -0.0
        "ids": ids,
        "margins": [round(margin, 4) for margin in margins],
    }


def instruction_margins(validation: Mapping[str, Any]) -> list[float]:
    """Returns the mean margin of each instruction, whose pairs count as one observation.

    Args:
        validation: as `summarise_validation` returns it.
    """
    return [fmean(group) for group in grouped(validation["ids"], validation["margins"]).values()]
