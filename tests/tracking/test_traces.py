import asyncio
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings
from helpers.loopback import (
    PROMPTS,
    Answer,
    ChatServer,
    agentwrite_settings,
    completion,
    endpoint_settings,
)
from mlflow import MlflowClient
from mlflow.entities import Span, Trace

from longwriter.agentwrite.writer import Outcome, write_drafts
from longwriter.core.rows import Draft, Failure, Instruction, Step, Usage
from longwriter.core.workspace import Workspace
from longwriter.llm.budget import CallRecord
from longwriter.llm.client import ChatClient
from longwriter.llm.settings import Address
from longwriter.tracking.runs import StageLog, stage_run
from longwriter.tracking.store import connect
from longwriter.tracking.traces import DraftTraces, draft_trace, shortened

RUNTIME = default_settings().runtime
SETTINGS = agentwrite_settings(
    step_words=30, min_step_words=5, max_step_words=60, max_steps=10, min_step_share=0.5
)
KEY = "sk-planted0123456789"
FIRST, SECOND = "The hive wakes.", "The bees fly out."
PLAN = {"plan": [{"main_point": FIRST, "word_count": 40}, {"main_point": SECOND, "word_count": 40}]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root whose database is migrated: that takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)


def words(number: int, name: str) -> str:
    return " ".join(f"{name}{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(number))


class Teacher:
    """Plans two paragraphs and writes them: the first after an error of the server, the second at the
    third sample."""

    def __init__(self) -> None:
        self.broke = False

    def __call__(self, request: dict[str, Any]) -> Answer:
        asked, sample = str(request["messages"][-1]["content"]), request["seed"] - 70_000
        if "response_format" in request:
            return json.dumps(PLAN)
        if FIRST in asked.split("Its point: ")[-1]:
            if not self.broke:
                self.broke = True
                return 500, f"out of order, key {KEY}".encode()
            time.sleep(0.3)
            body = completion(words(40, "a" * 20))
            body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 7}
            return body
        if sample == 0:
            return words(3, "b")
        if sample == 1:
            return completion(words(9, "c"), "content_filter")
        return words(40, "d")


def write(
    server: ChatServer, cache: Path, traces: DraftTraces, number: int = 1, **changes: Any
) -> Outcome:
    """Writes so many drafts."""
    settings = endpoint_settings(
        server.base_url, **{"max_tokens": 1024, "max_retries": 1} | changes
    )
    instructions = [
        Instruction(
            prompt=f"Write 80 words about bees. {'Yes, bees. ' * 90}{n}", length=80, id=f"{n}"
        )
        for n in range(number)
    ]

    async def work() -> Outcome:
        address = Address(server.base_url, "m", f"{server.base_url} m")
        async with ChatClient.open(settings, address, cache, 7) as client:
            return await write_drafts(client, instructions, SETTINGS, PROMPTS, traces)

    return asyncio.run(work())


def traces_of(root: Path, log: StageLog) -> list[Trace]:
    """Those that the page of the stage's run shows, the oldest first."""
    experiment = connect(root)
    found = MlflowClient().search_traces(locations=[experiment], run_id=log.id)
    return sorted(found, key=lambda trace: trace.info.request_time)


def tree(trace: Trace) -> dict[str, Any]:
    """Name → its children, of all spans."""

    def below(parent: str | None) -> dict[str, Any]:
        mine = [span for span in trace.data.spans if span.parent_id == parent]
        return {
            span.name: below(span.span_id) for span in sorted(mine, key=lambda s: s.start_time_ns)
        }

    return below(None)


def spans_of(trace: Trace) -> dict[str, Span]:
    """`write 2/sample 1` → its span."""
    by_id = {span.span_id: span for span in trace.data.spans}
    return {
        f"{by_id[span.parent_id].name}/{span.name}" if span.parent_id else span.name: span
        for span in trace.data.spans
    }


