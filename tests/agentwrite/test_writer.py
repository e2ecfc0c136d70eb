import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from helpers.loopback import PROMPTS, Answer, ChatServer, agentwrite_settings, completion

from longwriter.agentwrite.context import next_budget, window
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.agentwrite.writer import Outcome, describe, write_drafts
from longwriter.core.errors import DataError, ServerError
from longwriter.core.rows import Instruction, Step, Usage

SETTINGS = agentwrite_settings(
    step_words=30,
    min_step_words=5,
    max_step_words=60,
    max_steps=10,
    max_point_characters=100,
    slack=1.5,
    stop=["\n\n"],
    min_step_share=0.5,
)
PROMPT = "Write 100 words about bees."
INSTRUCTION = Instruction(prompt=PROMPT, id="bees", length=100)
POINTS = ("The hive wakes.", "The bees fly out.", "The night falls.")
OUTLINE = "The plan:\n1. The hive wakes.\n2. The bees fly out.\n3. The night falls.\n\n"


def words(number: int, name: str) -> str:
    """So many different words, none of which another name's words share."""
    return " ".join(name + chr(97 + i // 26) + chr(97 + i % 26) for i in range(number))


GOOD: dict[str, list[Answer]] = {
    POINTS[0]: [words(40, "x")],
    POINTS[1]: [words(20, "y")],
    POINTS[2]: [words(40, "z")],
}


def plan(*steps: tuple[str, int]) -> str:
    rows = [{"main_point": point, "word_count": number} for point, number in steps]
    return json.dumps({"plan": rows}, ensure_ascii=False)


PLAN = plan((POINTS[0], 80), (POINTS[1], 40), (POINTS[2], 80))  # 40, 20, 40 of 100 words


def teacher(
    paragraphs: dict[str, list[Answer]], plans: dict[str, Answer] | None = None
) -> Callable[[dict[str, Any]], Answer]:
    """A teacher whose n-th sample is the n-th answer listed for that prompt's plan or that main
    point; status 500 beyond."""

    def answer(request: dict[str, Any]) -> Answer:
        asked, sample = str(request["messages"][-1]["content"]), request["seed"] - 70_000
        if "response_format" in request:  # after the worked example; what was wrong may follow
            asked = str(request["messages"][2]["content"])
            return (plans or {PROMPT: PLAN})[asked.split("\n\n")[0]]
        point = asked.split("Its point: ")[-1].split("要点：")[-1]
        listed = paragraphs.get(point, [])
        return listed[sample] if sample < len(listed) else (500, b"the script has no more")

    return answer


@pytest.fixture
def write(open_client: Any) -> Callable[..., Outcome]:
    def run(
        server: ChatServer,
        *instructions: Instruction,
        agentwrite: AgentWriteSettings = SETTINGS,
        **settings: Any,
    ) -> Outcome:
        async def work() -> Outcome:
            async with open_client(server, **{"max_tokens": 1024} | settings) as client:
                return await write_drafts(client, list(instructions), agentwrite, PROMPTS)

        return asyncio.run(work())

    return run


def asked(server: ChatServer) -> list[str]:
    """What was asked for, paragraph by paragraph."""
    return [
        str(request["messages"][0]["content"])
        for request in server.requests
        if "response_format" not in request
    ]


def test_a_draft(chat_server: Any, write: Any) -> None:
    source = INSTRUCTION.model_copy(update={"type": "Essay", "source": "own", "topic": "nature"})
    outcome = write(chat_server(teacher(GOOD)), source)
    paragraphs = [words(40, "x"), words(20, "y"), words(40, "z")]
    (draft,) = outcome.drafts
    assert draft.model_dump() == {
        "prompt": PROMPT,
        "id": "bees",
        "length": 100,
        "language": "en",
        "type": "Essay",
        "source": "own",
        "topic": "nature",
        "plan": [
            {"main_point": POINTS[0], "word_count": 40},
            {"main_point": POINTS[1], "word_count": 20},
            {"main_point": POINTS[2], "word_count": 40},
        ],
        "paragraphs": paragraphs,
        "response": "\n\n".join(paragraphs),
        "response_length": 100,
        "writer": "m",
        "hidden_words": 0,
        # Four calls; the server counts what stands between white space as a token.
        "usage": {
            "calls": 4,
            "prompt_tokens": 40,
            "cached_prompt_tokens": 16,
            "completion_tokens": len(PLAN.split()) + 100,
            "thinking_tokens": 0,
            "cost_usd": 0.0,
        },
    }
    assert not outcome.failures


def test_stop_strings_go_with_paragraphs_and_not_with_the_plan(
    chat_server: Any, write: Any
) -> None:
    server = chat_server(teacher(GOOD))
    write(server, INSTRUCTION)
    assert [request.get("stop") for request in server.requests] == [None, *3 * [["\n\n"]]]
    server = chat_server(teacher(GOOD))
    write(server, INSTRUCTION, agentwrite=replace(SETTINGS, stop=[]))
    assert [request.get("stop") for request in server.requests] == 4 * [None]


def test_no_call_asks_for_more_tokens_than_the_teacher_may_write(
    chat_server: Any, write: Any
) -> None:
    server = chat_server(teacher(GOOD))
    write(server, INSTRUCTION, max_tokens=130)
    # budget · 2 tokens a word · 1.5 + 16: 136 for 40 words, 76 for 20
    assert [request["max_tokens"] for request in server.requests] == [130, 130, 76, 130]


def test_each_call_sees_instruction_plan_and_text_so_far(chat_server: Any, write: Any) -> None:
    # 30 words of 40: 70 are left for 60 planned, 20 · 70/60 = 23 now. 20 of them: 50 are left.
    short = GOOD | {POINTS[0]: [words(30, "x")], POINTS[2]: [words(50, "z")]}
    server = chat_server(teacher(short))
    (draft,) = write(server, INSTRUCTION).drafts
    assert draft.response_length == 100
    assert asked(server) == [
        f"{PROMPT}\n\n{OUTLINE}"
        "Write only the first paragraph, in about 40 words. Its point: The hive wakes.",
        f"{PROMPT}\n\n{OUTLINE}The text so far:\n{words(30, 'x')}\n\n"
        "Write only the next paragraph, in about 20 words. Its point: The bees fly out.",
        f"{PROMPT}\n\n{OUTLINE}The text so far:\n{words(30, 'x')}\n\n{words(20, 'y')}\n\n"
        "Write only the last paragraph, in about 50 words. Its point: The night falls.",
    ]
    # budget · 2 tokens a word · slack 1.5, and 16
    assert [request["max_tokens"] for request in server.requests] == [
        60 + 80 * 3,
        136,  # 40 · 3 + 16
        85,  # 23 · 3 + 16
        166,  # 50 · 3 + 16
    ]
    assert [request.get("stop") for request in server.requests] == [None, *[["\n\n"]] * 3]


def test_a_prompt_begins_as_the_one_before_it(chat_server: Any, write: Any) -> None:
    # So a server's prefix cache serves all but the new paragraph and the step.
    server = chat_server(teacher(GOOD))
    write(server, INSTRUCTION)
    first, second, third = asked(server)
    assert second.startswith(first.split("Write only")[0])
    assert third.startswith(second.split("Write only")[0])
    for prompt, point in zip((first, second, third), POINTS, strict=True):
        assert prompt.endswith(point)


def test_a_text_of_one_paragraph_has_no_outline(chat_server: Any, write: Any) -> None:
    plans: dict[str, Answer] = {PROMPT: plan((POINTS[0], 25))}
    server = chat_server(teacher({POINTS[0]: [words(40, "x")]}, plans))
    (draft,) = write(server, INSTRUCTION.model_copy(update={"length": 40})).drafts
    assert draft.response == words(40, "x")
    assert asked(server) == [
        f"{PROMPT}\n\nWrite it as one paragraph of about 40 words. Its point: The hive wakes."
    ]


@pytest.mark.parametrize(
    ("plan", "written", "budget"),
    [
        ([100, 100, 100], [], 100),
        ([100, 100, 100], [100], 100),
        ([100, 100, 100], [40], 130),  # 260 lack, half of them now
        ([100, 100, 100], [40, 130], 130),  # 130 lack, one step is left
        ([100, 100, 100], [190], 55),  # 110 lack
        ([100, 100, 100], [250], 50),  # 25 would be the share; at least half of the plan's 100
        ([100, 100, 100], [300, 200], 50),  # nothing lacks
        ([60, 30, 90], [30], 38),  # 150 lack, 30/120 of them: 37.5
        ([60, 30, 90], [30, 38], 112),  # 180 - 68
        ([10, 75], [99], 38),  # half of 75, rounded up
    ],
)
def test_next_budget(plan: list[int], written: list[int], budget: int) -> None:
    steps = [Step(main_point="p", word_count=number) for number in plan]
    assert next_budget(steps, written) == budget


def test_a_step_that_would_be_too_long_is_written_in_two(chat_server: Any, write: Any) -> None:
    # 20 and 14 words are written, so 66 of 100 lack at the last step, and 60 is the most: 33 are
    # asked for, and what then lacks.
    more = f"{POINTS[2]} (continued)"
    short: dict[str, list[Answer]] = {
        POINTS[0]: [words(20, "x")],
        POINTS[1]: [words(14, "y")],
        POINTS[2]: [words(30, "z")],
        more: [words(36, "w")],
    }
    server = chat_server(teacher(short))
    (draft,) = write(server, INSTRUCTION).drafts
    assert draft.response_length == 100
    assert [step.main_point for step in draft.plan] == [*POINTS, more]
    assert [step.word_count for step in draft.plan] == [40, 20, 20, 20]
    assert "only the next paragraph, in about 30 words" in asked(server)[2]
    assert "only the last paragraph, in about 40 words" in asked(server)[3]
    assert all(OUTLINE in prompt for prompt in asked(server))  # as it was planned


def test_a_plan_with_all_the_steps_it_may_have_asks_for_the_largest(
    chat_server: Any, write: Any
) -> None:
    short: dict[str, list[Answer]] = {
        POINTS[0]: [words(20, "x")],
        POINTS[1]: [words(14, "y")],
        POINTS[2]: [words(60, "z")],
    }
    server = chat_server(teacher(short))
    (draft,) = write(server, INSTRUCTION, agentwrite=replace(SETTINGS, max_steps=3)).drafts
    assert draft.response_length == 94
    assert "in about 60 words" in asked(server)[2]


def test_a_teacher_that_copies_the_text_is_not_shown_it(chat_server: Any, write: Any) -> None:
    # Two samples of four copy the first paragraph, and the text is shown to no other of the third
    # step. The newest paragraph stays.
    copies = {POINTS[2]: [words(40, "x"), words(40, "x"), words(40, "z")]}
    server = chat_server(teacher(GOOD | copies))
    (draft,) = write(server, INSTRUCTION, agentwrite=replace(SETTINGS, attempts=4)).drafts
    assert draft.paragraphs[2] == words(40, "z")
    shown = [words(40, "x") in prompt for prompt in asked(server)[2:]]
    assert shown == [True, True, False]
    assert f"[…]\n\n{words(20, 'y')}\n\n" in asked(server)[4]
    assert draft.hidden_words == 40


BAD = [
    ("", "empty"),
    ("I'm sorry, but I can't write that.", "refuses: \"I'm sorry, but I can't\""),
    (" \n", "empty"),
    (words(9, "y"), "9 words of 20"),
    (completion(words(20, "y"), "length"), "cut off by max_tokens after 20 words of 20"),
    # All 13 sequences of eight stand in the paragraph before.
    (words(20, "x"), "100% of its 8-grams are in the text already"),
    # Ten words twice: 13 sequences of eight, the last 3 stood there before.
    (words(10, "y") + " " + words(10, "y"), "23% of its 8-grams are in the text already"),
]


@pytest.mark.parametrize(("bad", "fault"), BAD)
def test_a_bad_paragraph_is_sampled_again(
    chat_server: Any, write: Any, bad: Answer, fault: str
) -> None:
    server = chat_server(teacher(GOOD | {POINTS[1]: [bad, bad, words(20, "y")]}))
    outcome = write(server, INSTRUCTION)
    assert not outcome.failures
    assert outcome.drafts[0].paragraphs == [words(40, "x"), words(20, "y"), words(40, "z")]
    again = [r for r in server.requests if str(r["messages"][0]["content"]).endswith(POINTS[1])]
    assert [request.pop("seed") for request in again] == [70_000, 70_001, 70_002]
    assert again[0] == again[1] == again[2]


@pytest.mark.parametrize(("bad", "fault"), BAD)
def test_a_draft_without_a_usable_paragraph_is_a_failure(
    chat_server: Any, write: Any, bad: Answer, fault: str
) -> None:
    server = chat_server(teacher(GOOD | {POINTS[1]: [bad] * 9}))
    outcome = write(server, INSTRUCTION)
    assert not outcome.drafts
    (failure,) = outcome.failures
    assert failure.model_dump() == {
        "id": "bees",
        "prompt": PROMPT,
        "step": "write 2",
        "error": "BadCompletion",
        "detail": f"no usable paragraph in 3 samples; the last: {fault}",
        "attempts": 5,  # the plan, the first paragraph and three samples of the second
    }
    assert len(server.requests) == 5


def test_a_paragraph_is_taken_without_what_the_teacher_says_around_it(
    chat_server: Any, write: Any
) -> None:
    said = f"**Paragraph 2**\n{POINTS[1]}\n{words(20, 'y')}\n(20 words)"
    server = chat_server(teacher(GOOD | {POINTS[1]: [said]}))
    (draft,) = write(server, INSTRUCTION, agentwrite=replace(SETTINGS, stop=[])).drafts
    assert draft.paragraphs[1] == words(20, "y")


def test_paragraphs_written_in_parallel_do_not_see_each_other(chat_server: Any, write: Any) -> None:
    lock, flying, peak = threading.Lock(), [0], [0]
    script = teacher(GOOD | {POINTS[0]: [words(30, "x")]})

    def answer(request: dict[str, Any]) -> Answer:
        with lock:
            flying[0] += 1
            peak[0] = max(peak[0], flying[0])
        time.sleep(0.1)
        with lock:
            flying[0] -= 1
        return script(request)

    server = chat_server(answer)
    (draft,) = write(server, INSTRUCTION, agentwrite=replace(SETTINGS, parallel=True)).drafts
    assert draft.paragraphs == [words(30, "x"), words(20, "y"), words(40, "z")]
    assert draft.usage.calls == 4
    assert peak == [3]
    # Budgets stay the plan's: no paragraph knows that the first was short.
    assert sorted(asked(server)) == sorted(
        f"{PROMPT}\n\n{OUTLINE}Write only the {which} paragraph, in about {number} words. "
        f"Its point: {point}"
        for which, number, point in zip(
            ("first", "next", "last"), (40, 20, 40), POINTS, strict=True
        )
    )

    server = chat_server(teacher(GOOD | {POINTS[1]: []}))
    (failure,) = write(server, INSTRUCTION, agentwrite=replace(SETTINGS, parallel=True)).failures
    assert (failure.step, failure.error) == ("write 2", "ServerFault")


@pytest.mark.parametrize(
    ("words", "max_words", "shown"),
    [
        ([], 100, (0, 0)),
        ([50, 50], 100, (2, 2)),
        ([30, 30, 30, 30], 100, (0, 3)),  # no first one fits a quarter; 120: back to half of 100
        ([20, 30, 30, 30], 100, (1, 3)),  # 20 for the beginning; 90 > 80: back to at most 40
        ([20, 30, 30, 30, 30], 100, (1, 3)),  # 30 more fit again: the prompt goes on as it began
        ([20, 30, 30, 30, 30, 30], 100, (1, 5)),  # 90 > 80 again
        ([500], 100, (0, 0)),  # the newest in any case
        ([20, 500], 100, (1, 1)),
    ],
)
def test_window(words: list[int], max_words: int, shown: tuple[int, int]) -> None:
    assert window(words, max_words) == shown


def test_a_text_that_outgrows_the_context(chat_server: Any, write: Any) -> None:
    points = [f"The {name} day at the hive." for name in ("1st", "2nd", "3rd", "4th", "5th")]
    long = Instruction(prompt="Write 150 words about a week.", id="week", length=150)
    plans: dict[str, Answer] = {long.prompt: plan(*((point, 30) for point in points))}
    texts = [words(30, name) for name in "vwxyz"]
    server = chat_server(teacher({p: [t] for p, t in zip(points, texts, strict=True)}, plans))
    # 106 tokens are for the answer and 64 in reserve; what is asked takes a third of its bytes.
    bare = f"{long.prompt}\n\nThe plan:\n" + "\n".join(
        f"{i}. {point}" for i, point in enumerate(points, start=1)
    )
    bare += f"\n\nWrite only the last paragraph, in about 30 words. Its point: {points[4]}"
    context = 106 + 64 + (len(bare) + 16) // 3 + 2 * 70  # room for 70 words at 2 tokens
    (draft,) = write(server, long, context=context).drafts
    assert draft.paragraphs == texts
    assert draft.hidden_words == 60
    first, last = asked(server)[1], asked(server)[4]
    assert f"The text so far:\n{texts[0]}\n\nWrite only" in first
    # Three paragraphs are 90 words: from then on the older half is gone.
    assert f"The text so far:\n[…]\n\n{texts[2]}\n\n{texts[3]}\n\nWrite only" in last
    assert all(point in last for point in points)


def test_what_could_exceed_the_budget_is_a_failure(chat_server: Any, open_client: Any) -> None:
    again = Instruction(prompt="Write 100 words on bees.", id="again", length=100)
    server = chat_server(teacher(GOOD, {PROMPT: PLAN, again.prompt: PLAN}))
    prices = {"price_prompt": 0.0, "price_completion": 1e6, "max_tokens": 1024}  # $1 a token
    cost = len(PLAN.split()) + 100

    def run(max_cost: float) -> Outcome:
        async def work() -> Outcome:
            async with open_client(server, max_cost=max_cost, **prices) as client:
                return await write_drafts(client, [INSTRUCTION, again], SETTINGS, PROMPTS)

        return asyncio.run(work())

    # A plan may take 60 + 80 · 3 tokens. The second waits for the first draft, then lacks a dollar.
    first = run(cost + 299)
    assert [draft.id for draft in first.drafts] == ["bees"]
    assert first.drafts[0].usage.cost_usd == cost
    assert [(failure.id, failure.step, failure.error) for failure in first.failures] == [
        ("again", "plan", "OverBudget")
    ]
    assert first.failures[0].detail == (
        f"this call could exceed max_cost=${cost + 299}: it may cost $300.0000; ${cost}.0000 "
        "already spent. Raise max_cost and rerun: finished calls are kept"
    )
    assert len(server.requests) == 4
    # What is paid for is kept, and counts.
    assert run(cost + 299) == first
    assert len(server.requests) == 4
    assert [draft.id for draft in run(cost + 300).drafts] == ["bees", "again"]
    assert len(server.requests) == 8


def test_what_is_just_good_enough_is_used(chat_server: Any, write: Any) -> None:
    # Half of the budget; and nine words twice would be 20 %: 2 of 11 are 18 %.
    loop = words(9, "y") + " " + words(9, "y")
    for paragraph in (words(10, "y"), loop):
        server = chat_server(teacher(GOOD | {POINTS[1]: [f" {paragraph}\n"]}))
        (draft,) = write(server, INSTRUCTION).drafts
        assert draft.paragraphs[1] == paragraph


def test_the_last_paragraph_makes_up_for_what_the_text_lacks(chat_server: Any, write: Any) -> None:
    # 20 and 12 words: 68 of 100 are left for the last, and 90 are wanted, so 57 are too few.
    short = {POINTS[0]: [words(20, "x")], POINTS[1]: [words(12, "y")]}
    last = [words(57, "z"), words(58, "z")]
    server = chat_server(teacher(short | {POINTS[2]: list(last)}))
    demanding = replace(SETTINGS, max_steps=3, min_step_share=0.3, min_text_share=0.9)
    (draft,) = write(server, INSTRUCTION, agentwrite=demanding).drafts
    assert draft.paragraphs == [words(20, "x"), words(12, "y"), last[1]]
    assert draft.response_length == 90

    server = chat_server(teacher(short | {POINTS[2]: 3 * [last[0]]}))
    (failure,) = write(server, INSTRUCTION, agentwrite=demanding).failures
    assert failure.detail.endswith("57 words at the end leave the text at 89 of 100")


def test_failures_leave_the_other_drafts_alone(chat_server: Any, write: Any) -> None:
    prompts = [f"Write about number {i}." for i in range(5)]
    plans: dict[str, Answer] = {
        prompt: plan((f"The start of {i}.", 20), (f"The end of {i}.", 20))
        for i, prompt in enumerate(prompts)
    }
    plans[prompts[1]] = "Sorry, no plan."
    plans[prompts[3]] = (500, b"down")
    paragraphs: dict[str, list[Answer]] = {}
    for i in range(5):
        paragraphs[f"The start of {i}."] = [words(20, "x")]
        paragraphs[f"The end of {i}."] = [words(20, "y")]
    paragraphs["The end of 2."] = [(400, b'{"error": {"message": "context size"}}')]
    script = teacher(paragraphs, plans)

    def answer(request: dict[str, Any]) -> Answer:
        asked = request["messages"][-1]["content"]
        time.sleep(0.1 if asked.startswith(prompts[0]) else 0)  # the first is ready last
        return script(request)

    server = chat_server(answer)
    instructions = [Instruction(prompt=p, id=f"i{i}", length=60) for i, p in enumerate(prompts)]
    outcome = write(server, *instructions)
    whole = f"{words(20, 'x')}\n\n{words(20, 'y')}"
    assert [(draft.id, draft.response) for draft in outcome.drafts] == [
        ("i0", whole),
        ("i4", whole),
    ]
    assert [(failure.id, failure.step, failure.error) for failure in outcome.failures] == [
        ("i1", "plan", "BadCompletion"),
        ("i2", "write 2", "ContextExceeded"),
        ("i3", "plan", "ServerFault"),
    ]


def test_a_second_run_asks_for_nothing(chat_server: Any, write: Any) -> None:
    server = chat_server(teacher(GOOD | {POINTS[1]: ["", words(20, "y")]}))
    first = write(server, INSTRUCTION)
    server.requests.clear()
    assert write(server, INSTRUCTION) == first
    assert server.requests == []


def test_a_repaired_server_is_asked_only_for_what_is_missing(chat_server: Any, write: Any) -> None:
    server = chat_server(teacher(GOOD | {POINTS[1]: []}))
    assert [failure.step for failure in write(server, INSTRUCTION).failures] == ["write 2"]
    server.requests.clear()
    server.answer = teacher(GOOD)
    (draft,) = write(server, INSTRUCTION).drafts
    assert draft.usage.calls == 4
    assert [prompt.split("Its point: ")[1] for prompt in asked(server)] == list(POINTS[1:])
    assert len(server.requests) == 2


def test_the_longest_text_is_begun_first(chat_server: Any, write: Any) -> None:
    lengths = {"Write a.": 25, "Write b.": 40, "Write c.": None, "Write d.": 30}
    plans: dict[str, Answer] = {prompt: plan((f"About {prompt}", 30)) for prompt in lengths}
    paragraphs: dict[str, list[Answer]] = {f"About {p}": [words(30, "x")] for p in lengths}
    server = chat_server(teacher(paragraphs, plans))
    instructions = [Instruction(prompt=p, length=length) for p, length in lengths.items()]
    outcome = write(server, *instructions, concurrency=1)
    assert [draft.prompt for draft in outcome.drafts] == list(lengths)
    # One place: a draft is finished before the next is begun.
    assert [prompt.split("\n")[0] for prompt in asked(server)] == [
        "Write b.",
        "Write d.",
        "Write a.",
        "Write c.",
    ]
    planned = ["response_format" in request for request in server.requests]
    assert planned == [True, False] * 4


def test_an_id_that_occurs_twice_is_an_error(chat_server: Any, write: Any) -> None:
    server = chat_server(teacher(GOOD))
    with pytest.raises(DataError) as raised:
        write(server, INSTRUCTION, Instruction(prompt="Write more.", id="bees"))
    assert str(raised.value) == "instructions: id 'bees' occurs twice; ids must be unique"
    assert server.requests == []


def test_a_dead_endpoint_stops_the_run(chat_server: Any, write: Any) -> None:
    server = chat_server(teacher(GOOD))
    server.close()
    with pytest.raises(ServerError, match="cannot be reached"):
        write(server, INSTRUCTION, Instruction(prompt="Write more."))


def test_a_chinese_text(chat_server: Any, write: Any) -> None:
    def characters(number: int, first: int) -> str:
        return "".join(chr(first + i) for i in range(number)) + "。"

    prompt, points = "请写一篇100字的文章，介绍蜜蜂。", ("蜂巢醒来。", "蜜蜂飞出去。", "夜晚来临。")
    plans: dict[str, Answer] = {prompt: plan((points[0], 40), (points[1], 20), (points[2], 40))}
    written = [characters(30, 0x5000), characters(20, 0x6000), characters(50, 0x7000)]
    server = chat_server(teacher({p: [w] for p, w in zip(points, written, strict=True)}, plans))
    (draft,) = write(server, Instruction(prompt=prompt, length=100, language="zh")).drafts
    assert draft.response_length == 100
    example, shown, ask = (message["content"] for message in server.requests[0]["messages"])
    assert (
        example
        == "写一篇200字的文章，介绍我们的第一个菜园。\n\n请规划3个段落，给出每段的要点和字数。"
    )
    assert [step["word_count"] for step in json.loads(shown)["plan"]] == [70, 80, 50]
    assert ask == f"{prompt}\n\n请规划3个段落，给出每段的要点和字数。"
    outline = f"写作计划：\n1. {points[0]}\n2. {points[1]}\n3. {points[2]}\n\n"
    assert asked(server) == [
        f"{prompt}\n\n{outline}请只写第一段，约40字。要点：{points[0]}",
        f"{prompt}\n\n{outline}已经写好的部分：\n{written[0]}\n\n"
        f"请只写下一段，约20字。要点：{points[1]}",
        f"{prompt}\n\n{outline}已经写好的部分：\n{written[0]}\n\n{written[1]}\n\n"
        f"请只写最后一段，约50字。要点：{points[2]}",
    ]


def test_describe(chat_server: Any, open_client: Any) -> None:
    other = "Write 50 words about ants."
    plans: dict[str, Answer] = {
        PROMPT: PLAN,
        other: plan(("The ants march.", 20), ("The ants rest.", 20)),
        "Write about rain.": plan(("The rain falls.", 30)),
        "Write about wind.": "no",
    }
    paragraphs = GOOD | {
        "The ants march.": [words(25, "x")],
        "The ants rest.": [words(50, "y")],
        "The rain falls.": [words(30, "x")],
    }
    instructions = [
        INSTRUCTION,
        Instruction(prompt=other, length=50),
        Instruction(prompt="Write about rain."),
        Instruction(prompt="Write about wind."),
    ]
    server = chat_server(teacher(paragraphs, plans))

    async def run() -> tuple[dict[str, Any], Usage]:
        async with open_client(server, price_prompt=5.0, price_completion=15.0) as client:
            outcome = await write_drafts(client, instructions, SETTINGS, PROMPTS)
            return describe(outcome) | client.spent, client.usage

    described, usage = asyncio.run(run())
    # Calls: 4 for the bees, 3 for the ants, 2 for the rain, 3 for the wind.
    assert (usage.calls, usage.prompt_tokens) == (12, 120)
    plan_tokens = sum(len(str(text).split()) for text in plans.values()) + 2  # "no", three times
    assert usage.completion_tokens == plan_tokens + 100 + 75 + 30
    assert described == {
        "instructions": 4,
        "planned": 3,
        "drafts": 3,
        "failures": 1,
        "failures_by_error": {"BadCompletion": 1},
        "failures_by_side": {"teacher": 1},
        "shortened": 0,
        "words": 205,
        "with_length": 2,
        "S_l": 91.6667,  # (100 + 100 · (1 - (75/50 - 1) / 3)) / 2; the rain has no length
        "calls": 12,
        "prompt_tokens": 120,
        "cached_prompt_tokens": 48,
        "cached_share": 0.4,
        "completion_tokens": usage.completion_tokens,
        "thinking_tokens": 0,
        "cost_usd": round((120 * 5 + usage.completion_tokens * 15) / 1e6, 6),
    }
