"""Puts a plan before the text of an answer, and splits it off again.

It is written into training rows (`filter.plan`), and split off wherever only the text counts.

Source: LongWriter (arXiv 2408.07055), section 4.3, which trains with and without a plan.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

START, END = "<plan>\n", "\n</plan>\n\n"


class PlannedAnswer(NamedTuple):
    """An answer, split into its plan and its text."""

    plan: str
    """Empty if the answer has none."""
    text: str


def render_plan(steps: Sequence[Mapping[str, Any]]) -> str:
    """Returns a draft's plan in its tags, to go before the text; empty if there are no steps."""
    lines = [
        f"{number}. {step['main_point']} ({step['word_count']} words)"
        for number, step in enumerate(steps, start=1)
    ]
    return START + "\n".join(lines) + END if lines else ""


def split_plan(answer: str) -> PlannedAnswer:
    """Returns the plan and the text of an answer; no text if the answer ends within the plan."""
    if not answer.startswith(START):
        return PlannedAnswer("", answer)
    plan, _, text = answer.removeprefix(START).partition(END.rstrip())
    return PlannedAnswer(plan.strip(), text.lstrip("\n"))
