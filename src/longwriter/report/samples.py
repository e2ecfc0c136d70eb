"""Sample outputs for the page: ten requests with every model's answer and what is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from longwriter.core.rows import Judgement
from longwriter.evaluation.health import health, marks

SAMPLES = 10
"""Requests whose answers the page shows."""

SAMPLE_CHARACTERS = 6000
"""Characters of a sample output that the page shows."""


class Sample(NamedTuple):
    """One model's answer; `text` may be cut, `rest` counts the characters left out."""

    model: str
    words: int
    score: float
    marks: list[str]
    """What is wrong with it, as far as it can be counted."""
    text: str
    rest: int


class Request(NamedTuple):
    """A benchmark prompt and what each model wrote."""

    prompt: str
    length: int
    samples: list[Sample]


def pick_samples(judgements: Mapping[str, Sequence[Judgement]]) -> list[Request]:
    """Returns what every model wrote for SAMPLES requests, evenly spread from the shortest to the
    longest."""
    answers = {model: {row.prompt: row for row in rows} for model, rows in judgements.items()}
    first, *others = answers.values()
    shared = [row for prompt, row in first.items() if all(prompt in other for other in others)]
    shared.sort(key=lambda row: row.length)
    last, steps = len(shared) - 1, min(SAMPLES, len(shared)) - 1
    chosen = sorted({round(last * step / max(steps, 1)) for step in range(steps + 1)})
    return [
        Request(
            shared[index].prompt,
            shared[index].length,
            [_sample(model, rows[shared[index].prompt]) for model, rows in answers.items()],
        )
        for index in chosen
    ]


def _sample(model: str, row: Judgement) -> Sample:
    return Sample(
        model,
        row.response_length,
        row.length_score,
        ["cut off"] * (row.finish_reason == "length") + marks(health(row)),
        row.response[:SAMPLE_CHARACTERS],
        max(len(row.response) - SAMPLE_CHARACTERS, 0),
    )
