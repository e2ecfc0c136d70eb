import asyncio
import json
import random
from typing import Any

import pytest
from helpers.loopback import PROMPTS, agentwrite_settings, completion

from longwriter.agentwrite.plan import (
    fit_budgets,
    make_plan,
    plan_schema,
    read_plan,
    rescale,
    steps_wanted,
)
from longwriter.agentwrite.prompts import plan_messages
from longwriter.core.errors import BadCompletion
from longwriter.core.rows import Instruction, Step
from longwriter.llm.budget import Account
from longwriter.llm.client import Completion
from longwriter.llm.settings import Structured

PAPER = agentwrite_settings()
EN, ZH = PROMPTS["en"], PROMPTS["zh"]


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
    settings = agentwrite_settings(step_words=900)
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
    ("budgets", "total", "bounds", "expected"),
    [
        ([200, 200, 200], 600, (1, 999), [200, 200, 200]),
        ([80, 40, 80], 100, (1, 999), [40, 20, 40]),
        ([1, 1, 1], 100, (1, 999), [33, 34, 33]),  # up to step 1, 2, 3: 33.3, 66.7, 100
        ([7], 500, (1, 999), [500]),
        ([300, 100], 1000, (1, 999), [750, 250]),
        ([1, 1000], 10, (1, 999), [1, 9]),  # 0.01 of a word is one
        (
            [100, 300],
            1000,
            (1, 600),
            [400, 600],
        ),  # 250 and 750; what is above 600 goes to the first
        ([10, 100, 100], 300, (50, 200), [50, 125, 125]),
        ([1, 1], 2000, (200, 1000), [1000, 1000]),
        ([5, 9], 400, (200, 1000), [200, 200]),
    ],
)
def test_rescale(
    budgets: list[int], total: int, bounds: tuple[int, int], expected: list[int]
) -> None:
    assert rescale(budgets, total, *bounds) == expected


