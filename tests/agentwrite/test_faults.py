"""Two hundred drafts against a server that fails three calls of ten, through five kills."""

import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import ChatServer, completion

from longwriter.core.files import write_jsonl
from longwriter.core.rows import Draft, Failure, Instruction
from longwriter.core.sources import read_jsonl

DRIVER = """
import asyncio
import sys
from pathlib import Path

from helpers.loopback import PROMPTS, agentwrite_settings, endpoint_settings
from longwriter.agentwrite.writer import write_drafts
from longwriter.llm.client import ChatClient
from longwriter.llm.settings import Address
from longwriter.core.rows import Instruction
from longwriter.core.sources import read_jsonl
from longwriter.core.files import write_jsonl

base_url, folder = sys.argv[1], Path(sys.argv[2])
agentwrite = agentwrite_settings(
    step_words=30, min_step_words=5, max_step_words=60, max_steps=10, max_point_characters=100
)
teacher = endpoint_settings(
    base_url, concurrency=64, max_retries=5, timeout_s=3.0, max_tokens=1024
)


async def write():
    address = Address(base_url, "m", "m")
    async with ChatClient.open(teacher, address, folder, 7) as client:
        return await write_drafts(client, read_jsonl(folder / "in", Instruction), agentwrite, PROMPTS)


outcome = asyncio.run(write())
write_jsonl(folder / "drafts", outcome.drafts)
write_jsonl(folder / "failures", outcome.failures)
"""
CONCURRENCY, KILLS = 64, 5
TOO_LONG = {f"text{number}" for number in range(0, 200, 40)}

JSON, HTML = "application/json", "text/html"
PAGE = b"<html>Bad gateway FAULT</html>"
ERROR = b'{"error": {"message": "FAULT"}}'
STATUS_FAULTS: dict[str, tuple[int, bytes, str, dict[str, str]]] = {
    "408": (408, ERROR, JSON, {}),
    "409": (409, ERROR, JSON, {}),
    "429": (429, ERROR, JSON, {}),
    "429 with a time": (429, ERROR, JSON, {"Retry-After": "1"}),
    "500": (500, ERROR, JSON, {}),
    "502": (502, PAGE, HTML, {}),
    "503": (503, ERROR, JSON, {}),
    "no JSON": (200, b"FAULT", JSON, {}),
    "a page": (200, PAGE, HTML, {}),
}
TRANSPORT = [*STATUS_FAULTS, "reset"]
BAD_TEXT = ["empty", "refusal", "cut off", "repeats"]
FAULTS = [*TRANSPORT * 2, *BAD_TEXT * 2]
RARE = 0.004
"""Share of calls that time out, for each takes seconds."""


