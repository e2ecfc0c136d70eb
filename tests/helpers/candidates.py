"""Candidates without a model, and settings that pair them."""

from dataclasses import replace

from helpers.checkpoints import default_settings

from longwriter.core.rows import Candidate
from longwriter.preference.settings import Selection

RANDOM = replace(
    default_settings().pairs,
    seed=1,
    select=Selection.best_against_random,
    min_margin=0,
    max_pairs=1,
)


def group(name: str, *scores: float | None, cut: tuple[int, ...] = ()) -> list[Candidate]:
    """The samples of one instruction, those in `cut` ended by max_tokens."""
    return [
        Candidate(
            id=name,
            prompt=f"Write {name}.",
            length=None if score is None else 100,
            sample=sample,
            seed=70_000 + sample,
            response=f"{name} answer {sample}",
            response_length=3 + sample,
            finish_reason="length" if sample in cut else "stop",
            score=score,
        )
        for sample, score in enumerate(scores)
    ]