def test_a_plan_adds_up_within_its_bounds() -> None:
    draw = random.Random(1)
    for _ in range(500):
        length = draw.randint(200, 40_000)
        number = draw.randint(max(1, -(-length // 2000)), 50)
        plan = steps(*(draw.randint(1, 3000) for _ in range(number)))
        fitted = fit_budgets(plan, length, EN, PAPER)
        assert sum(step.word_count for step in fitted) == length
        assert all(200 <= step.word_count <= 1000 for step in fitted)
        assert len(fitted) <= 50
        assert len({step.main_point for step in fitted}) == len(fitted)


def test_budgets_keep_their_proportions_where_none_is_outside() -> None:
    assert [step.word_count for step in fit_budgets(steps(200, 400, 300), 1800, EN, PAPER)] == [
        400,
        800,
        600,
    ]


def test_steps_too_large_are_split() -> None:
    # 2,600 words: 3 steps of at most 1,000; the second has most, so it gets the third part.
    fitted = fit_budgets(steps(300, 1000), 2600, EN, PAPER)
    assert [(step.main_point, step.word_count) for step in fitted] == [
        ("point 0", 600),
        ("point 1 (part 1 of 2)", 1000),
        ("point 1 (part 2 of 2)", 1000),
    ]
    (_, part, _) = fit_budgets([Step(main_point="点", word_count=9)] * 2, 2600, ZH, PAPER)
    assert part.main_point == "点（第2部分，共2部分）"


def test_steps_too_small_are_merged() -> None:
    # 600 words: 3 steps of at least 200; the pairs with fewest words become one.
    fitted = fit_budgets(steps(50, 60, 300, 10, 200), 600, EN, PAPER)
    assert [(step.main_point, step.word_count) for step in fitted] == [
        ("point 0 point 1", 200),
        ("point 2", 200),
        ("point 3 point 4", 200),
    ]
    assert [step.word_count for step in fit_budgets(steps(50, 60), 150, EN, PAPER)] == [150]


def test_without_a_length_the_teachers_own_sum_stands() -> None:
    assert [s.word_count for s in fit_budgets(steps(400, 800), None, EN, PAPER)] == [400, 800]
    assert [s.word_count for s in fit_budgets(steps(100, 500), None, EN, PAPER)] == [200, 400]


@pytest.mark.parametrize(
    ("plan", "length", "fault"),
    [
        (steps(500), 2001, "1 steps are too few for 2001 words: 3 at least"),
        (steps(*[2000] * 26), None, "52000 words in all, and 50 steps at most"),
    ],
)
def test_a_plan_that_cannot_be_fitted(plan: list[Step], length: int | None, fault: str) -> None:
    with pytest.raises(BadCompletion) as raised:
        fit_budgets(plan, length, EN, PAPER)
    assert str(raised.value) == fault


@pytest.mark.parametrize("form", ["{}", "```json\n{}\n```", "Here is the plan:\n{}\nEnjoy!"])
def test_read_plan(form: str) -> None:
    plan = [{"main_point": "开头 one", "word_count": 70}, {"main_point": "End", "word_count": 50}]
    text = form.replace("{}", json.dumps({"plan": plan}, ensure_ascii=False))
    assert [step.model_dump() for step in read_plan(answer(text))] == plan


LINES = [
    # the paper's form
    "Paragraph 1 - Main Point: How bees live. - Word Count: 300 words\n\n"
    "Paragraph 2 - Main Point: What they eat. - Word Count: 1,200 words",
    # bold, a preamble, a sum
    "Sure! Here is a plan of about two parts:\n\n**Paragraph 1** – **Main Point**: How bees live – "
    "**Word Count**: 300\n**Paragraph 2** – **Main Point**: What they eat – **Word Count**: ~1200 "
    "words\n\nTotal Word Count: 1500 words",
    # several lines a step
    "### Paragraph 1\n- Main Point: How bees live.\n- Word Count: 200-400 words\n\n### Paragraph 2\n"
    "- Main Point: What they eat.\n- Word Count: 1,000 – 1,400 words",
    # numbers, words in brackets
    "1. How bees live (300 words)\n2. What they eat (about 1200 words)",
    "1) How bees live: 200 to 400 words\n2) What they eat: approximately 1,200 words.",
    # no numbering
    "- How bees live | 300 words\n- What they eat | 1200 words",
    # full-width marks
    "Paragraph 1：Main Point：How bees live；Word Count：300\n"
    "Paragraph 2：Main Point：What they eat；Word Count：1，200",
    # a number of words inside a main point
    "Paragraph 1 - Main Point: How bees live - Word Count: 300\n"
    "Step 2 - Main Point: What they eat - word_count = 1200",
]
CHINESE = [
    "段落1 - 要点：蜜蜂怎样生活 - 字数：300字\n段落2 - 要点：它们吃什么 - 字数：1200字",
    "好的，计划如下：\n**第一段** 要点：蜜蜂怎样生活。字数：约300字\n**第二段** 要点：它们吃什么。字数：1000至1400字\n"
    "总字数：1500字",
    "1、蜜蜂怎样生活（300字左右）\n2、它们吃什么（1，200字）",
    "第1段：蜜蜂怎样生活（约300个字）\n第2段：它们吃什么（约1200个字）\n全文共1500字",
]


@pytest.mark.parametrize("text", LINES)
def test_lines_are_read(text: str) -> None:
    read = [(step.main_point.rstrip("."), step.word_count) for step in read_plan(answer(text))]
    assert read == [("How bees live", 300), ("What they eat", 1200)]


@pytest.mark.parametrize("text", CHINESE)
def test_chinese_lines_are_read(text: str) -> None:
    read = [(step.main_point.rstrip("。"), step.word_count) for step in read_plan(answer(text))]
    assert read == [("蜜蜂怎样生活", 300), ("它们吃什么", 1200)]


def test_steps_with_the_same_main_point_are_one() -> None:
    again = answer({"plan": [A, B, A | {"main_point": " alpha\n"}]})
    assert [step.model_dump() for step in read_plan(again)] == [A | {"word_count": 18}, B]


def test_a_number_of_words_in_a_main_point_is_no_budget() -> None:
    text = "Paragraph 1 - Main Point: Cut the 900 words of the abstract - Word Count: 250 words"
    assert [(s.main_point, s.word_count) for s in read_plan(answer(text))] == [
        ("Cut the 900 words of the abstract", 250)
    ]


A, B = {"main_point": "Alpha", "word_count": 9}, {"main_point": "Beta", "word_count": 9}


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        (answer({"plan": [A, B]}, "length"), "cut off by max_tokens"),
        (answer(""), "no plan: ''"),
        (answer("1. Alpha 第一 2. Beta"), "no plan: '1. Alpha 第一 2. Beta'"),
        (answer("x" * 99), f"no plan: '{'x' * 80}'"),
        (answer("I'm sorry, but I can't help with that."), "it refuses: \"I'm sorry, but I can't\""),
        (answer({"steps": []}), "no plan: '{\"steps\": []}'"),
        (answer({"plan": 2}), "no plan: '{\"plan\": 2}'"),
        (answer({"plan": "ab"}), "no plan: '{\"plan\": \"ab\"}'"),
        (answer({"plan": ["a"]}), "no plan: '{\"plan\": [\"a\"]}'"),
        (answer({"plan": []}), "no plan: '{\"plan\": []}'"),
        (answer("1. Alpha: 300 words\n2. (300 words)"), "step 2 has no main point"),
    ],
)  # fmt: skip
def test_read_plan_refuses(given: Completion, fault: str) -> None:
    with pytest.raises(BadCompletion) as raised:
        read_plan(given)
    assert str(raised.value) == fault


@pytest.mark.parametrize(
    "step",
    [{"main_point": "Alpha"}, {"word_count": 9}, A | {"word_count": 0}, A | {"main_point": " "}],
)
def test_read_plan_refuses_a_step_that_lacks_something(step: dict[str, Any]) -> None:
    with pytest.raises(BadCompletion, match="no plan"):
        read_plan(answer({"plan": [B, step]}))


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
    instruction, account = Instruction(prompt="Write about alpha.", length=length), Account()

    async def run() -> list[Step]:
        async with open_client(server, max_tokens=1024) as client:
            return await make_plan(client, instruction, PAPER, EN, account)

    assert [step.word_count for step in asyncio.run(run())] == budgets
    assert account.usage.calls == 3
    # 900 / 500 is near 2 steps; without a length up to max_steps
    number = 2 if length else 50
    asked = plan_messages(instruction, length and 2, 50, False, EN)
    assert [request["messages"][:3] for request in server.requests] == [asked] * 3
    # What was wrong with the answer before goes back with it.
    again = [request["messages"][3:] for request in server.requests]
    assert again[0] == []
    assert [message["content"] for message in again[1]] == [
        "I would write about alpha.",
        "This plan cannot be used: no plan: 'I would write about alpha.'. Write the whole plan "
        "again without this fault, in the same form.",
    ]
    assert [message["role"] for message in again[2]] == ["assistant", "user"]
    assert "cut off by max_tokens" in again[2][1]["content"]
    for request in server.requests:
        # 30 + 400 / 2 tokens a step, and no more than the server's settings allow
        assert request["max_tokens"] == min(60 + 230 * number, 1024)
        # Without the bounds, which strict servers refuse.
        schema = request["response_format"]["json_schema"]["schema"]
        assert schema == {
            "type": "object",
            "properties": {
                "plan": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "main_point": {"type": "string"},
                            "word_count": {"type": "integer"},
                        },
                        "required": ["main_point", "word_count"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["plan"],
            "additionalProperties": False,
        }


def test_without_a_length_the_plan_is_asked_for_freely() -> None:
    asked = plan_messages(Instruction(prompt="Write about tea."), None, 50, False, EN)[-1][
        "content"
    ]
    assert "50 at most" in asked
    assert (
        "3 paragraph(s)" in plan_messages(Instruction(prompt="p"), 3, 50, False, EN)[-1]["content"]
    )


def test_a_request_too_long_for_max_steps_is_not_asked_for(
    chat_server: Any, open_client: Any
) -> None:
    server = chat_server(lambda request: "never asked")
    long = Instruction(prompt="p", length=50_001)  # 51 steps of at most 1,000 words

    async def run() -> list[Step]:
        async with open_client(server) as client:
            return await make_plan(client, long, PAPER, EN, Account())

    with pytest.raises(BadCompletion, match=r"50001 words need 51 steps .*max_steps is 50; raise"):
        asyncio.run(run())
    assert server.requests == []


def test_no_usable_plan(chat_server: Any, open_client: Any) -> None:
    server = chat_server(lambda request: "no" if request["seed"] < 70_002 else "never")

    async def run() -> list[Step]:
        async with open_client(server) as client:
            return await make_plan(
                client, Instruction(prompt="p", length=900), PAPER, EN, Account()
            )

    with pytest.raises(BadCompletion) as raised:
        asyncio.run(run())
    assert str(raised.value) == ("no usable plan in 3 samples; the last: no plan: 'never'")
    assert len(server.requests) == 3


def test_a_main_point_that_is_too_long_goes_back(chat_server: Any, open_client: Any) -> None:
    long = json.dumps({"plan": [{"main_point": "x" * 401, "word_count": 900}]})
    good = json.dumps({"plan": [{"main_point": "y" * 400, "word_count": 900}]})
    answers = iter([long, good])
    server = chat_server(lambda request: next(answers))

    async def run() -> list[Step]:
        async with open_client(server) as client:
            instruction = Instruction(prompt="p", length=900)
            return await make_plan(client, instruction, PAPER, EN, Account())

    plan = asyncio.run(run())
    assert "".join(step.main_point[0] for step in plan) == "y" * len(plan)
    fault = "the main point of step 1 has 401 characters, 400 at most"
    assert fault in server.requests[1]["messages"][-1]["content"]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_server_without_schemas_is_asked_for_lines(
    chat_server: Any, open_client: Any, language: str
) -> None:
    text = LINES[0] if language == "en" else CHINESE[0]
    server = chat_server(lambda request: text)
    instruction = Instruction(prompt="Bees.", length=1500, language=language)

    async def run() -> list[Step]:
        async with open_client(server, structured=Structured.text, max_tokens=2048) as client:
            return await make_plan(client, instruction, PAPER, EN, Account())

    assert [step.word_count for step in asyncio.run(run())] == [500, 1000]
    (request,) = server.requests
    assert "response_format" not in request
    # The worked example has the form that is asked for, and is read as a plan itself.
    example = read_plan(answer(request["messages"][1]["content"]))
    assert [step.word_count for step in example] == [70, 80, 50]
