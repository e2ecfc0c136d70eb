"""What training did on pairs that it never saw: reward margins with intervals."""

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from longwriter.evaluation.statistics import interval
from longwriter.records import Pair

if TYPE_CHECKING:
    from longwriter.training.preference_trainer import Reward


def summarise(
    pairs: Sequence[Pair],
    rewards: Sequence["Reward"],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """The mean margin with its 95 % interval over instructions, and the share of pairs whose chosen
    answer has the higher reward. Training starts at 0: the policy is the reference there.

    Args:
        pairs: the held-out pairs, in the order of the rewards.
    """

    by_instruction: dict[str, list[float]] = {}
    for pair, reward in zip(pairs, rewards, strict=True):
        by_instruction.setdefault(pair.id, []).append(reward.margin)
    found = interval([fmean(group) for group in by_instruction.values()], resamples, seed)
    assert found is not None
    numbers = {
        "margin": found.mean,
        "low": found.low,
        "high": found.high,
        "chosen_reward": fmean(reward.chosen for reward in rewards),
        "rejected_reward": fmean(reward.rejected for reward in rewards),
        "accuracy": fmean(reward.margin > 0 for reward in rewards),
    }
    return {
        "pairs": len(pairs),
        "instructions": len(by_instruction),
        **{name: round(number, 4) + 0.0 for name, number in numbers.items()},  # no -0.0
        "margins": [round(reward.margin, 4) for reward in rewards],
    }