def test_a_trace_shows_every_call_of_a_draft(
    chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("LW_PLANTED", KEY)
    server, threads = chat_server(Teacher()), set(threading.enumerate())
    work, begun = Workspace(root, root), time.time_ns()
    with (
        stage_run("agentwrite", {}, work, RUNTIME) as log,
        DraftTraces(1, log) as traces,
    ):
        log.id  # noqa: B018  (what opening prints is not the traces')
        capfd.readouterr()
        outcome = write(server, tmp_path, traces, extra_headers={"x-gateway-key": "$LW_PLANTED"})
    ended = time.time_ns()
    assert capfd.readouterr() == ("", "")
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert left <= {"tqdm_monitor"}  # the progress bar's

    [draft] = outcome.drafts
    [trace] = traces_of(root, log)
    assert tree(trace) == {
        "draft": {
            "plan": {},
            "write 1": {},
            "write 2": {"sample 1": {}, "sample 2": {}, "sample 3": {}},
        }
    }
    spans = spans_of(trace)
    assert {name: span.status.status_code.value for name, span in spans.items()} == {
        "draft": "OK",
        "draft/plan": "OK",
        "draft/write 1": "OK",
        "draft/write 2": "OK",
        "write 2/sample 1": "ERROR",
        "write 2/sample 2": "ERROR",
        "write 2/sample 3": "OK",
    }
    assert [spans[name].span_type for name in ("draft", "draft/write 2", "draft/plan")] == [
        "AGENT",
        "TASK",
        "CHAT_MODEL",
    ]

    retried = spans["draft/write 1"]
    assert retried.get_attribute("tries") == 2
    assert retried.get_attribute("waited_s") == pytest.approx(1.0, abs=0.3)  # 0.5 s · 2
    assert retried.get_attribute("thinking_tokens") == 7
    assert retried.get_attribute("from_cache") is False
    assert retried.model_name == "m"
    assert retried.get_attribute("mlflow.chat.tokenUsage") == {
        "input_tokens": 10,
        "output_tokens": 40,
        "total_tokens": 50,
    }
    assert retried.outputs == {
        "choices": [{"message": {"role": "assistant", "content": shortened(words(40, "a" * 20))}}]
    }
    assert spans["write 2/sample 1"].get_attribute("fault") == "3 words of 40"
    assert "content_filter" in spans["write 2/sample 2"].get_attribute("fault")
    assert spans["write 2/sample 2"].status.description == (
        spans["write 2/sample 2"].get_attribute("fault")
    )

    # plan: 5 words of JSON at least; paragraphs of 40, 3, 9 and 40 words; 5 prompts of 10 tokens
    plan_tokens = len(json.dumps(PLAN).split())
    assert trace.info.token_usage == {
        "input_tokens": 50,
        "output_tokens": plan_tokens + 40 + 3 + 9 + 40,
        "total_tokens": 50 + plan_tokens + 92,
    }
    assert trace.info.tags["longwriter.draft"] == "0"
    assert trace.info.state.value == "OK"
    assert spans["draft"].inputs == {"prompt": shortened(draft.prompt)}
    assert spans["draft"].outputs == shortened(draft.response)

    assert retried.end_time_ns - retried.start_time_ns > 1.2e9  # a second's pause, 0.3 s of writing
    assert begun < spans["draft"].start_time_ns and spans["draft"].end_time_ns < ended
    for span in trace.data.spans:
        for child in trace.data.spans:
            if child.parent_id == span.span_id:
                assert span.start_time_ns <= child.start_time_ns
                assert child.end_time_ns <= span.end_time_ns

    shown = json.dumps(trace.to_dict())
    assert KEY not in shown
    longest = max(len(m["content"]) for m in retried.inputs["messages"])
    assert longest < 640  # 300 + 300 and the mark between them
    assert any("characters…]" in m["content"] for m in retried.inputs["messages"])


def test_a_failure_is_a_trace_that_names_no_key(
    chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LW_PLANTED", KEY)

    def answer(request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return json.dumps(PLAN)
        return 400, json.dumps({"error": {"message": f"bad request with key {KEY}"}}).encode()

    with (
        stage_run("agentwrite", {}, Workspace(root, root), RUNTIME) as log,
        DraftTraces(1, log) as traces,
    ):
        headers = {"x-gateway-key": "$LW_PLANTED"}
        outcome = write(chat_server(answer), tmp_path, traces, extra_headers=headers)
    [failure] = outcome.failures
    [trace] = traces_of(root, log)
    assert tree(trace) == {"draft": {"plan": {}, "write 1": {}}}
    spans = spans_of(trace)
    assert {name for name, span in spans.items() if span.status.status_code.value == "ERROR"} == {
        "draft",
        "draft/write 1",
    }
    assert trace.info.state.value == "ERROR"
    assert spans["draft"].outputs == f"write 1: {failure.error}: {failure.detail}"
    fault = spans["draft/write 1"].get_attribute("fault")
    assert "bad request with key <LW_PLANTED>" in fault
    assert KEY not in json.dumps(trace.to_dict())


def test_as_many_drafts_are_traced_as_asked_and_a_second_run_traces_again(
    chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer],
    root: Path,
    tmp_path: Path,
) -> None:
    server = chat_server(Teacher())

    def traced(number: int) -> list[Trace]:
        with (
            stage_run("agentwrite", {}, Workspace(root, root), RUNTIME) as log,
            DraftTraces(number, log) as traces,
        ):
            write(server, tmp_path, traces, number=3)
        return traces_of(root, log)

    assert traced(0) == []
    again = traced(2)
    assert sorted(trace.info.tags["longwriter.draft"] for trace in again) == ["0", "1"]
    for trace in again:
        calls = [span for span in trace.data.spans if span.span_type == "CHAT_MODEL"]
        assert len(calls) == 5
        assert {call.get_attribute("tries") for call in calls} == {0}
        assert {call.get_attribute("from_cache") for call in calls} == {True}
        assert {call.get_attribute("mlflow.chat.tokenUsage")["input_tokens"] for call in calls} == {
            10
        }
    assert len(traced(9)) == 3


def test_a_store_that_takes_no_trace_costs_one_warning(
    chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer],
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    import sqlite3

    with stage_run("agentwrite", {}, Workspace(root, root), RUNTIME) as log:
        log.id  # noqa: B018
        with sqlite3.connect(root / "mlruns/mlflow.db") as database:
            database.execute("ALTER TABLE spans RENAME TO gone")
        capfd.readouterr()
        with DraftTraces(3, log) as traces:
            outcome = write(chat_server(Teacher()), tmp_path, traces, number=3)
        with sqlite3.connect(root / "mlruns/mlflow.db") as database:
            database.execute("ALTER TABLE gone RENAME TO spans")
    assert len(outcome.drafts) == 3
    printed = [line for line in capfd.readouterr().err.splitlines() if "warning" in line]
    assert len(printed) == 1
    assert "traces of 3 draft(s) could not be written to MLflow" in printed[0]
    assert "spans" in printed[0]
    assert MlflowClient().get_run(log.id).info.status == "FINISHED"


def test_the_stage_does_not_wait_for_the_run_to_open(root: Path) -> None:
    opened = threading.Event()

    class Slow:
        @property
        def id(self) -> str:
            assert opened.wait(10)
            raise RuntimeError("no database")

    began = time.monotonic()
    with DraftTraces(1, Slow()) as traces:  # type: ignore[arg-type]
        traces.keep(FAILURE, [record("plan", 1000.0, 1.0)])
        assert time.monotonic() - began < 1
        opened.set()


FAILURE = Failure(id="f", prompt="Write.", step="plan", error="E", detail="d", attempts=1)


def record(step: str, begun: float, seconds: float, **changes: Any) -> CallRecord:
    told: dict[str, Any] = {
        "waited": 0.0,
        "tries": 1,
        "messages": [{"role": "user", "content": "Write."}],
        "text": "Words.",
        "fault": "",
        "prompt_tokens": 2,
        "completion_tokens": 1,
        "thinking_tokens": 0,
        "model": "m",
    }
    return CallRecord(step=step, begun=begun, seconds=seconds, **told | changes)


def test_times_are_those_of_the_calls() -> None:
    draft = Draft(
        prompt="Write.",
        id="d",
        plan=[Step(main_point="p", word_count=1)],
        paragraphs=["Words."],
        response="Words.",
        response_length=1,
        usage=Usage(),
    )
    calls = [  # written in parallel: the second paragraph's call ended first
        record("plan", 1000.0, 2.0),
        record("write 2", 1002.5, 1.0),
        record("write 1", 1002.0, 4.0, fault="too short"),
        record("write 1", 1006.0, 0.5),
    ]
    info, spans = draft_trace(draft, calls, "1", "run")
    assert [(s.name, s.start_time_ns / 1e9, s.end_time_ns / 1e9) for s in spans] == [
        ("draft", 1000.0, 1006.5),
        ("plan", 1000.0, 1002.0),
        ("write 1", 1002.0, 1006.5),
        ("sample 1", 1002.0, 1006.0),
        ("sample 2", 1006.0, 1006.5),
        ("write 2", 1002.5, 1003.5),
    ]
    assert (info.request_time, info.execution_duration) == (1_000_000, 6_500)
    assert info.trace_metadata == {"mlflow.sourceRun": "run"}


def test_a_call_that_was_never_sent_is_not_from_the_cache() -> None:
    call = record("plan", 1.0, 0.0, tries=0, model="", text="", fault="over max_cost")
    _, spans = draft_trace(FAILURE, [call], "1", "run")
    assert spans[-1].get_attribute("from_cache") is False
    assert spans[-1].get_attribute("mlflow.chat.tokenUsage") is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a" * 600, "a" * 600),
        ("a" * 300 + "b" * 1234 + "c" * 300, f"{'a' * 300} […1,234 characters…] {'c' * 300}"),
    ],
)
def test_long_texts_are_shortened(text: str, shown: str) -> None:
    assert shortened(text) == shown
