"""Short requests and their answers (stage `short_answers`), against a teacher on loopback."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from helpers.loopback import Answer, completion

from longwriter.agentwrite.settings import ShortAnswersSettings
from longwriter.agentwrite.short_answers import Answers, answer
from longwriter.core.errors import ServerError
from longwriter.core.rows import Instruction

TEA = Instruction(prompt="What is tea?", id="tea", type="fact", source="mine")
SEA = Instruction(prompt="海是什么？", id="sea", language="zh")


@pytest.fixture
def answers(chat_server: Any, open_client: Any) -> Callable[..., Answers]:
    """Asks a teacher that answers so; 12 words and three samples at most."""

    def run(teacher: Callable[[dict[str, Any]], Answer], *requests: Instruction) -> Answers:
        settings = ShortAnswersSettings(
            seed=7,
            instructions="",
            limit=None,
            max_words=12,
            max_tokens=30,
            attempts=3,
            max_failed=1.0,
            max_cost=None,
        )
        server = chat_server(teacher)

        async def ask() -> Answers:
            async with open_client(server) as client:
                return await answer(client, requests, settings)

        found = asyncio.run(ask())
        run.requests = server.requests  # type: ignore[attr-defined]
        return found

    return run


def test_an_answer_is_a_chat_row(answers: Any) -> None:
    found = answers(lambda request: " Dried leaves in hot water.\n", TEA)
    assert found.failures == []
    (row,) = found.rows
    assert row.model_dump() == {
        "messages": [
            {"role": "user", "content": "What is tea?"},
            {"role": "assistant", "content": "Dried leaves in hot water."},
        ],
        "id": "tea",
        "source": "mine",
        "length": None,
        "response_length": 5,
        "language": "en",
        "type": "fact",
        "writer": "m",
        "tokens": None,
    }
    assert answers.requests[0]["max_tokens"] == 30
    assert found.describe() == {
        "requests": 1,
        "answered": 1,
        "failures": 0,
        "failures_by_error": {},
        "failures_by_side": {},
        "words": 5,
    }


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (completion("Dried leaves in", "length"), "cut off after 30 tokens"),
        ("Tea " * 13, "13 words instead of 1 to 12"),
        ("...", "0 words instead of 1 to 12"),
        ("As an AI model, I drink no tea.", "refuses: 'As an AI model'"),
    ],
)
def test_a_faulty_answer_is_sampled_again(answers: Any, fault: Answer, detail: str) -> None:
    samples = iter([fault, fault, "Dried leaves."])
    found = answers(lambda request: next(samples), TEA)
    assert [row.messages[-1].content for row in found.rows] == ["Dried leaves."]
    assert len({request["seed"] for request in answers.requests}) == 3

    never = answers(lambda request: fault, TEA.model_copy(update={"prompt": "And tea?"}))
    (failure,) = never.failures
    assert never.rows == []
    assert (failure.id, failure.step, failure.error) == ("tea", "answer", "BadCompletion")
    assert failure.detail == f"no usable answer in 3 samples; the last: {detail}"
    assert failure.attempts == 3


def test_one_failure_leaves_the_other_answers(answers: Any) -> None:
    def teacher(request: dict[str, Any]) -> Answer:
        return "海很大。" if "海" in request["messages"][0]["content"] else "..."

    found = answers(teacher, TEA, SEA)
    assert [(row.id, row.source, row.response_length) for row in found.rows] == [("sea", "own", 3)]
    assert found.describe() == {
        "requests": 2,
        "answered": 1,
        "failures": 1,
        "failures_by_error": {"BadCompletion": 1},
        "failures_by_side": {"teacher": 1},
        "words": 3,
    }


def test_a_server_that_refuses_every_call_ends_the_stage(answers: Any) -> None:
    with pytest.raises(ServerError):
        answers(lambda request: (401, b'{"error": {"message": "no key"}}'), TEA)
