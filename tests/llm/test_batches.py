"""Calls by a provider's batch API, over real HTTP."""

import asyncio
import contextlib
import json
import runpy
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import (
    PROMPTS,
    Answer,
    agentwrite_settings,
    completion,
    endpoint_settings,
)
from helpers.stand_in_batches import BatchServer, StandInBatch
from omegaconf import DictConfig, OmegaConf

from longwriter.agentwrite.writer import Outcome, write_drafts
from longwriter.config.load import compose_params, validate
from longwriter.core.errors import (
    Aborted,
    BadRequest,
    LongwriterError,
    OverBudget,
    ServerError,
    ServerFault,
    StillThinking,
    TimedOut,
)
from longwriter.core.rows import Instruction
from longwriter.core.workspace import Workspace
from longwriter.llm import batches
from longwriter.llm.cache import Cache
from longwriter.llm.check import Parameters, ask_first
from longwriter.llm.client import ChatClient, Completion, Spending
from longwriter.llm.settings import Address, ServerKind

CHECKOUT = Path(__file__).resolve().parents[2]

Found = Completion | LongwriterError
Start = Callable[..., BatchServer]


@pytest.fixture
def batch_server() -> Iterator[Start]:
    """Starts providers that answer so; all end with the test."""
    servers: list[BatchServer] = []

    def start(answer: Callable[[dict[str, Any]], Answer] = lambda body: echo(body)) -> BatchServer:
        servers.append(BatchServer(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUIET_S", "FIRST_POLL_S", "FIRST_PAUSE_S"):
        monkeypatch.setattr(batches, name, 0.02)


def echo(body: dict[str, Any]) -> str:
    return f"You said {body['messages'][-1]['content']}"


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@contextlib.asynccontextmanager
async def opened(
    server: BatchServer,
    folder: Path,
    max_cost: float | None = None,
    check: Any = None,
    **changes: Any,
) -> Any:
    settings = endpoint_settings(server.base_url, batch=True, **changes)
    address = Address(server.base_url, "m", "identity")
    spending = Spending("test", max_cost)
    async with ChatClient.open(
        settings, address, folder / "cache", 7, spending, "teacher", check
    ) as client:
        yield client


def outcomes(
    server: BatchServer,
    folder: Path,
    prompts: Sequence[str],
    usage: dict[str, float] | None = None,
    **changes: Any,
) -> list[Found]:
    """What comes of calls that are made at once; `usage` takes what they have cost."""

    async def run() -> list[Found]:
        async with opened(server, folder, **changes) as client:
            jobs = [client.complete(said(prompt)) for prompt in prompts]
            found = await asyncio.gather(*jobs, return_exceptions=True)
            if usage is not None:
                usage.update(client.spent, from_cache=client.from_cache)
            return found

    return asyncio.run(run())


def texts(found: Sequence[Found]) -> list[str]:
    assert all(isinstance(one, Completion) for one in found), found
    return [one.text for one in found if isinstance(one, Completion)]


def sent(folder: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(folder / "cache/calls.sqlite")) as database:
        return database.execute("SELECT file, batch FROM sent").fetchall()


def test_calls_go_into_one_batch_and_answers_come_in_their_order(
    batch_server: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = batch_server()
    server.polls = 2
    prompts = ["a", "b\u2028b", "诗"]  # a line separator is no end of a JSON line
    found = outcomes(server, tmp_path, prompts, stream=True, extra_body={"x": 1})
    assert texts(found) == ["You said a", "You said b\u2028b", "You said 诗"]
    assert server.submitted == [prompts]
    assert server.batches[0].requests[0]["body"] == {
        "model": "m",
        "messages": said("a"),
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": 70_000,
        "x": 1,
    }
    assert server.direct == []
    assert sent(tmp_path) == []
    assert capsys.readouterr().err.splitlines() == [
        "batch batch-0: 3 calls sent; waiting for the answers, which may take a day. Ctrl-C stops the "
        "waiting only",
        "batch batch-0: completed after 0 s; 3 of 3 calls answered",
    ]
    assert texts(outcomes(server, tmp_path, prompts, stream=True, extra_body={"x": 1})) == texts(
        found
    )
    assert len(server.batches) == 1


def test_a_batch_costs_half_now_and_when_it_is_read_from_the_cache(
    batch_server: Start, tmp_path: Path
) -> None:
    server = batch_server()
    prices = {"price_prompt": 2.0, "price_cached_prompt": 1.0, "price_completion": 8.0}
    first: dict[str, float] = {}
    outcomes(server, tmp_path, ["a", "b b"], first, max_cost=1.0, **prices)
    # 10 prompt tokens, 4 of them cached, and a token a word: 6 · 2 + 4 · 1 + (3 + 4) · 8, half of it
    half = ((6 * 2 + 4 * 1) * 2 + (3 + 4) * 8) / 1e6 / 2
    assert first["cost_usd"] == round(half, 6)
    cache = Cache(tmp_path / "cache/calls.sqlite")
    assert cache.paid("test") == pytest.approx(half, rel=1e-12)
    again: dict[str, float] = {}
    outcomes(server, tmp_path, ["a", "b b"], again, max_cost=1.0, **prices)
    assert (again["cost_usd"], again["from_cache"]) == (first["cost_usd"], 2)
    assert cache.paid("test") == pytest.approx(half, rel=1e-12)
    cache.close()


def test_a_limit_of_cost_holds_at_the_price_of_a_batch(batch_server: Start, tmp_path: Path) -> None:
    # A call may cost (17 bytes / 2 → 8 prompt tokens) · 1 + 100 · 1 = 108 millionths, half of it 54.
    prices = {"price_prompt": 1.0, "price_completion": 1.0}
    server = batch_server()
    (refused,) = outcomes(server, tmp_path, ["a"], max_cost=53e-6, **prices)
    assert isinstance(refused, OverBudget)
    assert texts(outcomes(server, tmp_path, ["a"], max_cost=55e-6, **prices)) == ["You said a"]


def test_chained_calls_and_the_question_before_all_others_go_directly(
    batch_server: Start, tmp_path: Path
) -> None:
    server = batch_server()

    async def run() -> list[Completion]:
        check = partial(ask_first, parameters=Parameters())
        async with opened(server, tmp_path, check=check) as client:
            return [
                await client.complete(said("chained"), chained=True),
                await client.complete(said("alone")),
            ]

    assert [one.text for one in asyncio.run(run())] == ["You said chained", "You said alone"]
    assert [body["messages"][-1]["content"] for body in server.direct] == [
        "Name a colour of the rainbow and describe it.",
        "chained",
    ]
    assert server.submitted == [["alone"]]


def test_the_question_before_all_others_is_enough_to_know_what_calls_cost(
    batch_server: Start, tmp_path: Path
) -> None:
    """Else the first call would go alone, and the others would wait for it for a day."""
    server = batch_server()
    limit: dict[str, Any] = {"check": partial(ask_first, parameters=Parameters()), "max_cost": 1.0}
    limit |= {"price_prompt": 1.0, "price_completion": 1.0}
    outcomes(server, tmp_path, ["a", "b"], **limit)
    outcomes(server, tmp_path, ["c", "d"], **limit)  # the question's answer comes from the cache
    assert server.submitted == [["a", "b"], ["c", "d"]]
    assert len(server.direct) == 1


def test_drafts_in_parallel_take_a_batch_of_plans_and_one_of_paragraphs(
    batch_server: Start, tmp_path: Path
) -> None:
    points = ["The hive wakes.", "The night falls."]
    words = {
        point: " ".join(f"{letter}{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(50))
        for point, letter in zip(points, "xz", strict=True)
    }
    plan = {"plan": [{"main_point": point, "word_count": 50} for point in points]}

    def teacher(body: dict[str, Any]) -> str:
        if "response_format" in body:
            return json.dumps(plan)
        return words[body["messages"][-1]["content"].split("Its point: ")[-1]]

    server = batch_server(teacher)
    settings = agentwrite_settings(parallel=True, step_words=50, min_step_words=20)
    instructions = [
        Instruction(prompt=f"Write 100 words about {what}.", id=what, length=100)
        for what in ("bees", "ants")
    ]

    async def run() -> Outcome:
        async with opened(server, tmp_path, max_tokens=1024, concurrency=1) as client:
            return await write_drafts(client, instructions, settings, PROMPTS)

    outcome = asyncio.run(run())
    assert [(draft.id, draft.response_length) for draft in outcome.drafts] == [
        ("bees", 100),
        ("ants", 100),
    ]
    assert [len(batch.requests) for batch in server.batches] == [2, 4]


def test_the_same_call_twice_is_sent_and_paid_once(batch_server: Start, tmp_path: Path) -> None:
    server, usage = batch_server(), dict[str, float]()
    prices = {"price_prompt": 2.0, "price_completion": 2.0}
    found = outcomes(server, tmp_path, ["a", "a", "b"], usage, **prices)
    assert texts(found) == ["You said a", "You said a", "You said b"]
    assert server.submitted == [["a", "b"]]
    assert (usage["calls"], usage["from_cache"]) == (3, 1)
    cache = Cache(tmp_path / "cache/calls.sqlite")
    assert cache.paid("test") == pytest.approx(2 * (10 + 3) * 2 / 1e6 / 2)
    cache.close()


def test_endings_and_thinking_are_read_as_in_a_direct_answer(
    batch_server: Start, tmp_path: Path
) -> None:
    answers: dict[str, Answer] = {
        "thought": "<think>Hm.</think>Yes.",
        "thinking": completion("<think>Hm and", "length"),
        "broken": completion("Yes and", "error"),
        "empty": {"object": "nothing"},
    }
    server = batch_server(lambda body: answers[body["messages"][-1]["content"]])
    thought, thinking, broken, empty = outcomes(server, tmp_path, list(answers))
    assert texts([thought]) == ["Yes."]
    assert [type(one) for one in (thinking, broken, empty)] == [StillThinking, Aborted, ServerFault]
    assert sent(tmp_path) == []
    outcomes(server, tmp_path, list(answers))  # what is no answer is asked again
    assert server.submitted == [list(answers), ["broken", "empty"]]


def test_an_error_in_the_error_file_is_its_calls_alone(batch_server: Start, tmp_path: Path) -> None:
    bad = 400, b'{"error": {"message": "temperature is not supported", "param": "temperature"}}'
    server = batch_server(lambda body: bad if "bad" in str(body["messages"]) else "Yes.")
    good, refused = outcomes(server, tmp_path, ["good", "bad"])
    assert texts([good]) == ["Yes."]
    assert isinstance(refused, BadRequest)
    assert str(refused) == (
        f"{server.base_url}: 400: temperature is not supported; set teacher.temperature=null"
    )


def test_an_error_that_may_pass_is_sent_again(batch_server: Start, tmp_path: Path) -> None:
    busy = 503, b'{"error": {"message": "try later"}}'
    server = batch_server(lambda body: busy if len(server.batches) < 3 else "Yes.")
    assert texts(outcomes(server, tmp_path, ["a", "b"], max_retries=2)) == ["Yes.", "Yes."]
    assert server.submitted == [["a", "b"]] * 3
    server = batch_server(lambda body: busy)
    (failed,) = outcomes(server, tmp_path, ["c"], max_retries=1)
    assert isinstance(failed, ServerFault)
    assert server.submitted == [["c"]] * 2


def test_of_an_expired_batch_what_is_done_is_used(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    endings = iter([("expired", 2), ("completed", 9), ("expired", 0)])
    server.ending = lambda batch: next(endings)
    found = outcomes(server, tmp_path, ["a", "b", "c"], max_retries=1)
    assert texts(found) == ["You said a", "You said b", "You said c"]
    assert server.submitted == [["a", "b", "c"], ["c"]]
    (late,) = outcomes(server, tmp_path, ["d"])
    assert isinstance(late, TimedOut)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_batch_that_failed_stops_the_run_and_the_next_one_sends_its_calls_anew(
    batch_server: Start, tmp_path: Path, status: str
) -> None:
    server = batch_server()
    server.ending = lambda batch: (status, 0)
    original = server._create

    def create(body: dict[str, Any]) -> dict[str, Any]:
        told = original(body)
        if status == "failed":
            server.batches[-1].errors = [{"code": "model_not_found", "message": "no model m"}]
        return told

    server._create = create  # type: ignore[method-assign]
    with pytest.raises(ServerError) as error:
        raise outcomes(server, tmp_path, ["a"], max_retries=5)[0]
    why = "failed: no model m" if status == "failed" else "was cancelled"
    assert str(error.value) == (
        f"{server.base_url}: batch batch-0 {why}. The same command sends its calls anew; "
        "teacher.batch=false sends them one by one"
    )
    server.ending = lambda batch: ("completed", 1)
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert server.submitted == [["a"], ["a"]]


@pytest.mark.parametrize(
    "path", ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/", "GET /v1/files/"]
)
def test_a_refusal_that_passes_is_waited_out(
    batch_server: Start, tmp_path: Path, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    server = batch_server()
    server.refusals[path] = [(429, {"retry-after-ms": "30"}), (500, {})]
    assert texts(outcomes(server, tmp_path, ["a", "b"])) == ["You said a", "You said b"]
    assert server.submitted == [["a", "b"]]
    assert f"batch API: asking again for up to 5 s ({server.base_url}: 429: not now)" in (
        capsys.readouterr().err
    )


def test_trouble_beyond_patience_loses_no_batch(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    server.refusals["GET /v1/batches/"] = [(429, {"retry-after": "90"})]
    with pytest.raises(ServerError, match=r"patience_s=5\. Batches continue at the provider"):
        raise outcomes(server, tmp_path, ["a"])[0]
    assert sent(tmp_path) == [("file-0", "batch-0")]
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert server.submitted == [["a"]]


def test_a_provider_without_a_batch_api(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    server.refusals["POST /v1/files"] = [(404, {})]
    with pytest.raises(
        ServerError, match=r"set teacher\.batch=false where the provider has no batch API"
    ):
        raise outcomes(server, tmp_path, ["a"])[0]


def test_a_batch_whose_creation_was_not_answered_is_not_made_twice(
    batch_server: Start, tmp_path: Path
) -> None:
    server = batch_server()
    route, broken = server._route, []

    def breaks_once(what: str, headers: Any, body: bytes) -> Any:
        found = route(what, headers, body)
        if what == "POST /v1/batches" and not broken:
            broken.append(what)
            return 502, {}, b"bad gateway"
        return found

    server._route = breaks_once  # type: ignore[method-assign]
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert server.submitted == [["a"]]


def test_a_file_of_which_no_batch_was_made_is_made_one_of(
    batch_server: Start, tmp_path: Path
) -> None:
    """The run was killed between the upload and the batch, or before the batch's id was kept."""
    server = batch_server()
    server.held.set()
    server.refusals["GET /v1/batches/"] = [(400, {})]
    outcomes(server, tmp_path, ["a"])
    with contextlib.closing(sqlite3.connect(tmp_path / "cache/calls.sqlite")) as database:
        database.execute("UPDATE sent SET batch = NULL")
        database.commit()
    server.held.clear()
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert server.submitted == [["a"]]


def test_a_batch_that_the_provider_forgot_is_sent_anew(
    batch_server: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = batch_server()
    server.refusals["GET /v1/batches/"] = [(400, {})]
    outcomes(server, tmp_path, ["a"])
    server.batches[0].id = "another"
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert "batch batch-0: not known to the provider any more" in capsys.readouterr().err
    assert server.submitted == [["a"], ["a"]]


def test_a_run_may_want_some_calls_of_a_batch_only(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    server.refusals["GET /v1/batches/"] = [(400, {})]
    outcomes(server, tmp_path, ["a", "b"])
    assert texts(outcomes(server, tmp_path, ["b", "c"])) == ["You said b", "You said c"]
    assert texts(outcomes(server, tmp_path, ["a"])) == ["You said a"]
    assert server.submitted == [["a", "b"], ["c"]]


def test_more_calls_than_a_file_takes(
    batch_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MOST_CALLS", 2)
    server = batch_server()
    found = outcomes(server, tmp_path, list("abcde"))
    assert texts(found) == [f"You said {letter}" for letter in "abcde"]
    assert server.submitted == [["a", "b"], ["c", "d"], ["e"]]
    monkeypatch.setattr(batches, "MOST_BYTES", 1)
    outcomes(server, tmp_path, list("xy"))
    assert server.submitted[3:] == [["x"], ["y"]]


def test_calls_that_the_account_has_no_room_for_are_sent_in_parts(
    batch_server: Start, tmp_path: Path
) -> None:
    server = batch_server()

    def ending(batch: StandInBatch) -> tuple[str, int]:
        if len(batch.requests) <= 2:
            return "completed", len(batch.requests)
        batch.errors = [{"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}]
        return "failed", 0

    server.ending = ending
    found = outcomes(server, tmp_path, list("abcde"))
    assert texts(found) == [f"You said {letter}" for letter in "abcde"]
    assert server.submitted == [list("abcde"), ["a", "b"], ["c", "d", "e"], ["c"], ["d", "e"]]


def test_a_second_sample_goes_into_a_second_batch(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server(
        lambda body: "" if body["seed"] == 70_000 and "b" in str(body["messages"]) else "Yes."
    )

    async def one(client: ChatClient, prompt: str) -> str:
        for sample in range(2):
            text = (await client.complete(said(prompt), sample=sample)).text
            if text:
                return text
        return "none"

    async def run() -> list[str]:
        async with opened(server, tmp_path) as client:
            return await asyncio.gather(one(client, "x"), one(client, "b"))

    assert asyncio.run(run()) == ["Yes.", "Yes."]
    assert server.submitted == [["x", "b"], ["b"]]


RUN = f"""
import sys
from pathlib import Path
sys.path[:0] = [{str(CHECKOUT / "tests")!r}, {str(CHECKOUT / "tests/llm")!r}]
import test_batches
from types import SimpleNamespace
from longwriter.llm import batches
batches.QUIET_S = batches.FIRST_POLL_S = batches.LONGEST_POLL_S = 0.05
server = SimpleNamespace(base_url=sys.argv[1])
for text in test_batches.texts(test_batches.outcomes(server, Path(sys.argv[2]), sys.argv[3:])):
    print(text)
"""


def start(server: BatchServer, folder: Path, *prompts: str) -> "subprocess.Popen[str]":
    """The calls in a process of their own."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN, server.base_url, str(folder), *prompts],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_polled(server: BatchServer) -> None:
    deadline = time.monotonic() + 30
    while not (server.batches and server.batches[-1].polls):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_run_is_taken_up_again(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    server.held.set()
    process = start(server, tmp_path, "a", "b")
    wait_until_polled(server)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert sent(tmp_path) == [("file-0", "batch-0")] * 2
    server.held.clear()
    assert texts(outcomes(server, tmp_path, ["a", "b"])) == ["You said a", "You said b"]
    assert server.submitted == [["a", "b"]]


def test_two_processes_share_a_batch(batch_server: Start, tmp_path: Path) -> None:
    server = batch_server()
    server.held.set()
    processes = [start(server, tmp_path, "a", "b") for _ in range(2)]
    wait_until_polled(server)
    while server.seen.count("GET /v1/batches/batch-0") < 20:
        time.sleep(0.02)
    server.held.clear()
    for process in processes:
        assert process.communicate(timeout=30)[0].splitlines() == ["You said a", "You said b"]
    assert server.submitted == [["a", "b"]]


def test_ctrl_c_ends_at_once_and_says_that_the_batch_goes_on(
    batch_server: Start, tmp_path: Path
) -> None:
    server = batch_server()
    server.held.set()
    process = start(server, tmp_path, "a", "b")
    wait_until_polled(server)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert time.monotonic() - begun < 5
    lines = [line for line in told.splitlines() if line.startswith(("batch", "stopping"))]
    assert lines[1:] == [
        "batch batch-0: continues at the provider; the same command picks up its answers"
    ]
    assert "never retrieved" not in told
    server.held.clear()
    assert texts(outcomes(server, tmp_path, ["a", "b"])) == ["You said a", "You said b"]
    assert server.submitted == [["a", "b"]]


def test_a_secret_in_a_header_is_in_no_file(
    batch_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-never-in-a-file")
    server = batch_server()
    outcomes(server, tmp_path, ["a"], extra_headers={"X-Api-Key": "$MY_KEY"})
    assert "sk-never" not in json.dumps(server.batches[0].requests)
    assert {headers["x-api-key"] for headers in server.headers} == {"sk-never-in-a-file"}


def test_a_stage_by_batches(
    batch_server: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    server = batch_server(
        lambda body: "As an AI model, I drink no tea." if body["seed"] % 10_000 == 0 else "Leaves."
    )
    rows = [{"id": name, "prompt": f"What is {name}?"} for name in ("tea", "mate")]
    (tmp_path / "requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = OmegaConf.create(compose_params(CHECKOUT))
    assert isinstance(config, DictConfig)
    settings, work = validate(config), Workspace(tmp_path, tmp_path)
    settings.runtime.system_metrics = False
    own = {"kind": ServerKind.endpoint, "base_url": server.base_url, "model": "m", "batch": True}
    own |= {"price_prompt": 1.0, "price_completion": 2.0, "vllm": None, "identity": None}
    for name, value in own.items():
        setattr(settings.teacher, name, value)
    settings.short_answers.instructions = "requests.jsonl"
    settings.short_answers.attempts = 2
    settings.short_answers.max_cost = 1.0
    stage = runpy.run_path(str(CHECKOUT / "stages/short_answers.py"))["short_answers"]
    stage(settings, work)
    found = (tmp_path / "data/short_answers/rows.jsonl").read_text().splitlines()
    assert [json.loads(row)["messages"][1]["content"] for row in found] == ["Leaves.", "Leaves."]
    assert server.submitted == [["What is tea?", "What is mate?"]] * 2
    told = json.loads((tmp_path / "metrics/short_answers.json").read_text())
    # 4 calls of 10 prompt tokens; 8 words of a refusal and one of an answer, twice; half of the price
    assert (told["calls"], told["cost_usd"]) == (4, round((40 + 2 * (8 + 1) * 2) / 1e6 / 2, 6))
