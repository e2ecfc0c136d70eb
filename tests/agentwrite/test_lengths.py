"""Texts are as long as was asked for, whatever the teacher makes of its budgets."""

import asyncio
import json
import random
import re
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from helpers.loopback import PROMPTS, ChatServer, agentwrite_settings

from longwriter.agentwrite.writer import write_drafts
from longwriter.core.rows import Draft, Instruction
from longwriter.llm.settings import Structured
from longwriter.text.lengths import length_score

PAPER = agentwrite_settings(min_text_share=0.5)


def teacher(seed: int, lowest: float, highest: float) -> Callable[[dict[str, Any]], str]:
    """Plans with budgets of 200 to 1,000 words that add up to anything; writes between `lowest` and
    `highest` times the words it is asked for, no word of them twice."""
    luck, words = random.Random(seed), count()

    def answer(request: dict[str, Any]) -> str:
        asked = str(request["messages"][-1]["content"])
        if found := re.search(r"Plan (\d+) paragraph", asked):
            steps = range(1, int(found[1]) + 1)
            budgets = [(f"What part {step} tells.", luck.randint(200, 1000)) for step in steps]
            if "response_format" in request:
                rows = [{"main_point": point, "word_count": number} for point, number in budgets]
                return json.dumps({"plan": rows})
            return "\n".join(
                f"Paragraph {step} - Main Point: {point} - Word Count: {number} words"
                for step, (point, number) in zip(steps, budgets, strict=True)
            )
        found = re.search(r"about (\d+) words\. Its point: ", asked)
        assert found is not None
        number = round(int(found[1]) * luck.uniform(lowest, highest))
        return " ".join(letters(next(words)) for _ in range(number))

    return answer


def letters(number: int) -> str:
    """A word for each number."""
    return "".join(chr(97 + int(digit)) for digit in str(number))


@pytest.fixture
def score(chat_server: Any, open_client: Any) -> Callable[..., float]:
    """S_l of one text of so many words."""

    def run(length: int, answer: Callable[[dict[str, Any]], str], structured: Structured) -> float:
        server: ChatServer = chat_server(answer)
        instruction = Instruction(prompt=f"Write {length} words about tea.", length=length)

        async def work() -> Draft:
            async with open_client(
                server, structured=structured, max_tokens=8192, context=131_072
            ) as client:
                outcome = await write_drafts(client, [instruction], PAPER, PROMPTS)
                assert not outcome.failures
                return outcome.drafts[0]

        draft = asyncio.run(work())
        assert draft.hidden_words == 0
        return length_score(length, draft.response_length)

    return run


@pytest.mark.parametrize("structured", list(Structured))
@pytest.mark.parametrize("length", [500, 2_000, 8_000, 16_000, 30_000])
def test_a_teacher_that_is_off_by_15_percent(
    score: Any, length: int, structured: Structured
) -> None:
    assert score(length, teacher(length, 0.85, 1.15), structured) >= 95


@pytest.mark.parametrize("share", [0.85, 1.15])
@pytest.mark.parametrize("length", [2_000, 16_000])
def test_a_teacher_that_is_always_off(score: Any, length: int, share: float) -> None:
    assert score(length, teacher(1, share, share), Structured.json_schema) >= 95


@pytest.mark.parametrize("structured", list(Structured))
def test_a_teacher_that_writes_40_percent_short(score: Any, structured: Structured) -> None:
    assert score(16_000, teacher(1, 0.6, 0.6), structured) >= 85
