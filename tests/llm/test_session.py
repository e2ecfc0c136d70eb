"""What goes before the first paid call, and what the settings make of a request."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer, completion, endpoint_settings

from longwriter.core.errors import ServerError, SettingsError
from longwriter.llm.check import QUESTION, Parameters
from longwriter.llm.client import ChatClient, Completion, Spending
from longwriter.llm.session import CallContext, spending, with_client
from longwriter.llm.settings import Structured

HELLO = [{"role": "user", "content": "Hello."}]
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "string", "maxLength": 9}, "minimum": {"type": "integer"}},
    "required": ["a", "minimum"],
    "additionalProperties": False,
}


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Completion]:
    """One call of a session: `run(server, {"temperature": None}, schema=SCHEMA)`."""

    def run(
        server: ChatServer,
        changes: dict[str, Any] | None = None,
        max_cost: float | None = None,
        parameters: Parameters = Parameters(),  # noqa: B008
        **call: Any,
    ) -> Completion:
        async def work(client: ChatClient) -> Completion:
            return await client.complete(HELLO, **call)

        settings = endpoint_settings(**{"base_url": server.base_url} | (changes or {}))
        calls = CallContext(tmp_path, 7, None, Spending("test", max_cost), parameters)
        return with_client(work, settings, calls, name="teacher")[0]

    return run


def test_a_small_question_goes_first_with_the_same_parameters(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "Red.")
    parameters = Parameters(schema=SCHEMA, stop=["\n\n"])
    assert run(server, parameters=parameters, schema=SCHEMA, stop=["\n\n"]).text == "Red."
    first, call = server.requests
    assert first["messages"] == QUESTION
    assert first["max_tokens"] == 64
    same = {"model", "temperature", "top_p", "seed", "stop", "response_format"}
    assert {key: first[key] for key in same} == {key: call[key] for key in same}
    # Nothing is asked where everything is in the cache.
    run(server, parameters=parameters, schema=SCHEMA, stop=["\n\n"])
    assert len(server.requests) == 2
    # One that was asked before counts as asked.
    run(server, parameters=parameters, sample=1)
    assert len(server.requests) == 3


def test_a_refused_parameter_ends_the_run_before_it_costs(chat_server: Any, run: Any) -> None:
    refusal = {"error": {"message": "Unsupported value: 'temperature'.", "param": "temperature"}}
    server = chat_server(lambda request: (400, json.dumps(refusal).encode()))
    with pytest.raises(ServerError) as raised:
        run(server)
    assert str(raised.value) == (
        f"teacher refused a test request, so every call would fail: {server.base_url}: 400: "
        "Unsupported value: 'temperature'.; set teacher.temperature=null"
    )
    assert len(server.requests) == 1


def test_trouble_with_the_small_question_ends_nothing(chat_server: Any, run: Any) -> None:
    answers: list[Answer] = [(500, b"oops"), "Hi."]
    assert run(chat_server(lambda request: answers.pop(0))).text == "Hi."


def test_the_small_question_is_in_no_count(chat_server: Any, tmp_path: Path) -> None:
    async def work(client: ChatClient) -> None:
        await client.complete(HELLO)

    server = chat_server(lambda request: "one two three")
    settings = endpoint_settings(server.base_url)
    for _ in range(2):
        _, spent = with_client(work, settings, CallContext(tmp_path, 7, None), name="teacher")
        assert (spent["calls"], spent["completion_tokens"]) == (1, 3)


def test_what_is_null_is_not_sent(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "One.\n\nTwo.")
    nothing = {"temperature": None, "top_p": None, "seed": None, "stop": False}
    # A server that is told no stop string writes on: the text ends where the string stands.
    answer = run(server, nothing, temperature=0.3, stop=["Three", "\n\n"])
    assert (answer.text, answer.finish_reason) == ("One.", "stop")
    assert set(server.requests[-1]) == {"model", "messages", "max_tokens"}


def test_names_of_fields_and_room_to_think(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "Hi.")
    names = {"max_tokens_field": "max_completion_tokens", "seed": "random_seed"}
    run(server, {**names, "reasoning_tokens": 1000}, max_tokens=50)
    call = server.requests[-1]
    assert (call["max_completion_tokens"], call["random_seed"]) == (1050, 70_000)
    assert not {"max_tokens", "seed"} & set(call)
    # Another name of a field is the same call, room to think is not.
    run(server, {"reasoning_tokens": 1000}, max_tokens=50)
    assert len(server.requests) == 2
    run(server, max_tokens=50)
    assert server.requests[-1]["max_tokens"] == 50


def test_a_schema_without_keywords_that_strict_servers_refuse(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "{}")
    run(server, schema=SCHEMA)
    assert server.requests[-1]["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"a": {"type": "string"}, "minimum": {"type": "integer"}},
        "required": ["a", "minimum"],
        "additionalProperties": False,
    }
    run(server, {"structured": Structured.json_object}, schema=SCHEMA)
    call = server.requests[-1]
    assert call["response_format"] == {"type": "json_object"}
    assert call["messages"][0]["content"].startswith("Hello.\n\nAnswer with one JSON object")


def test_further_fields_are_merged_last_and_are_part_of_the_call(
    chat_server: Any, run: Any
) -> None:
    server = chat_server(lambda request: "Hi.")
    body = {"top_p": 0.5, "reasoning": {"effort": "low"}}
    run(server, {"extra_body": body})
    assert server.requests[-1]["top_p"] == 0.5
    assert server.requests[-1]["reasoning"] == {"effort": "low"}
    run(server, {"extra_body": body})
    asked = len(server.requests)
    # Price and accounting change no answer.
    run(server, {"extra_body": {**body, "service_tier": "flex", "user": "me"}})
    assert len(server.requests) == asked
    run(server, {"extra_query": {"api-version": "2026-10-01"}})
    run(server, {"extra_headers": {"x-variant": "b"}})
    run(server)
    assert len([r for r in server.requests if r["messages"] == HELLO]) == 4


def test_another_spelling_of_an_address_asks_nothing_again(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "Hi.")
    run(server, {"identity": "our m"})
    other = server.base_url.replace("127.0.0.1", "localhost")
    run(server, {"identity": "our m", "base_url": other, "model": "M"})
    assert len(server.requests) == 2
    run(server)
    assert len(server.requests) == 4


def test_a_limit_without_a_price_is_refused(chat_server: Any, run: Any) -> None:
    server = chat_server(lambda request: "Hi.")
    with pytest.raises(SettingsError, match=r"max_cost=1: teacher.model=m has no price here"):
        run(server, max_cost=1.0)
    assert server.requests == []


def test_a_limit_at_a_server_that_counts_nothing_is_refused(chat_server: Any, run: Any) -> None:
    body = completion("Hi.")
    del body["usage"]
    server = chat_server(lambda request: body)
    with pytest.raises(ServerError, match="reports no usage, so max_cost cannot be enforced"):
        run(server, {"price_completion": 1.0}, max_cost=1.0)
    assert len(server.requests) == 1


def test_runs_that_do_the_same_share_their_money() -> None:
    settings = endpoint_settings("http://127.0.0.1:9/v1")
    one, dearer = spending(1.0, "eval sft", settings, "m"), spending(2.0, "eval sft", settings, "m")
    assert (one.scope, one.max_cost, dearer.max_cost) == (dearer.scope, 1.0, 2.0)
    others = [("eval dpo", settings, "m"), ("eval sft", settings, "n"), ("eval sft", "m")]
    assert len({one.scope, *(spending(1.0, *other).scope for other in others)}) == 4


def test_a_server_that_cuts_prompts_is_named(chat_server: Any, tmp_path: Path) -> None:
    def answer(request: dict[str, Any]) -> dict[str, Any]:
        body = completion("Hi.")
        sent = sum(len(message["content"]) for message in request["messages"])
        body["usage"]["prompt_tokens"] = min(sent // 4, 4096)
        return body

    async def work(client: ChatClient) -> None:
        for words in (1000, 4000, 20_000):
            await client.complete([{"role": "user", "content": "word " * words}])

    server = chat_server(answer)
    settings = endpoint_settings(server.base_url, context=32_768)
    with pytest.raises(ServerError) as raised:
        with_client(work, settings, CallContext(tmp_path, 7, None), name="teacher")
    assert str(raised.value) == (
        f"{server.base_url}: cuts prompts silently: it counts 4,096 tokens in a prompt of 100,016 "
        "bytes, so its context is smaller than teacher.context=32768. Serve the model with that "
        "context (Ollama: environment variable OLLAMA_CONTEXT_LENGTH=32768 of `ollama serve`), or "
        "set teacher.context=4096"
    )


def test_a_server_that_counts_the_same_for_every_prompt_cuts_nothing(
    chat_server: Any, tmp_path: Path
) -> None:
    async def work(client: ChatClient) -> None:
        for words in (10, 20_000):
            await client.complete([{"role": "user", "content": "word " * words}])

    server = chat_server(lambda request: "Hi.")
    settings = endpoint_settings(server.base_url)
    with_client(work, settings, CallContext(tmp_path, 7, None), name="teacher")
