import asyncio
import json
import random
from typing import Any

import pytest
from loopback import completion

from longwriter.agentwrite.plan import make_plan, plan_schema, read_plan, rescale, steps_wanted
from longwriter.agentwrite.prompts import plan_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.client import Completion
from longwriter.errors import BadCompletion
from longwriter.records import Instruction, Step, Usage

PAPER = AgentWriteSettings(
    instructions=None,
    limit=None,
    step_words=500,
    min_step_words=200,
    max_step_words=1000,
    max_steps=50,
    max_point_characters=400,
    tokens_per_word=2.0,
    slack=2.0,
    stop=["\n\n"],
    min_step_share=0.2,
    min_text_share=0.0,
    max_step_repetition=0.2,
    attempts=3,
)


def steps(*word_counts: int) -> list[Step]:
    return [Step(main_point=f"point {i}", word_count=n) for i, n in enumerate(word_counts)]


def answer(value: Any, finish_reason: str = "stop") -> Completion:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return Completion(text, finish_reason, 0, 0, 0)


@pytest.mark.parametrize(
    ("length", "wanted"),
    [
        (50, 1),  # less than a smallest step is still one step
        (300, 1),
        (740, 1),  # 740 / 500 = 1.48
        (760, 2),
        (1000, 2),
        (10_000, 20),
        (25_000, 50),
        (30_000, 50),  # 60 would be more than max_steps
    ],
)
def test_steps_wanted(length: int, wanted: int) -> None:
    assert steps_wanted(length, PAPER) == wanted


def test_the_largest_step_goes_before_the_step_to_aim_for() -> None:
    settings = AgentWriteSettings(**vars(PAPER) | {"step_words": 900})
    assert steps_wanted(1000, settings) == 1
    assert steps_wanted(1001, settings) == 2  # 1001 / 900 is nearer to 1


def test_no_step_leaves_its_bounds() -> None:
    for length in range(200, 50_001, 7):
        wanted = steps_wanted(length, PAPER)
        assert 200 <= length / wanted <= 1000
        assert wanted <= 50


def test_the_schema_asks_for_the_steps_wanted() -> None:
    step = {
        "type": "object",
        "properties": {
            "main_point": {"type": "string", "minLength": 10, "maxLength": 400},
            "word_count": {"type": "integer", "minimum": 200, "maximum": 1000},
        },
        "required": ["main_point", "word_count"],
        "additionalProperties": False,
    }
    plan = {"type": "array", "items": step, "minItems": 7, "maxItems": 7}
    assert plan_schema(7, PAPER) == {
        "type": "object",
        "properties": {"plan": plan},
        "required": ["plan"],
        "additionalProperties": False,
    }
    free = plan_schema(None, PAPER)["properties"]["plan"]
    assert (free["minItems"], free["maxItems"]) == (1, 50)


@pytest.mark.parametrize(
    ("budgets", "length", "expected"),
    [
        ((200, 200, 200), 600, [200, 200, 200]),
        ((80, 40, 80), 100, [40, 20, 40]),
        ((1, 1, 1), 100, [33, 34, 33]),  # up to step 1, 2, 3: 33.3, 66.7, 100
        ((7,), 500, [500]),
        ((300, 100), 1000, [750, 250]),
        ((1, 1000), 10, [1, 9]),  # 0.01 of a word is one
    ],
)
def test_rescale(budgets: tuple[int, ...], length: int, expected: list[int]) -> None:
    assert [step.word_count for step in rescale(steps(*budgets), length)] == expected


def test_rescale_adds_up_and_keeps_proportions() -> None:
    draw = random.Random(1)
    for _ in range(500):
        length = draw.randint(200, 50_000)
        number = steps_wanted(length, PAPER)
        plan = steps(*(draw.randint(200, 1000) for _ in range(number)))
        scaled = rescale(plan, length)
        assert sum(step.word_count for step in scaled) == length
        assert [step.main_point for step in scaled] == [step.main_point for step in plan]
        factor = length / sum(step.word_count for step in plan)
        for before, after in zip(plan, scaled, strict=True):
            assert abs(after.word_count - before.word_count * factor) <= 1


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "Here is the plan:\n{}\nEnjoy!"])
def test_read_plan(form: str) -> None:
    plan = [{"main_point": "开头 one", "word_count": 70}, {"main_point": "End", "word_count": 50}]
    text = form.replace("{}", json.dumps({"plan": plan}, ensure_ascii=False))
    read, fault = read_plan(answer(text), 2, PAPER)
    assert [step.model_dump() for step in read] == plan
    assert fault == ""


