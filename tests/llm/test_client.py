import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer, completion, endpoint_settings

from longwriter.core.errors import (
    BadRequest,
    ContextExceeded,
    LongwriterError,
    ServerError,
    ServerFault,
    TimedOut,
)
from longwriter.core.rows import Usage
from longwriter.llm.answers import Completion, json_object
from longwriter.llm.budget import Account
from longwriter.llm.cache import Cache
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.settings import Address, Structured

HELLO = [{"role": "user", "content": "Hello."}]
SCHEMA = {"type": "object", "properties": {"诗": {"type": "string"}}, "required": ["诗"]}
KEY = "sk-never-on-disk-5e1f"

Script = Callable[[dict[str, Any]], Answer]


def script(*answers: Answer) -> Script:
    """Answers in turn; the connection breaks when none is left."""
    left = iter(answers)
    return lambda request: next(left)


def fault(status: int, message: str) -> Answer:
    return status, f'{{"error": {{"message": "{message}"}}}}'.encode()


@pytest.fixture
def complete(open_client: Any) -> Callable[..., Completion]:
    """One call by a client of its own: `complete(server, sample=1, settings={"top_p": 0.5})`."""

    def run(
        server: ChatServer,
        messages: list[dict[str, str]] = HELLO,
        settings: dict[str, Any] | None = None,
        **call: Any,
    ) -> Completion:
        async def ask() -> Completion:
            async with open_client(server, **settings or {}) as client:
                return await client.complete(messages, **call)

        return asyncio.run(ask())

    return run


@pytest.fixture
def no_wait(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client's own pauses between tries, which take no time."""
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("longwriter.llm.client.asyncio.sleep", pause)
    return pauses


def test_the_request_and_the_completion(chat_server: Any, complete: Any) -> None:
    server = chat_server(lambda request: completion("Good day to you", "length"))
    answer = complete(server, sample=2, stop=["\n\n"], schema=SCHEMA)
    assert answer == Completion(
        text="Good day to you",
        finish_reason="length",
        prompt_tokens=10,
        cached_prompt_tokens=4,
        completion_tokens=4,
    )
    assert server.requests == [
        {
            "model": "m",
            "messages": HELLO,
            "max_tokens": 100,
            "temperature": 0.5,
            "top_p": 1.0,
            "seed": 70_002,  # ten thousand for each of the client's 7, and the sample's 2
            "stop": ["\n\n"],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
            },
        }
    ]


def test_what_a_call_asks_for_goes_before_the_settings(chat_server: Any, complete: Any) -> None:
    server = chat_server(lambda request: "Hi.")
    complete(server, temperature=0.0, max_tokens=5, settings={"temperature": 0.9})
    (request,) = server.requests
    assert (request["temperature"], request["max_tokens"]) == (0.0, 5)
    assert not {"stop", "response_format"} & set(request)


def test_the_same_call_is_made_once(chat_server: Any, complete: Any) -> None:
    server = chat_server(script("Hi."))
    first = complete(server, sample=1, stop=["x"], schema=SCHEMA)
    assert complete(server, sample=1, stop=["x"], schema=SCHEMA) == first
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"sample": 1},
        {"temperature": 0.1},
        {"max_tokens": 5},
        {"schema": SCHEMA},
        {"stop": ["\n\n"]},
        {"messages": [{"role": "user", "content": "Hello"}]},
        {"messages": [{"role": "system", "content": "Be kind."}, *HELLO]},
        {"settings": {"top_p": 0.9}},
        {"settings": {"temperature": 0.1}},
        {"settings": {"max_tokens": 5}},
    ],
)
def test_another_call_is_made(chat_server: Any, complete: Any, change: dict[str, Any]) -> None:
    server = chat_server(script("first", "second"))
    assert complete(server).text == "first"
    assert complete(server, **change).text == "second"
    assert (complete(server).text, complete(server, **change).text) == ("first", "second")


@pytest.mark.parametrize("other", [("identity 2", 7), ("identity", 8)])
def test_another_model_or_seed_is_another_call(
    chat_server: Any, tmp_path: Path, other: tuple[str, int]
) -> None:
    server = chat_server(script("first", "second"))

    async def ask(identity: str, seed: int) -> str:
        address = Address(server.base_url, "m", identity)
        settings = endpoint_settings(server.base_url)
        async with ChatClient.open(settings, address, tmp_path, seed) as client:
            return (await client.complete(HELLO)).text

    assert asyncio.run(ask("identity", 7)) == "first"
    assert asyncio.run(ask(*other)) == "second"
    assert asyncio.run(ask("identity", 7)) == "first"


