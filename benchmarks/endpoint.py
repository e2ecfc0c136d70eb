"""A simulated teacher: an OpenAI-compatible endpoint with a fixed rate of tokens/s per slot.

    python benchmarks/endpoint.py [--slots 64] [--rate 1500]

It prints its port, and answers requests for AgentWrite's plans and paragraphs after completion
tokens / rate seconds, at most `slots` of them at a time. It ends when its standard input closes.
GET returns the time slept since the last GET. It imports only the standard library, because it
shares the cores with what is being measured.
"""

import argparse
import asyncio
import json
import re
import sys
import time
from itertools import count, product
from os.path import commonprefix  # works on any strings
from typing import Any

WORDS = ["".join(letters) for letters in product("bcdfghjklmnpqrstvwxz", repeat=4)]
"""160,000 different words."""
TOKENS_PER_WORD = 1.3

_ABOUT = re.compile(r"in about (\d+) words|of about (\d+) words")


class Endpoint:
    """Slots that sleep instead of generating."""

    def __init__(self, slots: int, rate: float) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.rate = rate
        self.asked = count()
        self.slept: dict[str, float] = {}
        """First line of a draft's prompt → seconds slept, summed over the draft's calls."""
        self.known: dict[str, str] = {}
        """The latest prompt of each draft: a simulated prefix cache that does not affect timing."""

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Returns a completion, after keeping a slot busy for as long as writing it takes."""
        asked = request["messages"][-1]["content"]
        text = plan(request) if "response_format" in request else paragraph(asked, next(self.asked))
        tokens = round(text.count(" ") * TOKENS_PER_WORD) + 1
        async with self.slots:
            start = time.perf_counter()
            await asyncio.sleep(tokens / self.rate)
            draft = asked.split("\n", 1)[0]
            self.slept[draft] = self.slept.get(draft, 0.0) + time.perf_counter() - start
        cached = len(commonprefix([asked, self.known.get(draft, "")]))  # noqa: RUF071
        self.known[draft] = asked
        message = {"role": "assistant", "content": text}
        return {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {
                "prompt_tokens": len(asked) // 4,
                "prompt_tokens_details": {"cached_tokens": cached // 4},
                "completion_tokens": tokens,
                "total_tokens": len(asked) // 4 + tokens,
            },
        }


def plan(request: dict[str, Any]) -> str:
    """Returns a plan with as many steps as requested, all with the same word count."""
    found = re.search(r"\nPlan (\d+) paragraph", request["messages"][2]["content"])
    assert found is not None
    steps = int(found[1])
    rows = [
        {"main_point": f"What happens in part {step} and what comes of it.", "word_count": 500}
        for step in range(1, steps + 1)
    ]
    return json.dumps({"plan": rows})


def paragraph(asked: str, number: int) -> str:
    """Returns 0.9 to 1.1 times the requested words.

    No two paragraphs of a draft share eight consecutive words: each takes every n-th word, with
    another n or from another starting point.
    """
    found = _ABOUT.search(asked, max(0, len(asked) - 600))
    assert found is not None
    words = round(int(found[1] or found[2]) * (0.9 + number * 37 % 101 / 500))
    stride = 1 + number % 100
    start = number // 100 * 1009 % (len(WORDS) - words * stride)
    return " ".join(WORDS[start : start + words * stride : stride])


def streamed(answer: dict[str, Any]) -> bytes:
    """Returns the response streamed in chunks of one word, as servers do."""
    text = answer["choices"][0]["message"]["content"]
    words = [f"{word} " for word in text[:-1].split(" ")]
    words[-1] = words[-1][:-1] + text[-1:]
    head = {key: answer[key] for key in ("id", "object", "created", "model")}
    deltas = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in words]
    deltas.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks = [{**head, "choices": [delta]} for delta in deltas]
    chunks.append({**head, "choices": [], "usage": answer["usage"]})
    events = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    events += b"data: [DONE]\n\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n%s" % (
        len(events),
        events,
    )


class Connection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.received = bytearray()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.received[:end]).lower()
        _, given, length = head.partition(b"content-length:")
        size = int(length.split(b"\r\n", 1)[0]) if given else 0
        if len(self.received) >= end + 4 + size:
            body = bytes(self.received[end + 4 : end + 4 + size])
            del self.received[: end + 4 + size]
            self.task = asyncio.ensure_future(self.respond(body))

    async def respond(self, body: bytes) -> None:
        answer: dict[str, Any]
        if body:
            request = json.loads(body)
            answer = await self.endpoint.answer(request)
            if request.get("stream"):
                self.transport.write(streamed(answer))
                return
        else:
            answer, self.endpoint.slept = self.endpoint.slept, {}
        sent = json.dumps(answer).encode()
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
            % (len(sent), sent)
        )


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1500, help="tokens a second a slot")
    options = parser.parse_args()
    endpoint = Endpoint(options.slots, options.rate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(endpoint), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
