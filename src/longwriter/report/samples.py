"""Texts for the page: every request with every model's answer and what is wrong with it, and of each rule of
the filter ten drafts that it rejected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.core.rows import Judgement, RejectedRow
from longwriter.evaluation.health import health, marks

SAMPLE_CHARACTERS = 100_000
"""Characters of an answer that the page shows."""

EXAMPLES = 10
"""Rejected drafts of each rule that the page shows."""

EXAMPLE_CHARACTERS = 300
"""Characters of a rejected draft's beginning, and of its end, that the page shows."""


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

    @property
    def marks(self) -> list[str]:
        """Those of any of its answers."""
        return sorted({mark for sample in self.samples for mark in sample.marks})


def pick_samples(judgements: Mapping[str, Sequence[Judgement]]) -> list[Request]:
    """Returns what every model wrote for each request that all answered, from the shortest to the longest."""
    answers = {model: {row.prompt: row for row in rows} for model, rows in judgements.items()}
    first, *others = answers.values()
    shared = [row for prompt, row in first.items() if all(prompt in other for other in others)]
    return [
        Request(
            row.prompt,
            row.length,
            [_sample(model, rows[row.prompt]) for model, rows in answers.items()],
        )
        for row in sorted(shared, key=lambda row: row.length)
    ]


class Example(NamedTuple):
    """A rejected draft, shortened in its middle."""

    id: str
    detail: str
    prompt: str
    text: str


class Rejections(NamedTuple):
    """What a rule of the filter rejected."""

    rule: str
    number: int
    examples: list[Example]


def pick_rejected(rows: Iterable[RejectedRow]) -> list[Rejections]:
    """Returns the first EXAMPLES rejected drafts of each rule, the rule that took most first."""
    found: dict[str, Rejections] = {}
    for row in rows:
        before = found.get(row.rule, Rejections(row.rule, 0, []))
        if len(before.examples) < EXAMPLES:
            before.examples.append(_example(row))
        found[row.rule] = before._replace(number=before.number + 1)
    return sorted(found.values(), key=lambda each: (-each.number, each.rule))


def _example(row: RejectedRow) -> Example:
    given = row.model_dump()
    messages = given.get("messages") or [{"content": given.get("prompt", "")}]
    text = str(given.get("response") or messages[-1]["content"])
    if len(text) > 2 * EXAMPLE_CHARACTERS:
        text = f"{text[:EXAMPLE_CHARACTERS]} […] {text[-EXAMPLE_CHARACTERS:]}"
    return Example(row.id, row.detail, str(messages[0]["content"])[:EXAMPLE_CHARACTERS], text)


def _sample(model: str, row: Judgement) -> Sample:
    return Sample(
        model,
        row.response_length,
        row.length_score,
        ["cut off"] * (row.finish_reason == "length") + marks(health(row)),
        row.response[:SAMPLE_CHARACTERS],
        max(len(row.response) - SAMPLE_CHARACTERS, 0),
    )
