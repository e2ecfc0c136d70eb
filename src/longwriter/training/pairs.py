"""Preference pairs from the SFT model's own samples.

Source: LongWriter (arXiv 2408.07055), section 4.2: of 4 samples the best is chosen, and one of the
others at random is rejected.
"""

import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from longwriter.chat.calls import all_at_once
from longwriter.chat.client import ChatClient
from longwriter.evaluation.length import length_score
from longwriter.records import Candidate, Instruction, Message, Pair, check_ids
from longwriter.text import count_words
from longwriter.training.settings import PairsSettings


@dataclass(frozen=True)
class Paired:
    """Pairs, and why the other instructions gave none."""

    pairs: list[Pair]
    without_pair: dict[str, int]


async def sample_candidates(
    client: ChatClient, instructions: list[Instruction], settings: PairsSettings
) -> list[Candidate]:
    """`samples` answers to every instruction, in order of instruction and sample.

    Raises:
        DataError: two instructions have the same id.
        CallError: a call failed for good; finished calls are in the cache.
    """

    async def one(instruction: Instruction, sample: int) -> Candidate:
        completion = await client.complete(
            [{"role": "user", "content": instruction.prompt}],
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            sample=sample,
        )
        words = count_words(completion.text)
        return Candidate(
            id=instruction.id,
            prompt=instruction.prompt,
            length=instruction.length,
            sample=sample,
            response=completion.text,
            response_length=words,
            finish_reason=completion.finish_reason,
            score=length_score(instruction.length, words) if instruction.length else None,
        )

    check_ids(instructions)
    jobs = [one(i, sample) for i in instructions for sample in range(settings.samples)]
    return await all_at_once(jobs, "candidates")


def build_pairs(candidates: list[Candidate], seed: int) -> Paired:
    """The best candidate of each instruction against a random other with a lower score.

    An answer that was cut off by max_tokens can be rejected but never chosen: it has no end. An
    unscored candidate is in no pair. Between equal scores the lower sample index is the best.
    """
    pairs, without = [], Counter[str]()
    groups: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.id, []).append(candidate)
    for name, group in groups.items():
        scored = [c for c in group if c.score is not None and c.response.strip()]
        whole = [c for c in scored if c.finish_reason == "stop"]
        if not whole:
            without["no scored answer that ends by itself" if scored else "no scored answer"] += 1
            continue
        best = max(whole, key=lambda c: (c.score, -c.sample))
        worse = [c for c in scored if _score(c) < _score(best)]
        if not worse:
            without["no answer scores lower than the best"] += 1
            continue
        pairs.append(_pair(best, random.Random(f"{seed} {name}").choice(worse)))  # noqa: S311
    return Paired(pairs, dict(without))


def _score(candidate: Candidate) -> float:
    assert candidate.score is not None
    return candidate.score


def _pair(best: Candidate, other: Candidate) -> Pair:
    return Pair(
        prompt=[Message(role="user", content=best.prompt)],
        chosen=[Message(role="assistant", content=best.response)],
        rejected=[Message(role="assistant", content=other.response)],
        chosen_score=_score(best),
        rejected_score=_score(other),
        id=best.id,
        chosen_sample=best.sample,
        rejected_sample=other.sample,
        chosen_length=best.response_length,
        rejected_length=other.response_length,
    )


def describe(candidates: list[Candidate], paired: Paired) -> dict[str, Any]:
    """Counts for metrics/pairs.json."""
    number = len(paired.pairs)
    return {
        "instructions": len({candidate.id for candidate in candidates}),
        "candidates": len(candidates),
        "cut_off": sum(candidate.finish_reason == "length" for candidate in candidates),
        "pairs": number,
        "without_pair": paired.without_pair,
        "chosen_score": round(sum(p.chosen_score for p in paired.pairs) / max(1, number), 4),
        "rejected_score": round(sum(p.rejected_score for p in paired.pairs) / max(1, number), 4),
    }
