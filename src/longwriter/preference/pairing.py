"""Preference pairs from the SFT model's own samples.

Source: LongWriter (arXiv 2408.07055), section 4.2: of 4 samples the best is chosen, and one of the
others, picked at random, is rejected. Its code and data were not released.
"""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from math import floor
from typing import NamedTuple

from longwriter.core.rows import Candidate, Message, Pair
from longwriter.preference.settings import PairsSettings, Selection


@dataclass(frozen=True)
class PairingResult:
    """The pairs, and the reasons why other instructions yielded none."""

    pairs: list[Pair]
    without_pair: dict[str, int]


class _Two(NamedTuple):
    chosen: Candidate
    rejected: Candidate

    @property
    def margin(self) -> float:
        return _score(self.chosen) - _score(self.rejected)


def build_pairs(
    candidates: list[Candidate], settings: PairsSettings, checkpoint: str = ""
) -> PairingResult:
    """Pairs each instruction's candidates according to `settings.select`, up to `max_pairs` pairs.

    An answer that was cut off by max_tokens has no ending, so it can be rejected but never chosen.
    Unscored and empty candidates are in no pair. On equal scores the lower sample index counts as
    the best. The pairs of one instruction do not depend on other instructions.

    Args:
        candidates: scored candidates, in any order.
        checkpoint: SHA-256 of the weights of the model that wrote the candidates.
    """
    pairs, without = [], Counter[str]()
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.id, []).append(candidate)
    for name, group in groups.items():
        found = _select(group, settings, random.Random(f"{settings.seed} {name}"))  # noqa: S311
        if isinstance(found, str):
            without[found] += 1
        else:
            pairs += [_pair(two, checkpoint) for two in found]
    return PairingResult(pairs, dict(without))


def _select(
    group: list[Candidate], settings: PairsSettings, rng: random.Random
) -> list[_Two] | str:
    """Returns the pairs of one instruction, or the reason why there are none."""
    scored = [c for c in group if c.score is not None and c.response.strip()]
    whole = [c for c in scored if c.finish_reason == "stop"]
    if not whole:
        return "no scored answer that ends by itself" if scored else "no scored answer"
    if len(scored) == 1:
        return "only one scored answer"
    best = max(whole, key=lambda c: (_score(c), -c.sample))
    everything = settings.select is Selection.above_margin
    above = [
        _Two(one, other) for one in (whole if everything else [best]) for other in scored
        if _score(other) < _score(one)
    ]  # fmt: skip
    if not above:
        return "no answer scores lower than the best"
    wide = [two for two in above if two.margin >= settings.min_margin]
    if not wide:
        return "no margin of min_margin"
    if settings.select is Selection.best_against_random:
        return rng.sample(wide, min(settings.max_pairs, len(wide)))
    wide.sort(key=lambda two: (-two.margin, two.chosen.sample, two.rejected.sample))
    return wide[: settings.max_pairs]


def _score(candidate: Candidate) -> float:
    assert candidate.score is not None
    return candidate.score


def _pair(two: _Two, checkpoint: str) -> Pair:
    chosen, rejected = two
    return Pair(
        prompt=[Message(role="user", content=chosen.prompt)],
        chosen=[Message(role="assistant", content=chosen.response)],
        rejected=[Message(role="assistant", content=rejected.response)],
        id=chosen.id,
        source="candidates",
        length=chosen.length,
        chosen_score=_score(chosen),
        rejected_score=_score(rejected),
        chosen_sample=chosen.sample,
        rejected_sample=rejected.sample,
        chosen_seed=chosen.seed,
        rejected_seed=rejected.seed,
        chosen_length=chosen.response_length,
        rejected_length=rejected.response_length,
        rejected_cut=rejected.finish_reason != "stop",
        checkpoint=checkpoint,
    )


def split_validation(
    pairs: list[Pair], fraction: float, seed: int
) -> tuple[list[Pair], list[Pair]]:
    """Splits pairs into training and validation pairs, which share no instruction.

    Validation instructions are chosen by a hash of id and seed, so adding an instruction changes
    the assignment of few others.

    Args:
        fraction: share of the instructions to set aside for validation, below 1; the number is
            rounded down.

    Returns:
        Training pairs and validation pairs.
    """
    names = list(dict.fromkeys(pair.id for pair in pairs))
    names.sort(key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).hexdigest())
    chosen = set(names[: floor(fraction * len(names))])
    train = [pair for pair in pairs if pair.id not in chosen]
    return train, [pair for pair in pairs if pair.id in chosen]
