"""No rule, no cleaning and no pattern takes more than linear time, whatever a text consists of.

A pattern with two gaps in a row takes quadratic time on a run of blanks, one with five the fifth power:
a signature behind ninety blanks once froze a stage for 40 seconds.
"""

import importlib
import json
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from helpers.checkpoints import default_settings

import longwriter.text
from longwriter.agentwrite import plan
from longwriter.agentwrite.instruction_rules import RULES as INSTRUCTION_RULES
from longwriter.core.rows import Instruction
from longwriter.dataset.row import Row
from longwriter.dataset.rules import RULES
from longwriter.evaluation.contamination import normalised
from longwriter.llm.answers import json_object
from longwriter.llm.faults import said_in
from longwriter.text.demands import demand_in
from longwriter.text.languages import prompt_language
from longwriter.text.plan_tags import split_plan
from longwriter.text.scaffolding import clean
from longwriter.text.thinking import split_thinking

UNITS = [
    *" \t\n\u200b\u00a0\u3000", *"1aA字一*#.,([<\"`|-_=…~$:：“🎉{、。", "a ", "1 ", "字，", "the ", "1,", "\n ",
    "five hundred ", "<think>", "(a ", "*a", "each ", "no more than ", "2 words ", "500字", "以内", "<|a", "```\n",
    "http://a", "| a |\n", "- a\n", "1. a\n", "Yours sincerely,\n", "Main Point: a ", "word count ",
    "the story continues ", "a@a", "Paragraph 1\n", "“a", "(continued)\n",
]  # fmt: skip
EDGES = [("Yours sincerely,\n", "Bob"), ("a ", "!")]
CHARACTERS, SECONDS = 4_000, 0.3
"""Of processor time of this thread. A text of 4,000 characters takes a millisecond to 100; quadratic time would
be seconds."""


def seconds_of(work: Callable[[], Any]) -> float:
    begun = time.thread_time()
    work()
    return time.thread_time() - begun


def assert_fast(work: Callable[[], Any], limit: float, what: str) -> None:
    """A second try: a collection of garbage in the middle of the first is not the work's."""
    seconds = seconds_of(work)
    if seconds >= limit:
        seconds = min(seconds, seconds_of(work))
    assert seconds < limit, f"{what}: {seconds:.1f} s"


def runs(length: int) -> Iterator[str]:
    """Texts that consist of one thing over and over, between harmless edges."""
    for unit in UNITS:
        for before, after in EDGES:
            yield before + (unit * (length // len(unit) + 1))[:length] + after


def rule_on(name: str) -> Callable[[str], Any]:
    """A rule of the filter, on a row with the text as the response and with the text as the prompt."""
    settings = default_settings().filter

    def work(text: str) -> None:
        for prompt, response in (("Write 500 words.", text), (text, "A few words.")):
            if prompt.strip() and response.strip():
                line = json.dumps({"prompt": prompt, "response": response}).encode()
                RULES[name](Row.read(line, "f:1", "s"), settings)

    return work


def instruction_rule_on(name: str) -> Callable[[str], Any]:
    rule, settings = INSTRUCTION_RULES[name], default_settings().agentwrite.select
    return lambda text: rule(Instruction.model_construct(prompt=text, language="en"), settings)


WORK: dict[str, Callable[[str], Any]] = {
    **{f"rule {name}": rule_on(name) for name in RULES},
    **{f"instruction rule {name}": instruction_rule_on(name) for name in INSTRUCTION_RULES},
    "a paragraph is cleaned": lambda text: clean(text, ["a point"]),
    "a length is read": demand_in,
    "a language is told": prompt_language,
    "a plan is read": lambda text: list(plan.steps_in_lines(text)),
    "a plan is split off": split_plan,
    "thinking is split off": split_thinking,
    "a prompt is compared": normalised,
    "an object is read": json_object,
    "an error is read": said_in,
}


@pytest.mark.parametrize("name", WORK)
def test_work_on_text_is_linear(name: str) -> None:
    for text in runs(CHARACTERS):
        assert_fast(partial(WORK[name], text), SECONDS, repr(text[:30]))


def patterns() -> dict[str, re.Pattern[str]]:
    """Every pattern of the package `text`."""
    modules = [
        importlib.import_module(f"longwriter.text.{module.name}")
        for module in pkgutil.iter_modules(longwriter.text.__path__)
    ]
    return {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str)
    }


def test_no_pattern_explodes_on_the_end_of_a_text() -> None:
    """Some are asked of 200 characters only, and may take a little more than linear time there."""
    found = patterns()
    assert len(found) > 80
    for name, pattern in found.items():
        for text in runs(200):
            short = re.sub(r"\s{3,}", "  ", text)
            assert_fast(partial(pattern.search, short), 0.1, f"{name} on {text[:30]!r}")