def good_paragraph(draft: str, point: str, words: int) -> str:
    """As many words as asked for, that no other paragraph of the draft has."""
    stem = "".join(chr(97 + int(digit)) for digit in draft[4:] + point)
    return " ".join(f"{stem}x{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(words))


class FaultyTeacher:
    """Answers on loopback; whether a call fails, and how, is a hash of it and of how often it came.

    Attributes:
        seen: number of requests.
        faults: how often each fault was made.
        delivered: texts of all completions that were sent whole.
        repeated: calls that came again although the client had gone on from their answer.
        again: calls that came again after a whole answer that the client may not have kept.
    """

    def __init__(self) -> None:
        self.seen = self.again = 0
        self.faults = Counter[str]()
        self.delivered: set[str] = set()
        self.repeated: list[str] = []
        self._lock = threading.Lock()
        self._tries = Counter[str]()
        self._answered: dict[str, list[str]] = defaultdict(list)
        self._kept: set[str] = set()

    def came(self, request: dict[str, Any], key: str) -> str:
        """Notes a request; returns the fault it meets, if any."""
        draft = draft_of(request)
        with self._lock:
            self.seen += 1
            if key in self._kept:
                self.repeated.append(key)
            self.again += key in self._answered[draft]
            # A draft is written in order: it goes on only from an answer that is in the cache.
            self._kept.update(other for other in self._answered[draft] if other != key)
            self._tries[key] += 1
            share = _share(f"{key} {self._tries[key]}")
            fault = ""
            if share < RARE:
                fault = "time-out"
            elif share < 0.3:
                fault = FAULTS[int(_share(f"{share}") * len(FAULTS))]
            if draft in TOO_LONG and "Its point: 2" in request["messages"][-1]["content"]:
                fault = "too long"
            self.faults[fault] += 1
        return fault

    def sent(self, request: dict[str, Any], key: str, text: str) -> None:
        """Notes a completion that was sent whole."""
        with self._lock:
            self.delivered.add(text)
            self._answered[draft_of(request)].append(key)


def draft_of(request: dict[str, Any]) -> str:
    messages = request["messages"]
    return str(messages[2 if len(messages) > 1 else 0]["content"]).split(":")[0]


def _share(text: str) -> float:
    """A number in [0, 1) that is the same in every run."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) / 2**48


def written(request: dict[str, Any], fault: str) -> dict[str, Any]:
    """The completion that a request is answered with; a bad one where `fault` is of the text."""
    asked = str(request["messages"][-1]["content"])
    text = "…"
    if "response_format" in request:
        wanted = re.search(r"\nPlan (\d+) paragraph", request["messages"][2]["content"])
        steps = int(wanted[1]) if wanted else 0
        rows = [{"main_point": str(n + 2), "word_count": 30} for n in range(steps)]
        text = json.dumps({"plan": rows})
    elif found := re.search(r"about (\d+) words. Its point: (\d+)$", asked):
        text = good_paragraph(draft_of(request), found[2], int(found[1]))
    match fault:
        case "empty":
            return completion("")
        case "refusal":
            return completion("I'm sorry, but I can't help with that. FAULT")
        case "cut off":
            return completion(text[: len(text) // 2] + " FAULT", "length")
        case "repeats":
            before = asked.split("The text so far:\n")[-1].split("\n\n")[0]
            loop = before if "The text so far" in asked else " ".join(text.split()[:9] * 9)
            return completion(f"{loop} {loop} FAULT")
    return completion(text)


@contextmanager
def serving(teacher: FaultyTeacher) -> Iterator[str]:
    """Yields the address of `teacher`."""
    server = ChatServer(lambda request: "")

    class Handler(server._http.RequestHandlerClass):  # type: ignore[misc, name-defined]
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request, key = json.loads(body), hashlib.sha256(body).hexdigest()
            fault = teacher.came(request, key)
            if fault == "time-out":
                time.sleep(3.5)
                self.close_connection = True
            elif fault == "reset":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\nFAULT")
                linger = b"\1\0\0\0\0\0\0\0"  # closing sends RST
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                self.connection.close()
            elif fault == "too long":
                message = b'{"error": {"message": "FAULT: maximum context length is 9"}}'
                self.respond(400, message, JSON, {})
            elif fault in STATUS_FAULTS:
                self.respond(*STATUS_FAULTS[fault])
            else:
                answer = written(request, fault)
                self.respond(200, json.dumps(answer).encode(), JSON, {})
                teacher.sent(request, key, answer["choices"][0]["message"]["content"])

        def respond(self, status: int, body: bytes, kind: str, more: dict[str, str]) -> None:
            self.send_response(status)
            headers = {"Content-Type": kind, "Content-Length": str(len(body))} | more
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):  # a killed client; a file of a closed connection
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True

    server._http.RequestHandlerClass = Handler
    yield server.base_url
    server.close()


def start(base_url: str, folder: Path) -> subprocess.Popen[bytes]:
    tests = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, base_url, str(folder)],
        env=os.environ | {"PYTHONPATH": tests},
    )


@pytest.mark.slow
def test_faults_and_kills_lose_nothing_and_get_into_no_draft(tmp_path: Path) -> None:
    instructions = [
        Instruction(prompt=f"text{n}: write about tea.", id=f"text{n}", length=30 * (2 + n % 3))
        for n in range(200)
    ]
    write_jsonl(tmp_path / "in", instructions)
    teacher = FaultyTeacher()
    with serving(teacher) as base_url:
        for kill in range(KILLS):
            process = start(base_url, tmp_path)
            target = teacher.seen + 90 + 40 * kill
            while teacher.seen < target and process.poll() is None:
                time.sleep(0.002)
            process.kill()
            assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
        assert start(base_url, tmp_path).wait() == 0

    drafts = read_jsonl(tmp_path / "drafts", Draft)
    failures = read_jsonl(tmp_path / "failures", Failure)
    assert sorted([*(d.id for d in drafts), *(f.id for f in failures)]) == sorted(
        instruction.id for instruction in instructions
    )

    # Every fault was met, and about three calls of ten met one.
    assert set(teacher.faults) == {"", "time-out", "too long", *FAULTS}
    assert 0.2 < 1 - teacher.faults[""] / teacher.seen < 0.4

    # Those that no further try can help failed at that step; of the rest hardly any.
    errors = {failure.id: (failure.step, failure.error) for failure in failures}
    assert {name: errors.pop(name) for name in TOO_LONG} == dict.fromkeys(
        TOO_LONG, ("write 1", "ContextExceeded")
    )
    assert {error for _, error in errors.values()} <= {
        *("BadCompletion", "ServerFault", "RateLimited", "TimedOut")
    }
    assert len(errors) < 10

    # Each draft is, word for word, what the teacher wrote when nothing was wrong.
    for draft in drafts:
        assert draft.length == sum(step.word_count for step in draft.plan)
        assert draft.paragraphs == [
            good_paragraph(draft.id, step.main_point, len(paragraph.split()))
            for step, paragraph in zip(draft.plan, draft.paragraphs, strict=True)
        ]

    # The cache holds completions that the teacher sent whole, and nothing else.
    database = sqlite3.connect(tmp_path / "calls.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    rows = [json.loads(row[0]) for row in database.execute("SELECT completion FROM calls")]
    database.close()
    assert {row["text"] for row in rows} <= teacher.delivered
    assert len(rows) > len(drafts) * 3

    # No answer that was kept is asked for again; of those on their way at a kill some may be.
    assert teacher.repeated == []
    assert teacher.again <= CONCURRENCY * KILLS
