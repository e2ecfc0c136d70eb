"""Stand-ins of providers, asked as stages ask them: what a wrong setting says, and what a preset gives."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import (
    CHECKOUT,
    PROMPTS,
    Answer,
    ChatServer,
    Request,
    agentwrite_settings,
    completion,
    endpoint_settings,
)
from helpers.providers import PROVIDERS, Provider, error, stand_in, streamed, write

from longwriter.agentwrite.plan import call_parameters
from longwriter.agentwrite.settings import ShortAnswersSettings
from longwriter.agentwrite.short_answers import answer as answer_short
from longwriter.agentwrite.writer import Outcome, write_drafts
from longwriter.config.load import compose
from longwriter.config.schema import Settings
from longwriter.core.errors import Aborted, LongwriterError, ServerError, ServerFault
from longwriter.core.rows import BenchmarkPrompt, Draft, Instruction, Prediction
from longwriter.evaluation.predict import describe, predict
from longwriter.evaluation.scoring import evaluate
from longwriter.llm import limits
from longwriter.llm.check import QUESTION
from longwriter.llm.client import ChatClient
from longwriter.llm.session import CallContext, with_client
from longwriter.llm.settings import ServerSettings, Structured
from longwriter.preference.candidates import sample_candidates

KEY = "sk-azure-planted"
THINKING = re.compile(r"think|Let me count|The user wants", re.IGNORECASE)
SETTINGS = agentwrite_settings(
    step_words=40, min_step_words=20, max_step_words=60, max_point_characters=60, stop=["\n\n"]
)
INSTRUCTIONS = [
    Instruction(prompt=f"Write 80 words on tea, number {n}.", id=f"t{n}", length=80)
    for n in range(3)
]
BROKEN = "half a paragraph that ends in the mid"


def drafts(server: ServerSettings, cache: Path) -> Outcome:
    """What the agent writes by a teacher with these settings."""

    async def work(client: ChatClient) -> Outcome:
        return await write_drafts(client, INSTRUCTIONS, SETTINGS, PROMPTS)

    calls = CallContext(cache, 7, None, parameters=call_parameters(SETTINGS, server))
    return with_client(work, server, calls, name="teacher")[0]


def teacher(option: str, base_url: str, overrides: Sequence[str] = ()) -> ServerSettings:
    """An option of conf/teacher at a stand-in's address."""
    given = [f"teacher={option}", f"teacher.base_url={base_url}", "teacher.api_key_env=null"]
    given += ["teacher.model=m"] if option == "endpoint" else []
    return compose(Settings, [*given, *overrides]).teacher


