"""Sample texts for the report page.

Every benchmark prompt with each model's answer and its visible faults, and up to EXAMPLES drafts
that each filter rule rejected.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from longwriter.core.rows import Judgement, RejectedRow
from longwriter.evaluation.health import health, marks

SAMPLE_CHARACTERS = 100_000
"""Maximum characters of an answer that the page shows."""

EXAMPLES = 10
"""Maximum number of rejected drafts per rule that the page shows."""

EXAMPLE_CHARACTERS = 300
"""Characters shown of a rejected draft's beginning, of its end, and of its prompt."""


class Sample(NamedTuple):
    """One model's answer. `text` may be truncated; `rest` counts the characters left out."""

    model: str
    words: int
    score: float
    marks: list[str]
    """Faults that can be detected by counting, such as "loops" or "cut off"."""
    text: str
    rest: int


class Request(NamedTuple):
    """A benchmark prompt and what each model wrote."""

    prompt: str
    length: int
    samples: list[Sample]

    @property
    def marks(self) -> list[str]:
        """Marks that at least one of its answers has."""
        return sorted({mark for sample in self.samples for mark in sample.marks})


def pick_samples(judgements: Mapping[str, Sequence[Judgement]]) -> list[Request]:
    """Returns the prompts that every model answered, with the answers, by required length."""
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
    """A rejected draft; the middle of a long text is left out."""

    id: str
    detail: str
    prompt: str
    text: str


class Rejections(NamedTuple):
    """How many drafts a filter rule rejected, with examples."""

    rule: str
    number: int
    examples: list[Example]


def pick_rejected(rows: Iterable[RejectedRow]) -> list[Rejections]:
    """Returns the first EXAMPLES rejected drafts of each rule, the most frequent rule first."""
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
