"""Several processes write what one writes."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from helpers.loopback import PROMPTS, Answer, ChatServer, agentwrite_settings, endpoint_settings

from longwriter.agentwrite.selection import Selection, sift
from longwriter.agentwrite.shards import select_and_write
from longwriter.agentwrite.writer import Outcome, describe
from longwriter.core.errors import ServerError, SettingsError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import Instruction
from longwriter.llm.client import Spending
from longwriter.llm.session import CallContext
from longwriter.llm.settings import ServerKind

Start = Callable[[Callable[[dict[str, Any]], Answer]], ChatServer]
SETTINGS = agentwrite_settings(min_step_words=10)
ASKED = [
    Instruction(prompt=f"Text {name}: write 40 words about tea.", id=name, length=40)
    for name in "abcdefghij"
]


def teacher(request: dict[str, Any]) -> Answer:
    if "response_format" in request:
        return '{"plan": [{"main_point": "All about tea.", "word_count": 40}]}'
    found = re.search(r"Text ([a-j]): write", str(request["messages"]))
    if not found:  # the small question that goes before the calls
        return "Red is warm."
    letter = found[1]
    if letter == "d":
        return ""
    return " ".join(f"{letter}{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(39)) + "."


def write(
    server: ChatServer, folder: Path, shards: int, max_cost: float | None = None, **changes: Any
) -> tuple[Selection, Outcome, dict[str, float]]:
    folder.mkdir(exist_ok=True)
    calls = CallContext(folder, 7, None, Spending("test", max_cost))
    settings = replace(SETTINGS, shards=shards)
    served = endpoint_settings(server.base_url, concurrency=4, **changes)
    return select_and_write(sift(ASKED, settings.select), settings, PROMPTS, served, calls)


def test_two_and_one_give_the_same_bytes(chat_server: Start, tmp_path: Path) -> None:
    server = chat_server(teacher)
    files = []
    for shards in (1, 2):
        _, outcome, spent = write(server, tmp_path / f"{shards}", shards)
        assert [failure.id for failure in outcome.failures] == ["d"]
        assert spent["calls"] == sum(draft.usage.calls for draft in outcome.drafts) + 4
        assert describe(outcome)["words"] == 9 * 39
        files.append(tmp_path / f"{shards}.jsonl")
        write_jsonl(files[-1], outcome.drafts)
    assert files[0].read_bytes() == files[1].read_bytes()
    asked = len(server.asked)
    write(server, tmp_path / "2", 1)  # all calls are in the one cache
    write(server, tmp_path / "1", 3)
    assert len(server.asked) == asked


def test_a_killed_process_stops_the_run_and_the_same_command_goes_on(
    chat_server: Start, tmp_path: Path
) -> None:
    written = []

    def slowly(request: dict[str, Any]) -> Answer:
        if "response_format" not in request:
            written.append(1)
            time.sleep(0.2)
        return teacher(request)

    def kill_a_worker() -> None:
        while len(written) < 4:
            time.sleep(0.01)
        below = psutil.Process().children(recursive=True)
        os.kill([process.pid for process in below if _is_worker(process)][-1], signal.SIGKILL)

    server = chat_server(slowly)
    killer = threading.Thread(target=kill_a_worker)
    killer.start()
    with pytest.raises(ServerError, match=r"was killed; finished calls are kept"):
        write(server, tmp_path, 2)
    killer.join()
    finished = len(written)
    server.answer = teacher
    server.requests.clear()
    _, outcome, _ = write(server, tmp_path, 2)
    assert len(outcome.drafts) == 9
    assert finished < 10 + 4
    assert len(server.asked) < 2 * 10 + 4  # plans and texts that were finished were not asked again


def _is_worker(process: psutil.Process) -> bool:
    """A process of the pool: a child of the fork server, which is a child of this one."""
    parent = process.parent()
    return parent is not None and parent.pid != os.getpid() and parent.ppid() == os.getpid()


def test_limits_are_split(chat_server: Start, tmp_path: Path) -> None:
    """With a limit of cost for half of the texts, as many are written by two processes as by one, within one text
    each."""
    server = chat_server(teacher)
    prices = {"price_prompt": 1.0, "price_completion": 1e4}
    number = []
    for shards in (1, 2):
        folder = tmp_path / f"{shards}"
        _, outcome, spent = write(server, folder, shards, max_cost=3.0, **prices)
        assert spent["cost_usd"] <= 3.0
        number.append(len(outcome.drafts))
    assert abs(number[0] - number[1]) <= 2
    assert 0 < number[1] < 9


def test_an_embedded_teacher_is_refused(chat_server: Start, tmp_path: Path) -> None:
    server = chat_server(teacher)
    with pytest.raises(SettingsError, match=r"agentwrite\.shards=2: .* teacher\.kind=endpoint"):
        write(server, tmp_path, 2, kind=ServerKind.llama_cpp)