def test_a_model_at_another_address_keeps_its_answers(chat_server: Any, tmp_path: Path) -> None:
    # A GGUF is served on another free port in each run; its identity is its bytes.
    async def ask(server: ChatServer) -> str:
        address = Address(server.base_url, "m", "gguf 1234")
        settings = endpoint_settings(server.base_url)
        async with ChatClient.open(settings, address, tmp_path, 7) as client:
            return (await client.complete(HELLO)).text

    assert asyncio.run(ask(chat_server(script("first")))) == "first"
    assert asyncio.run(ask(chat_server(script("second")))) == "first"


# The keys of three calls, as they were first kept. A changed key would throw away every call that a
# cache holds, and paid calls would be paid for again.
KEPT_CALLS = [
    pytest.param(
        Structured.json_schema,
        {},
        "57a53d3ea4e8f8f5d3bdc0e08db78078fe66579cc132216552e49df3170e2813",
        id="plain",
    ),
    pytest.param(
        Structured.json_schema,
        {"schema": SCHEMA, "stop": ["\n\n"], "max_tokens": 60, "temperature": 0.0},
        "c4bb20a5320142242d0b90a647cad242052e85b738124849ec698fd97e85c8cc",
        id="schema and stop",
    ),
    pytest.param(
        Structured.text,
        {"schema": SCHEMA},
        "9c897e1ab41327dad72c9cd320cfc5e6227ce32684f3ba9070ca2b773a0bcc36",
        id="schema in the prompt",
    ),
]


@pytest.mark.parametrize(("structured", "call", "key"), KEPT_CALLS)
def test_calls_kept_by_earlier_versions_are_served(
    tmp_path: Path, structured: Structured, call: dict[str, Any], key: str
) -> None:
    address = Address("http://127.0.0.1:9/v1", "m", "http://127.0.0.1:9/v1 m ")  # nobody is there
    settings = endpoint_settings(address.base_url, structured=structured)
    cache = Cache(tmp_path / "calls.sqlite")
    cache.put(key, asdict(Completion("kept", "stop", 10, 4, 1)))
    cache.close()

    async def ask() -> str:
        async with ChatClient.open(settings, address, tmp_path, 7) as client:
            return (await client.complete(HELLO, sample=2, **call)).text

    assert asyncio.run(ask()) == "kept"


def test_how_long_and_how_often_to_try_shape_no_call(chat_server: Any, complete: Any) -> None:
    server = chat_server(script("Hi."))
    complete(server)
    patience = {"timeout_s": 99.0, "max_retries": 5, "concurrency": 1, "price_prompt": 1.0}
    assert complete(server, settings=patience).text == "Hi."


def test_without_schemas_the_prompt_asks_for_json(chat_server: Any, complete: Any) -> None:
    server = chat_server(lambda request: "{}")
    talk = [{"role": "system", "content": "Be brief."}, *HELLO]
    before = [dict(message) for message in talk]
    complete(server, talk, schema=SCHEMA, settings={"structured": Structured.text})
    (request,) = server.requests
    assert "response_format" not in request
    schema = (
        '{"type": "object", "properties": {"\\u8bd7": {"type": "string"}}, "required": ["\\u8bd7"]}'
    )
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": "Hello.\n\nAnswer with one JSON object and nothing else. "
            f"Its schema: {schema}",
        },
    ]
    assert talk == before


