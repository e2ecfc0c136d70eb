"""A plan before the text, in one answer: written into training rows, and taken off again where the
text alone counts.

Source: LongWriter (arXiv 2408.07055), section 4.3, trains with and without it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

START, END = "<plan>\n", "\n</plan>\n\n"


class PlannedAnswer(NamedTuple):
    """An answer taken apart."""

    plan: str
    """Empty where the answer has none."""
    text: str


def render_plan(steps: Sequence[Mapping[str, Any]]) -> str:
    """Returns the plan of a draft as it stands before its text; empty where there are no steps."""
    lines = [
        f"{number}. {step['main_point']} ({step['word_count']} words)"
        for number, step in enumerate(steps, start=1)
    ]
    return START + "\n".join(lines) + END if lines else ""


def split_plan(answer: str) -> PlannedAnswer:
    """Returns plan and text of an answer. One that ends within its plan has no text."""
    if not answer.startswith(START):
        return PlannedAnswer("", answer)
    plan, _, text = answer.removeprefix(START).partition(END.rstrip())
    return PlannedAnswer(plan.strip(), text.lstrip("\n"))
