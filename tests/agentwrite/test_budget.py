"""The limit of cost over repeated runs: never exceeded, and the money ends in whole texts."""

import asyncio
import hashlib
import json
import re
import sqlite3
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import PROMPTS, ChatServer, agentwrite_settings, completion

from longwriter.agentwrite.writer import Outcome, write_drafts
from longwriter.core.rows import Instruction

PLACES, RUNS = 64, 5
PRICES = {"price_prompt": 2.0, "price_completion": 8.0}
SETTINGS = agentwrite_settings(
    step_words=40, min_step_words=5, max_step_words=80, max_point_characters=100
)
INSTRUCTIONS = [
    Instruction(prompt=f"text{n}: write about tea.", id=f"text{n}", length=40 * (3 + n * 7 % 20))
    for n in range(100)
]


def teacher(tokens_per_word: float, refused: float) -> Any:
    """Plans as many steps as are asked for and writes as many words; counts tokens.

    Args:
        refused: share of paragraphs that are a refusal, so that another sample is paid for.
    """

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        messages = request["messages"]
        asked = messages[-1]["content"]
        if "response_format" in request:
            found = re.search(r"\nPlan (\d+) paragraph", messages[2]["content"])
            steps = int(found[1]) if found else 0
            rows = [{"main_point": f"Point {n} of it", "word_count": 40} for n in range(steps)]
            text = json.dumps({"plan": rows})
        else:
            found = re.search(r"about (\d+) words. Its point: (.*)$", asked)
            assert found
            seed = hashlib.sha256(f"{asked} {request['seed']}".encode()).hexdigest()
            stem = "".join(chr(97 + int(digit, 16)) for digit in seed[:8])
            text = " ".join(
                f"{stem}x{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(int(found[1]))
            )
            if int(seed[:4], 16) / 65536 < refused:
                text = "I'm sorry, but I can't help with that."
        body = completion(text)
        sent = sum(len(message["content"]) for message in messages)
        body["usage"] = {
            "prompt_tokens": sent // 4,
            "completion_tokens": round(len(text.split()) * tokens_per_word),
        }
        return body

    return answer


def payments(folder: Path) -> list[float]:
    database = sqlite3.connect(folder / "cache/calls.sqlite")
    rows = database.execute("SELECT cost_usd FROM payments").fetchall()
    database.close()
    return [row[0] for row in rows]


@pytest.mark.parametrize(
    ("tokens_per_word", "refused", "share"),
    [
        pytest.param(1.3, 0.0, 0.4, id="as estimated"),
        pytest.param(1.3, 0.15, 0.4, id="with samples that are paid for twice"),
        pytest.param(5.0, 0.0, 0.3, id="far dearer than estimated"),
        pytest.param(1.3, 0.0, 0.05, id="money for a few texts"),
    ],
)
def test_the_limit_holds_over_repeated_runs_and_the_money_is_in_whole_texts(
    chat_server: Any,
    open_client: Any,
    tmp_path: Path,
    tokens_per_word: float,
    refused: float,
    share: float,
) -> None:
    server: ChatServer = chat_server(teacher(tokens_per_word, refused))

    def run(max_cost: float | None) -> Outcome:
        async def work() -> Outcome:
            async with open_client(
                server, max_cost=max_cost, concurrency=PLACES, max_tokens=4096, **PRICES
            ) as client:
                return await write_drafts(client, INSTRUCTIONS, SETTINGS, PROMPTS)

        return asyncio.run(work())

    # What all texts would cost, from the prices and an average text: found by writing them once.
    everything = _whole_cost(tokens_per_word)
    limit = share * everything
    outcomes = [run(limit) for _ in range(RUNS)]
    paid = payments(tmp_path)
    assert sum(paid) <= limit + max(paid)
    whole = sum(draft.usage.cost_usd for draft in outcomes[-1].drafts)
    print(f"${sum(paid):.4f} of ${limit:.4f}, ${whole:.4f} in {len(outcomes[-1].drafts)} drafts")
    assert whole >= 0.9 * sum(paid)
    assert sum(paid) >= 0.7 * limit
    assert {failure.error for failure in outcomes[-1].failures} <= {"OverBudget", "BadCompletion"}
    # What was written stays written.
    for earlier, later in pairwise(outcomes):
        assert {draft.id for draft in earlier.drafts} <= {draft.id for draft in later.drafts}


def _whole_cost(tokens_per_word: float) -> float:
    """US dollars of all texts, roughly: a text of n words in steps of 40 sends n² / 80 words in all."""
    words = [instruction.length or 0 for instruction in INSTRUCTIONS]
    completion_tokens = sum(words) * (tokens_per_word + 0.1)
    prompt_tokens = sum(n * n / 80 * 13 / 4 + n / 40 * 200 for n in words)
    return (completion_tokens * 8 + prompt_tokens * 2) / 1e6
