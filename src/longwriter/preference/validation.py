"""What DPO did on pairs that it never saw: reward margins, as raw numbers."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from longwriter.core.rows import Pair
from longwriter.core.statistics import grouped

if TYPE_CHECKING:
    from longwriter.preference.trainer import Reward


def summarise_validation(pairs: Sequence[Pair], rewards: Sequence["Reward"]) -> dict[str, Any]:
    """`margin`, the mean reward margin (β times nats) over instructions; the mean rewards of both
    answers; and `accuracy`, the share of pairs whose chosen answer has the higher reward. Training
    starts at a margin of 0: the policy is the reference there.

    Args:
        pairs: the validation pairs, in the order of the rewards.

    Returns:
        The numbers above, `pairs` and `instructions`, and the raw `margins` with the instruction of
        each in `ids`, from which intervals follow.
    """
    ids, margins = [pair.id for pair in pairs], [reward.margin for reward in rewards]
    by_instruction = instruction_margins({"ids": ids, "margins": margins})
    numbers = {
        "margin": fmean(by_instruction),
        "chosen_reward": fmean(reward.chosen for reward in rewards),
        "rejected_reward": fmean(reward.rejected for reward in rewards),
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
    """Mean margin of each instruction: pairs of one instruction are one observation.

    Args:
        validation: as `summarise_validation` returns it.
    """
    return [fmean(group) for group in grouped(validation["ids"], validation["margins"]).values()]