def is_whole(draft: Draft) -> bool:
    """Whether it is what the stand-in writes: nothing else, and nothing of it missing."""
    texts = [re.sub(r"w[a-z]x[a-z]{2} ?", "", paragraph) for paragraph in draft.paragraphs]
    return draft.response_length == 80 and texts == [""] * len(texts)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that a server does not ask for take no time."""
    monkeypatch.setattr(limits, "SHORTEST_PAUSE", 0.01)
    monkeypatch.setattr(limits, "LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("LW_AZURE_KEY", KEY)


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[str, str]]:
    """Provider → what it gave: the row of the table in docs/providers.md."""
    return {}


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_a_provider(
    provider: Provider, chat_server: Any, tmp_path: Path, found: dict[str, tuple[str, str]]
) -> None:
    server: ChatServer = chat_server(stand_in(provider))
    said = "–"
    if provider.says:
        with pytest.raises(LongwriterError) as raised:
            outcome = drafts(
                teacher("endpoint", server.base_url, provider.wrong), tmp_path / "wrong"
            )
            first = outcome.failures[0]  # a gateway fails call by call
            raise ServerFault(f"{first.error}: {first.detail}")
        for words in provider.says:
            assert words in str(raised.value)
        if isinstance(raised.value, ServerError):
            assert len(server.requests) == 1
        said = provider.says[-1].removeprefix("set ")
    right = teacher(provider.preset, server.base_url, provider.right)
    outcome = drafts(right, tmp_path / "right")
    assert not outcome.failures
    assert all(map(is_whole, outcome.drafts))
    assert not THINKING.search(
        json.dumps([d.model_dump() for d in outcome.drafts], default=str).replace(
            "thinking_tokens", ""
        )
    )
    assert KEY not in "".join(
        path.read_bytes().decode(errors="replace") for path in tmp_path.rglob("*") if path.is_file()
    )
    found[provider.name] = said, f"{len(outcome.drafts)} of {len(INSTRUCTIONS)}"


def test_the_table_in_the_docs_is_what_the_stand_ins_gave(
    found: dict[str, tuple[str, str]], chat_server: Any, tmp_path: Path
) -> None:
    for provider in PROVIDERS:  # where this test runs without the others
        if provider.name not in found:
            test_a_provider(provider, chat_server, tmp_path / str(len(found)), found)
    lines = ["| provider | preset | with wrong settings the run says | drafts with the preset |"]
    lines.append("| --- | --- | --- | --- |")
    for provider in PROVIDERS:
        said, whole = found[provider.name]
        lines.append(f"| {provider.name} | `{provider.preset}` | {said} | {whole} whole |")
    table = "\n".join(lines)
    print(table)
    page = (CHECKOUT / "docs/providers.md").read_text(encoding="utf-8")
    assert page.split("<!-- providers -->\n")[1].split("\n<!-- end -->")[0] == table


# How answers end

BAD_ENDINGS = [
    *("content_filter", "error", "sensitive", "abort", "insufficient_system_resource"),
    *("tool_calls", "something_new"),
]


def served(server: ChatServer, **changes: Any) -> ServerSettings:
    shape = {"max_tokens": 400, "structured": Structured.json_schema}
    return endpoint_settings(**{"base_url": server.base_url} | shape | changes)


def breaking(reason: str, times: int) -> Callable[[Request], Answer]:
    """Breaks the first `times` answers of each kind of question off, and answers the rest well."""
    left: dict[str, int] = {}

    def answer(request: Request) -> Answer:
        asked = request["messages"][-1]["content"]
        if request["messages"] == QUESTION:
            return "Red."
        kind = f"{request['messages'][0]['content'][:60]} {asked[-60:]}"
        left[kind] = left.get(kind, times) - 1
        return completion(BROKEN, reason) if left[kind] >= 0 else completion(write(request))

    return answer


@pytest.mark.parametrize("reason", BAD_ENDINGS)
def test_an_answer_that_is_broken_off_is_sampled_again(
    reason: str, chat_server: Any, tmp_path: Path
) -> None:
    outcome = drafts(served(chat_server(breaking(reason, 1))), tmp_path)
    assert (len(outcome.drafts), len(outcome.failures)) == (3, 0)
    assert all(map(is_whole, outcome.drafts))


@pytest.mark.parametrize("reason", BAD_ENDINGS)
def test_one_that_always_is_is_a_failure_with_its_name(
    reason: str, chat_server: Any, tmp_path: Path
) -> None:
    server = chat_server(breaking(reason, 99))
    outcome = drafts(served(server), tmp_path)
    assert not outcome.drafts
    moderated = reason in ("content_filter", "sensitive")
    for failure in outcome.failures:
        assert failure.error == ("Moderated" if moderated else "Aborted")
        assert reason in failure.detail

    prediction = Prediction(prompt="p", type="t", length=8, response="some words")
    prompts = [BenchmarkPrompt(prompt=f"Prompt {n}.", type="t", length=8) for n in range(2)]

    async def others(client: ChatClient) -> tuple[Any, ...]:
        short = ShortAnswersSettings(
            seed=7, instructions="", limit=None, max_words=50, max_tokens=60, attempts=2,
            max_failed=1.0, max_cost=None,
        )  # fmt: skip
        answers = await answer_short(client, INSTRUCTIONS[:1], short)
        judged = await evaluate(client, [prediction])
        candidates = await sample_candidates(
            client, INSTRUCTIONS[:1], replace(compose(Settings, []).pairs, samples=2)
        )
        return answers, judged, candidates

    calls = CallContext(tmp_path / "others", 7, None)
    answers, judged, candidates = with_client(others, served(server), calls, name="judge")[0]
    assert (answers.rows, reason in answers.failures[0].detail) == ([], True)
    assert judged[0].scores is None
    assert reason in judged[0].unscored
    assert all(one.response == "" and reason in one.unscored for one in candidates)

    async def predicted(client: ChatClient) -> list[Prediction]:
        return await predict(client, prompts)

    calls = CallContext(tmp_path / "predicted", 7, None)
    if not moderated:
        with pytest.raises(Aborted, match=reason):
            with_client(predicted, served(server), calls, name="student.server")
        server.answer = lambda request: "Good words at last."
        rows = with_client(predicted, served(server), calls, name="student.server")[0]
        assert [row.response for row in rows] == ["Good words at last."] * 2
        return
    rows = with_client(predicted, served(server), calls, name="student.server")[0]
    assert describe(rows)["unanswered"] == {"Moderated": 2}
    assert [(row.response, row.response_length, row.finish_reason) for row in rows] == [
        ("", 0, "refused")
    ] * 2


# Thinking


def parts(*, thinking: bool) -> Callable[[str], dict[str, Any]]:
    def shape(text: str) -> dict[str, Any]:
        content: list[Any] = [{"type": "text", "text": text}]
        if thinking:
            content.insert(
                0, {"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}
            )
        return {"content": content}

    return shape


FORMS: dict[str, Callable[[str], dict[str, Any]]] = {
    "a block before the text": lambda text: {"content": f"<think>Let me count.</think>\n\n{text}"},
    "its end alone": lambda text: {"content": f"Let me count.\n\nTwo.\n</think>\n\n{text}"},
    "another tag": lambda text: {"content": f"<reasoning>\nLet me\n</reasoning>{text}"},
    "beside it": lambda text: {"content": text, "reasoning_content": "Let me count."},
    "beside it, by another name": lambda text: {"content": text, "reasoning": "Let me count."},
    "a part of a list": parts(thinking=True),
    "text in parts": parts(thinking=False),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("form", FORMS)
def test_thinking_is_no_text(form: str, stream: bool, chat_server: Any, tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        body = completion(write(request))
        body["choices"][0]["message"] |= FORMS[form](write(request))
        if not stream:
            return body
        if isinstance(body["choices"][0]["message"]["content"], list):
            delta = {"choices": [{"delta": body["choices"][0]["message"], "finish_reason": "stop"}]}
            return 200, f"data: {json.dumps(delta)}\n\ndata: [DONE]\n\n".encode()
        return streamed(body)

    server = chat_server(answer)
    # The stand-in does not stop at stop strings, which would end its thinking.
    outcome = drafts(served(server, stream=stream, stop=False), tmp_path)
    assert not outcome.failures
    assert all(map(is_whole, outcome.drafts))


@pytest.mark.parametrize(
    "message",
    [
        {"content": "<think>Let me count"},
        {"content": "", "reasoning_content": "Let me count"},
        {"content": None},
    ],
    ids=["in the text", "beside it", "hidden"],
)
def test_an_answer_that_is_all_thinking_is_cut_off_while_thinking(
    message: dict[str, Any], chat_server: Any, tmp_path: Path
) -> None:
    body = completion("", "length")
    body["choices"][0]["message"] |= message
    server = chat_server(lambda request: body)
    outcome = drafts(served(server), tmp_path)
    assert {failure.error for failure in outcome.failures} == {"StillThinking"}
    assert "cut off while thinking" in outcome.failures[0].detail
    assert "reasoning_tokens" in outcome.failures[0].detail

    async def predicted(client: ChatClient) -> list[Prediction]:
        return await predict(client, [BenchmarkPrompt(prompt="p", type="t", length=8)])

    calls = CallContext(tmp_path, 7, None)
    (row,) = with_client(predicted, served(server), calls, name="student.server")[0]
    assert (row.response, row.finish_reason) == ("", "length")
    assert describe([row])["unanswered"] == {"StillThinking": 1}


def test_thinking_is_counted_apart(chat_server: Any, tmp_path: Path) -> None:
    def answer(request: Request) -> Answer:
        # 30 of 40 characters are thinking.
        body = completion("x" * 10)
        body["choices"][0]["message"]["reasoning_content"] = "y" * 30
        body["usage"]["completion_tokens"] = 100
        return body

    async def ask(client: ChatClient) -> None:
        await client.complete([{"role": "user", "content": "Hello."}])

    calls = CallContext(tmp_path, 7, None)
    _, spent = with_client(ask, served(chat_server(answer)), calls, name="teacher")
    assert (spent["completion_tokens"], spent["thinking_tokens"]) == (100, 75)


# Errors


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "The pot is cold."}},
        {"error": "The pot is cold."},
        {"message": {"detail": [{"msg": "The pot is cold."}]}},
        {"detail": "The pot is cold."},
        [{"error": {"message": "The pot is cold."}}],
        {"object": "error", "message": "The pot is cold."},
        {
            "error": {
                "message": "Provider returned error",
                "metadata": {"raw": '{"detail": "The pot is cold."}'},
            }
        },
        "The pot is cold.",
    ],
    ids=str,
)
def test_what_a_server_says_is_told(body: Any, chat_server: Any, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"400: .*The pot is cold\."):
        drafts(served(chat_server(lambda request: error(400, body))), tmp_path)


def test_long_words_are_shortened(chat_server: Any, tmp_path: Path) -> None:
    server = chat_server(lambda request: error(400, {"error": {"message": "cold " * 1000}}))
    with pytest.raises(ServerError) as raised:
        drafts(served(server), tmp_path)
    assert 300 < len(str(raised.value)) < 500


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (402, {"error": {"message": "Insufficient Balance"}}),
        (400, {"error": {"message": "Your credit balance is too low to access the API."}}),
        (
            429,
            {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}},
        ),
        (400, {"error": {"code": "Arrearage", "message": "Access denied."}}),
        (200, {"error": {"code": 402, "message": "This request requires more credits"}}),
    ],
    ids=str,
)
def test_without_money_the_run_ends_at_once(
    status: int, body: Any, chat_server: Any, tmp_path: Path
) -> None:
    server = chat_server(lambda request: error(status, body))
    with pytest.raises(ServerError, match="the account has no money left"):
        drafts(served(server, max_retries=5), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"error": {"message": "no"}}),
        (403, {"error": {"message": "no"}}),
        (400, [{"error": {"message": "API key not valid. Please pass a valid API key."}}]),
    ],
    ids=str,
)
def test_a_wrong_key_ends_the_run_at_once(
    status: int, body: Any, chat_server: Any, tmp_path: Path
) -> None:
    server = chat_server(lambda request: error(status, body))
    with pytest.raises(ServerError, match="refuses the key"):
        drafts(served(server, max_retries=5), tmp_path)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, {"error": {"message": "Your prompt was flagged by moderation"}}),
        (400, {"error": {"code": "content_policy_violation", "message": "no"}}),
        (
            400,
            {
                "error": {
                    "code": "data_inspection_failed",
                    "message": "Input data may contain inappropriate content.",
                }
            },
        ),
    ],
    ids=str,
)
def test_a_prompt_that_is_refused_for_its_content_fails_alone(
    status: int, body: Any, chat_server: Any, tmp_path: Path
) -> None:
    def answer(request: Request) -> Answer:
        if "number 1." in json.dumps(request["messages"]):
            return error(status, body)
        return write(request)

    server = chat_server(answer)
    outcome = drafts(served(server), tmp_path)
    assert sorted(draft.id for draft in outcome.drafts) == ["t0", "t2"]
    (failure,) = outcome.failures
    assert (failure.id, failure.step, failure.error) == ("t1", "plan", "PromptRefused")

    async def predicted(client: ChatClient) -> list[Prediction]:
        prompts = [BenchmarkPrompt(prompt=i.prompt, type="t", length=8) for i in INSTRUCTIONS]
        return await predict(client, prompts)

    rows = with_client(predicted, served(server), CallContext(tmp_path, 7, None), name="judge")[0]
    assert [bool(row.response) for row in rows] == [True, False, True]
    assert describe(rows)["unanswered"] == {"PromptRefused": 1}


# Waiting


@pytest.mark.parametrize(
    "busy",
    [
        (429, b'{"error": {"message": "slow down"}}'),
        (529, b'{"error": {"type": "overloaded_error", "message": "Overloaded"}}'),
        (429, b"{}", {"Retry-After": "1"}),
        (
            429,
            b"{}",
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "300ms"},
        ),
        (503, b'{"error": {"message": "The engine is currently overloaded"}}'),
        (200, b'{"error": {"message": "Rate limit exceeded", "code": 429}}'),
    ],
    ids=lambda busy: f"{busy[0]} {busy[1:]}",
)
def test_a_server_that_is_busy_loses_no_draft(
    busy: Answer, chat_server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = [20 if len(busy) == 2 else 3]  # type: ignore[arg-type]

    def answer(request: Request) -> Answer:
        if "Plan" in request["messages"][-1]["content"] or left[0] <= 0:
            return write(request)
        left[0] -= 1
        return busy

    outcome = drafts(served(chat_server(answer), max_retries=0), tmp_path)
    assert (len(outcome.drafts), len(outcome.failures)) == (3, 0)
    assert "server busy (" in capsys.readouterr().err


def test_a_server_that_stays_busy_stops_the_run(chat_server: Any, tmp_path: Path) -> None:
    server = chat_server(lambda request: (429, b"{}", {"Retry-After": "150"}))
    with pytest.raises(ServerError, match="for 150 s more"):
        drafts(served(server, patience_s=100.0), tmp_path)
    assert len(server.requests) == 1


# Streams


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_streams_are_whole_answers(newline: str, chat_server: Any, tmp_path: Path) -> None:
    server = chat_server(lambda r: streamed(completion(write(r)), newline=newline))
    outcome = drafts(served(server, stream=True), tmp_path)
    assert all(map(is_whole, outcome.drafts))
    assert len(outcome.drafts) == 3
    assert outcome.drafts[0].usage.prompt_tokens == 30


@pytest.mark.parametrize("fault", ["broken", "an error in its midst", "no end"])
def test_what_a_broken_stream_held_is_not_data(
    fault: str, chat_server: Any, tmp_path: Path
) -> None:
    def answer(request: Request) -> Answer:
        whole = streamed(completion(BROKEN))
        if fault == "broken":
            return streamed(completion(BROKEN), broken=True)
        lines = whole[1].split(b"\n\n")  # type: ignore[index,union-attr]
        if fault == "no end":  # neither a reason nor [DONE]
            return 200, b"\n\n".join(
                line for line in lines if b"stop" not in line and b"DONE" not in line
            )
        return 200, b"\n\n".join([*lines[:3], b'data: {"error": {"message": "upstream died"}}'])

    outcome = drafts(served(chat_server(answer), stream=True), tmp_path)
    assert not outcome.drafts
    assert {failure.error for failure in outcome.failures} == {"ServerFault"}


def test_a_stream_without_a_reason_that_says_it_is_done_is_whole(
    chat_server: Any, tmp_path: Path
) -> None:
    def answer(request: Request) -> Answer:
        body = completion(write(request))
        body["choices"][0]["finish_reason"] = None
        return streamed(body)

    assert len(drafts(served(chat_server(answer), stream=True), tmp_path).drafts) == 3


# Keys


def test_keys_reach_the_server_and_nothing_else(
    chat_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    secrets = {name: f"sk-planted-{name.lower()}" for name in ("LW_A", "LW_B", "LW_C", "LW_D")}
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    echo = json.dumps({"error": {"message": f"no: {' '.join(secrets.values())}"}}).encode()
    answers: list[Answer] = ["Red."]
    server = chat_server(lambda request: answers.pop() if answers else (500, echo))
    settings = served(
        server,
        api_key_env="LW_A",
        extra_headers={"x-api-key": "$LW_B"},
        extra_query={"key": "$LW_C"},
        extra_body={"auth": {"token": "$LW_D"}},
    )
    outcome = drafts(settings, tmp_path)
    sent = server.requests[-1]
    assert sent.headers["Authorization"] == f"Bearer {secrets['LW_A']}"
    assert sent.headers["x-api-key"] == secrets["LW_B"]
    assert secrets["LW_C"] in sent.path
    assert sent["auth"] == {"token": secrets["LW_D"]}
    told = " ".join(failure.detail for failure in outcome.failures)
    assert "no: <LW_A> <LW_B> <LW_C> <LW_D>" in told
    written = told + "".join(capsys.readouterr())
    written += "".join(
        p.read_bytes().decode(errors="replace") for p in tmp_path.rglob("*") if p.is_file()
    )
    assert not any(secret in written for secret in secrets.values())


@pytest.mark.parametrize(
    "extras",
    [
        {"extra_headers": {"Authorization": "Bearer sk-1"}},
        {"extra_query": {"api_key": "sk-1"}},
        {"extra_body": {"provider": {"api_key": "sk-1"}}},
    ],
    ids=str,
)
def test_a_key_in_plain_text_is_refused(extras: Any, chat_server: Any, tmp_path: Path) -> None:
    server = chat_server(lambda request: "Hi.")
    with pytest.raises(LongwriterError, match="holds a key in plain text") as raised:
        drafts(served(server, **extras), tmp_path)
    assert "sk-1" not in str(raised.value)
    assert server.requests == []
