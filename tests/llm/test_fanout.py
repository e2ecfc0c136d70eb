import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from longwriter.core.errors import BadRequest, ServerError, TimedOut
from longwriter.llm.check import QUESTION
from longwriter.llm.fanout import all_or_none, together

CALL_MANY = """
import sys
from pathlib import Path

from helpers.loopback import endpoint_settings
from longwriter.llm.fanout import all_at_once
from longwriter.llm.session import CallContext, with_client
from longwriter.config.run import guarded


async def work(client):
    async def one(number):
        await client.complete([{"role": "user", "content": f"Hello {number}."}])

    await all_at_once([one(number) for number in range(20)], "calls")


guarded(
    lambda: with_client(
        work,
        endpoint_settings(sys.argv[1], concurrency=4),
        CallContext(Path(sys.argv[2]), seed=7, threads=None),
        name="teacher",
    )
)
"""


def interrupted(server: Any, folder: Path, signals: int) -> subprocess.CompletedProcess[str]:
    """Runs CALL_MANY and interrupts it when its four places are taken, after the small question."""
    process = subprocess.Popen(
        [sys.executable, "-c", CALL_MANY, server.base_url, str(folder)],
        env={"PYTHONPATH": str(Path(__file__).parent.parent)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(server.requests) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    for _ in range(signals):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    _, said = process.communicate(timeout=30)
    return subprocess.CompletedProcess([], process.returncode, stderr=said)


def kept(folder: Path) -> list[str]:
    """The texts in the cache, sorted."""
    database = sqlite3.connect(folder / "calls.sqlite")
    rows = database.execute("SELECT completion FROM calls").fetchall()
    database.close()
    return sorted(json.loads(row[0])["text"] for row in rows)


def test_after_an_interrupt_calls_in_flight_end_and_are_kept(
    chat_server: Any, tmp_path: Path
) -> None:
    def answer(request: dict[str, Any]) -> str:
        time.sleep(0 if request["messages"] == QUESTION else 1)
        return f"To {request['messages'][0]['content']}"

    server = chat_server(answer)
    process = interrupted(server, tmp_path, 1)
    assert process.returncode == 130
    assert process.stderr.splitlines()[-2:] == [
        "",
        "stopped: finished calls and checkpoints are kept; run the same command again to continue",
    ]
    assert "stopping: waiting for 4 calls in flight" in process.stderr
    assert "Traceback" not in process.stderr
    # The four in flight, and no call was begun in their places.
    assert len(server.requests) == 5
    first = f"To {QUESTION[0]['content']}"
    assert kept(tmp_path) == sorted([first, *(f"To Hello {number}." for number in range(4))])


def test_a_second_interrupt_ends_at_once(chat_server: Any, tmp_path: Path) -> None:
    late = threading.Event()

    def answer(request: dict[str, Any]) -> str:
        if request["messages"] != QUESTION:
            late.wait(20)
        return "late"

    start = time.perf_counter()
    process = interrupted(chat_server(answer), tmp_path, 2)
    late.set()
    assert process.returncode == 130
    assert "Traceback" not in process.stderr
    assert time.perf_counter() - start < 15
    assert kept(tmp_path) == ["late"]


async def after(seconds: float, result: str | Exception) -> str:
    await asyncio.sleep(seconds)
    if isinstance(result, Exception):
        raise result
    return result


def test_results_stand_in_the_order_of_the_jobs() -> None:
    jobs = [after(0.02, "first"), after(0, "second"), after(0.01, "third")]
    assert asyncio.run(together(jobs)) == ["first", "second", "third"]


def test_the_first_error_is_raised_as_it_is_and_ends_the_rest() -> None:
    ended = []

    async def long() -> str:
        try:
            return await after(60, "never")
        except asyncio.CancelledError:
            ended.append("long")
            raise

    with pytest.raises(ServerError, match=r"^away$"):
        asyncio.run(together([long(), after(0, ServerError("away"))]))
    assert ended == ["long"]


def test_one_failure_is_raised_when_all_were_tried() -> None:
    done = []

    async def last() -> str:
        done.append(await after(0.02, "last"))
        return "last"

    jobs = [after(0, "fine"), after(0.01, TimedOut("late")), after(0, BadRequest("no")), last()]
    with pytest.raises(TimedOut) as raised:
        asyncio.run(all_or_none(jobs, "judge"))
    assert str(raised.value) == (
        "2 of 4 calls of judge failed; the first: TimedOut: late. Finished calls are kept: "
        "rerunning the same command makes only the missing calls."
    )
    assert done == ["last"]
    with pytest.raises(ServerError, match=r"^away$"):
        asyncio.run(all_or_none([after(0, ServerError("away")), last()], "judge"))
