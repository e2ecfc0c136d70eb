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
    before: Sequence["Reward"],
    after: Sequence["Reward"],
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Margins before and after training, each with its 95 % interval over instructions, and the
    share of pairs whose chosen answer has the higher reward.

    Before training the policy is the reference, so that margin is 0 unless something is wrong.

    Args:
        pairs: the held-out pairs, in the order of the rewards.
    """

    def margins(rewards: Sequence["Reward"]) -> dict[str, float]:
        by_instruction: dict[str, list[float]] = {}
        for pair, reward in zip(pairs, rewards, strict=True):
            by_instruction.setdefault(pair.id, []).append(reward.margin)
        found = interval([fmean(group) for group in by_instruction.values()], resamples, seed)
        assert found is not None
        return {"margin": found.mean, "low": found.low, "high": found.high}

    return {
        "pairs": len(pairs),
        "instructions": len({pair.id for pair in pairs}),
        "before": _rounded(margins(before)),
        "after": _rounded(
            margins(after)
            | {
                "chosen_reward": fmean(reward.chosen for reward in after),
                "rejected_reward": fmean(reward.rejected for reward in after),
                "accuracy": fmean(reward.margin > 0 for reward in after),
            }
        ),
        "margins": [round(reward.margin, 4) for reward in after],
    }


def _rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, 4) + 0.0 for name, number in numbers.items()}  # no -0.0