def test_no_proxy_is_asked_for_an_address_on_this_machine(
    chat_server: Any, complete: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody is there
    assert complete(chat_server(lambda request: "Hi.")).text == "Hi."


def test_usage_and_cost(chat_server: Any, open_client: Any) -> None:
    server = chat_server(script("three words here", "one"))
    part = Account()

    async def run() -> tuple[Usage, dict[str, float], int]:
        prices = {"price_prompt": 2.0, "price_cached_prompt": 0.5, "price_completion": 8.0}
        async with open_client(server, **prices) as client:
            await client.complete(HELLO)
            await client.complete(HELLO, sample=1, account=part)
            await client.complete(HELLO, account=part)
            return client.usage, client.spent, client.from_cache

    usage, spent, from_cache = asyncio.run(run())
    # 10 prompt tokens a call, 4 of them from the server's prefix cache; 3 + 1 + 3 words
    tokens = {"prompt_tokens": 30, "cached_prompt_tokens": 12, "completion_tokens": 7}
    # (18 · 2 + 12 · 0.5 + 7 · 8) / 1e6
    counts = {"calls": 3, "thinking_tokens": 0, **tokens}
    assert spent == {**counts, "cached_share": 0.4, "cost_usd": 0.000098}
    # (12 · 2 + 8 · 0.5 + 4 · 8) / 1e6
    cost = part.usage.cost_usd
    assert part.usage == Usage(
        calls=2, prompt_tokens=20, cached_prompt_tokens=8, completion_tokens=4, cost_usd=cost
    )
    assert cost == pytest.approx(60e-6)
    assert usage.calls == 3
    assert from_cache == 1


def test_a_server_that_counts_nothing(chat_server: Any, complete: Any) -> None:
    body = completion("Hi.")
    del body["usage"]
    server = chat_server(lambda request: body)
    assert complete(server) == Completion("Hi.", "stop", 0, 0, 0)


def test_no_more_calls_in_flight_than_allowed(chat_server: Any, open_client: Any) -> None:
    lock, flying, peaks = threading.Lock(), [0], []

    def answer(request: dict[str, Any]) -> str:
        with lock:
            flying[0] += 1
            peaks.append(flying[0])
        time.sleep(0.03)
        with lock:
            flying[0] -= 1
        return "Hi."

    async def run() -> None:
        async with open_client(chat_server(answer), concurrency=3) as client:
            await asyncio.gather(*(client.complete(HELLO, sample=i) for i in range(12)))

    asyncio.run(run())
    assert (len(peaks), max(peaks)) == (12, 3)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_fault_that_passes(chat_server: Any, complete: Any, status: int) -> None:
    server = chat_server(script(fault(status, "busy"), "Hi."))
    assert complete(server, settings={"max_retries": 1}).text == "Hi."
    assert len(server.requests) == 2


NO_COMPLETIONS = [b"", b"<html>Bad gateway</html>", b"[]", b'"Hi."', b'{"choices": []}', b"{}"]


@pytest.mark.parametrize("body", NO_COMPLETIONS[:2])
def test_a_body_that_is_no_completion_passes(
    chat_server: Any, complete: Any, no_wait: Any, body: bytes
) -> None:
    server = chat_server(script((200, body), "Hi."))
    assert complete(server, settings={"max_retries": 1}).text == "Hi."


@pytest.mark.parametrize("body", NO_COMPLETIONS)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_a_body_that_is_no_completion_stays(
    chat_server: Any, complete: Any, no_wait: list[float], body: bytes, kind: str
) -> None:
    server = chat_server(lambda request: (200, body))

    class OfKind(server._http.RequestHandlerClass):  # type: ignore[misc, name-defined]
        def send_header(self, name: str, value: str) -> None:
            super().send_header(name, kind if name == "Content-Type" else value)

    server._http.RequestHandlerClass = OfKind
    with pytest.raises(ServerFault) as raised:
        complete(server, settings={"max_retries": 2})
    assert str(raised.value) == f"{server.base_url}: the response is not a chat completion"
    assert len(server.requests) == 3
    assert no_wait == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "error", "says"),
    [
        (fault(400, "exceeds the available context size"), ContextExceeded, "context size"),
        (fault(400, "This model's maximum context length is 8"), ContextExceeded, "length is 8"),
        (fault(400, "top_p is wrong"), BadRequest, "top_p is wrong"),
        (fault(422, "no such field"), BadRequest, "no such field"),
        (fault(401, "no"), ServerError, r"refuses the key \(api_key_env=LW_TEACHER_KEY\)"),
        (fault(403, "no"), ServerError, r"refuses the key \(api_key_env=LW_TEACHER_KEY\)"),
        (fault(404, "no"), ServerError, "does not know model 'm', or server.base_url is mistyped"),
        (
            (429, b'{"error": {"message": "pay", "code": "insufficient_quota"}}'),
            ServerError,
            "the account has no money left",
        ),
        (fault(409, "conflict"), ServerFault, "conflict"),
        (fault(408, "too late"), ServerFault, "too late"),
        (fault(500, "oops"), ServerFault, "oops"),
        ((502, b"<html>Bad gateway</html>"), ServerFault, "502"),
        ((200, b"Hi."), ServerFault, "not a chat completion"),
    ],
)
def test_a_failure_has_its_class_and_is_not_kept(
    chat_server: Any, complete: Any, answer: Answer, error: type[LongwriterError], says: str
) -> None:
    server = chat_server(script(answer, "mended"))
    settings = {"api_key_env": "LW_TEACHER_KEY"}
    with pytest.raises(error, match=says) as raised:
        complete(server, settings=settings)
    assert type(raised.value) is error
    assert str(raised.value).startswith(f"{server.base_url}: ")
    assert complete(server, settings=settings).text == "mended"


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_fault_that_cannot_pass_is_not_tried_again(
    chat_server: Any, complete: Any, status: int
) -> None:
    server = chat_server(lambda request: fault(status, "no"))
    with pytest.raises(LongwriterError):
        complete(server, settings={"max_retries": 3})
    assert len(server.requests) == 1


def test_no_answer_in_time(chat_server: Any, complete: Any) -> None:
    late = threading.Event()

    def answer(request: dict[str, Any]) -> str:
        late.wait(5)
        return "late"

    server = chat_server(answer)
    with pytest.raises(TimedOut) as raised:
        complete(server, settings={"timeout_s": 0.2})
    late.set()
    assert str(raised.value) == f"{server.base_url}: no answer in 0.2 s"
    server.answer = script("in time")
    assert complete(server).text == "in time"