A, B = {"main_point": "Alpha", "word_count": 9}, {"main_point": "Beta", "word_count": 9}
NOT_JSON = "not the JSON asked for: "


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (answer({"plan": [A, B]}, "length"), "cut off by max_tokens"),
        (answer(""), NOT_JSON + '""'),
        (answer("1. Alpha 第一 2. Beta"), NOT_JSON + '"1. Alpha 第一 2. Beta"'),
        (answer("x" * 99), NOT_JSON + '"' + "x" * 80 + '"'),
        (answer('{"plan": [{"main_point": "Al'), NOT_JSON + '"{\\"plan\\": [{\\"main_point\\": \\"Al"'),
        (answer({"steps": []}), NOT_JSON + '"{\\"steps\\": []}"'),
        (answer({"plan": 2}), NOT_JSON + '"{\\"plan\\": 2}"'),
        (answer({"plan": "ab"}), NOT_JSON + '"{\\"plan\\": \\"ab\\"}"'),
        (answer({"plan": ["a"]}), NOT_JSON + '"{\\"plan\\": [\\"a\\"]}"'),
        (answer({"plan": []}), "0 steps"),
        (answer({"plan": [A | {"main_point": f"{i}"} for i in range(51)]}), "51 steps"),
        (answer({"plan": [A, B, A | {"main_point": " alpha\n"}]}), "a main point stands twice"),
    ],
)  # fmt: skip
def test_read_plan_refuses(given: Completion, fault: str) -> None:
    assert read_plan(given, None, PAPER) == ([], fault)


@pytest.mark.parametrize(
    "step",
    [{"main_point": "Alpha"}, {"word_count": 9}, A | {"word_count": 0}, A | {"main_point": " "}],
)
def test_read_plan_refuses_a_step_that_lacks_something(step: dict[str, Any]) -> None:
    given = answer({"plan": [B, step]})
    assert read_plan(given, None, PAPER) == ([], NOT_JSON + json.dumps(given.text[:80]))


@pytest.mark.parametrize(("length", "budgets"), [(900, [600, 300]), (None, [400, 200])])
def test_make_plan(
    chat_server: Any, open_client: Any, length: int | None, budgets: list[int]
) -> None:
    good = json.dumps({"plan": [A | {"word_count": 400}, B | {"word_count": 200}]})
    answers = {
        70_000: "I would write about alpha.",
        70_001: completion(good, "length"),
        70_002: good,
    }
    server = chat_server(lambda request: answers[request["seed"]])
    instruction, usage = Instruction(prompt="Write about alpha.", length=length), Usage()

    async def run() -> list[Step]:
        async with open_client(server, max_tokens=1024) as client:
            return await make_plan(client, instruction, PAPER, usage)

    assert [step.word_count for step in asyncio.run(run())] == budgets
    assert usage.calls == 3
    # 900 / 500 is near 2 steps; without a length up to max_steps
    number = 2 if length else 50
    for request in server.requests:
        assert request["messages"] == plan_messages(instruction, length and 2, 50)
        # 30 + 400 / 2 tokens a step, and no more than the server's settings allow
        assert request["max_tokens"] == min(60 + 230 * number, 1024)
        schema = request["response_format"]["json_schema"]["schema"]
        assert schema == plan_schema(2 if length else None, PAPER)


def test_a_plan_of_another_number_of_steps_is_refused() -> None:
    given = answer({"plan": [A, B]})
    assert read_plan(given, 2, PAPER)[1] == ""
    assert read_plan(given, 3, PAPER) == ([], "2 steps for 3")


def test_without_a_length_the_plan_is_asked_for_freely() -> None:
    asked = plan_messages(Instruction(prompt="Write about tea."), None, 50)[-1]["content"]
    assert "50 at most" in asked
    assert "3 paragraph(s)" in plan_messages(Instruction(prompt="p"), 3, 50)[-1]["content"]


def test_a_request_too_long_for_max_steps_is_not_asked_for(
    chat_server: Any, open_client: Any
) -> None:
    server = chat_server(lambda request: "never asked")
    long = Instruction(prompt="p", length=50_001)  # 51 steps of at most 1,000 words

    async def run() -> list[Step]:
        async with open_client(server) as client:
            return await make_plan(client, long, PAPER, Usage())

    with pytest.raises(BadCompletion, match=r"50001 words need 51 steps .*max_steps is 50; raise"):
        asyncio.run(run())
    assert server.requests == []


def test_no_usable_plan(chat_server: Any, open_client: Any) -> None:
    server = chat_server(lambda request: "no" if request["seed"] < 70_002 else "never")

    async def run() -> list[Step]:
        async with open_client(server) as client:
            return await make_plan(client, Instruction(prompt="p", length=900), PAPER, Usage())

    with pytest.raises(BadCompletion) as raised:
        asyncio.run(run())
    assert str(raised.value) == (
        'no usable plan in 3 samples; the last: not the JSON asked for: "never"'
    )
    assert len(server.requests) == 3