PAGE = b"<!doctype html><title>My server</title>"
LM_STUDIO = b'{"error":"Unexpected endpoint or method. (POST /chat/completions)"}'


@pytest.mark.parametrize(
    "unknown",
    [(404, b"404 page not found"), (405, b'{"detail":"Method Not Allowed"}'), (200, LM_STUDIO), (200, PAGE)],
    ids=["404", "405", "LM Studio", "a page"],
)  # fmt: skip
@pytest.mark.parametrize("ending", ["", "/", "/chat/completions", "/v1/chat/completions"])
def test_an_address_that_is_not_quite_it_is_named(
    unknown: Answer, ending: str, chat_server: Any, complete: Any
) -> None:
    server = chat_server(script("Hi."))
    server.elsewhere = unknown
    whole = server.base_url
    server.base_url = whole.removesuffix("/v1") + ending
    with pytest.raises(ServerError) as raised:
        complete(server)
    base = server.base_url.rstrip("/")
    assert str(raised.value) == f"{base}: answers below {whole}; set server.base_url={whole}"
    assert server.requests[-1].path == "/v1/chat/completions"
    assert len(server.requests) <= 3


def test_an_address_with_another_path_is_no_other_one(chat_server: Any, complete: Any) -> None:
    server = chat_server(script())
    server.base_url = server.base_url.removesuffix("/v1") + "/v2"
    with pytest.raises(ServerError, match=r"does not know model 'm', or server\.base_url is mis"):
        complete(server)


def remote(chat_server: Any) -> ChatServer:
    """A server elsewhere: .example is no host anywhere."""
    server: ChatServer = chat_server(script())
    server.base_url = "http://model.example:9/v1"
    return server


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


def test_a_proxy_that_is_down_is_named_without_its_password(
    chat_server: Any, complete: Any, proxies: pytest.MonkeyPatch
) -> None:
    proxies.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    with pytest.raises(
        ServerError, match=r"cannot be reached through the proxy 127\.0\.0\.1:9"
    ) as raised:
        complete(remote(chat_server))
    assert "secret" not in str(raised.value)


def test_a_proxy_that_cannot_be_used_is_one_line(
    chat_server: Any, complete: Any, proxies: pytest.MonkeyPatch
) -> None:
    for proxy in ("socks5://127.0.0.1:9", "socks://127.0.0.1:9", "gopher://127.0.0.1:9"):
        proxies.setenv("ALL_PROXY", proxy)
        with pytest.raises(
            ServerError, match=r"^ALL_PROXY, set in the environment, cannot be used"
        ) as raised:
            complete(remote(chat_server))
        assert "\n" not in str(raised.value)
    server = chat_server(script("Hi."))
    assert complete(server).text == "Hi."  # on this machine no proxy is used


def test_nobody_listens(chat_server: Any, complete: Any) -> None:
    server = chat_server(script())
    server.close()
    with pytest.raises(ServerError) as raised:
        complete(server)
    assert str(raised.value) == (
        f"{server.base_url}: cannot be reached (All connection attempts failed). Start the server "
        "or fix base_url, then run the same command: finished calls are kept."
    )


def test_the_key_is_sent_and_never_written(
    chat_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LW_TEACHER_KEY", KEY)
    server = chat_server(script("Hi.", fault(400, "no")))
    sent = []

    class Listening(server._http.RequestHandlerClass):  # type: ignore[misc, name-defined]
        def do_POST(self) -> None:
            sent.append(self.headers["Authorization"])
            super().do_POST()

    server._http.RequestHandlerClass = Listening
    settings = endpoint_settings(server.base_url, api_key_env="LW_TEACHER_KEY")

    def written() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())

    async def run(address: Address) -> None:
        async with ChatClient.open(settings, address, tmp_path, 7) as client:
            await client.complete(HELLO)
            with pytest.raises(BadRequest) as raised:
                await client.complete(HELLO, sample=1)
            assert KEY not in str(raised.value)
            assert b"Hi." in written()
            assert KEY.encode() not in written()

    with serve(settings) as address:
        asyncio.run(run(address))
    assert sent == [f"Bearer {KEY}"] * 2
    assert KEY.encode() not in written()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": {"b": 1}}', {"a": {"b": 1}}),
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('Here it is: {"a": "}"} Enjoy!', {"a": "}"}),
        ("", None),
        ("no JSON", None),
        ('{"a": 1', None),
        ('} {"a": 1', None),
        ('{"a": 1} {"b": 2}', None),
        ("[1, 2]", None),
        ("{" * 99_999 + "}", None),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
)
def test_json_object(text: str, value: dict[str, Any] | None) -> None:
    assert json_object(text) == value
