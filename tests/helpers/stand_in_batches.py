"""A provider with a batch API on loopback, whose batches end when a test lets them."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helpers.loopback import Answer, completion


@dataclass
class StandInBatch:
    """One batch."""

    id: str
    file: str
    requests: list[dict[str, Any]]
    """The lines of its file."""
    polls: int = 0
    status: str = "in_progress"
    errors: list[dict[str, Any]] = field(default_factory=list)
    """Why it failed."""


class BatchServer:
    """Speaks POST /v1/files, POST and GET /v1/batches, and POST /v1/chat/completions.

    Attributes:
        answer: makes the answer to a request's body, directly and in a batch.
        polls: questions about a batch that find it in progress; the next one finds it ended.
        held: while set, no batch ends.
        ending: called with a batch that ends; returns its status and how many of its requests are done.
        refusals: answers to the next requests of a path (its beginning), `(status, headers)`, used up in
            turn.
        batches, direct, seen, headers: the batches so far, the bodies of direct calls, and of all requests
            `METHOD PATH` and the headers, their names in lower case.
    """

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self.answer = answer
        self.polls = 0
        self.held = threading.Event()
        self.ending: Callable[[StandInBatch], tuple[str, int]] = lambda batch: (
            "completed",
            len(batch.requests),
        )
        self.refusals: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.batches: list[StandInBatch] = []
        self.direct: list[dict[str, Any]] = []
        self.seen: list[str] = []
        self.headers: list[dict[str, str]] = []
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.reply(b"")

            def do_POST(self) -> None:
                self.reply(self.rfile.read(int(self.headers["Content-Length"])))

            def reply(self, body: bytes) -> None:
                own = {name.lower(): value for name, value in self.headers.items()}
                with owner._lock:
                    status, headers, content = owner._route(
                        f"{self.command} {self.path.partition('?')[0]}", own, body
                    )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def submitted(self) -> list[list[str]]:
        """What each batch asks: the last message of its requests."""
        return [
            [request["body"]["messages"][-1]["content"] for request in batch.requests]
            for batch in self.batches
        ]

    def _route(
        self, what: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.seen.append(what)
        self.headers.append(headers)
        for start, left in self.refusals.items():
            if what.startswith(start) and left:
                status, own = left.pop(0)
                return status, own, b'{"error": {"message": "not now"}}'
        match what.replace("/v1/", " ").split():
            case ["POST", "chat/completions"]:
                request = json.loads(body)
                self.direct.append(request)
                status, found = _status_and_body(self.answer(request))
                return status, {}, json.dumps(found).encode()
            case ["POST", "files"]:
                return _json({"id": self._upload(headers["content-type"], body), "object": "file"})
            case ["POST", "batches"]:
                return _json(self._create(json.loads(body)))
            case ["GET", "batches"]:
                newest = [self._told(batch) for batch in reversed(self.batches)]
                return _json({"object": "list", "data": newest, "has_more": False})
            case ["GET", path] if path.startswith("batches/"):
                named = [b for b in self.batches if f"batches/{b.id}" == path]
                if not named:
                    return 404, {}, b'{"error": {"message": "No batch found"}}'
                return _json(self._poll(named[0]))
            case ["GET", path] if path.endswith("/content"):
                return 200, {}, self._files[path.split("/")[1]]
        return 404, {}, b'{"error": {"message": "no such path"}}'

    def _upload(self, content_type: str, body: bytes) -> str:
        parts = BytesParser().parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
        found = {
            part.get_param("name", header="Content-Disposition"): part for part in parts.walk()
        }
        assert found["purpose"].get_payload() == "batch"
        content = found["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        return self._keep(content)

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self._files)}"
        self._files[name] = content
        return name

    def _create(self, body: dict[str, Any]) -> dict[str, Any]:
        file = body.pop("input_file_id")
        assert body == {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
        requests = [json.loads(line) for line in self._files[file].decode().split("\n") if line]
        names = [request["custom_id"] for request in requests]
        assert len(set(names)) == len(names)
        for request in requests:
            assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
        self.batches.append(StandInBatch(f"batch-{len(self.batches)}", file, requests))
        return self._told(self.batches[-1])

    def _poll(self, batch: StandInBatch) -> dict[str, Any]:
        batch.polls += 1
        if batch.polls <= self.polls or self.held.is_set():
            return self._told(batch)
        batch.status, done = self.ending(batch)
        good, bad = [], []
        for number, request in enumerate(batch.requests):
            line = {"id": str(number), "custom_id": request["custom_id"], "error": None}
            if number < done:
                status, body = _status_and_body(self.answer(request["body"]))
                line["response"] = {"status_code": status, "request_id": "r", "body": body}
                (good if status == 200 else bad).append(line)
            elif batch.status != "failed":
                code = f"batch_{batch.status}"
                bad.append(line | {"response": None, "error": {"code": code, "message": "late"}})
        told = self._told(batch)
        for name, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:  # in another order than they were sent
                text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines[::-1])
                told[name] = self._keep(text.encode())
        return told

    def _told(self, batch: StandInBatch) -> dict[str, Any]:
        counts = {"total": len(batch.requests), "completed": 0, "failed": 0}
        return {
            "id": batch.id,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "input_file_id": batch.file,
            "completion_window": "24h",
            "status": batch.status,
            "created_at": 0,
            "request_counts": counts,
            "errors": {"object": "list", "data": batch.errors} if batch.errors else None,
        }


def _json(value: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()


def _status_and_body(answer: Answer) -> tuple[int, Any]:
    if isinstance(answer, tuple):
        return answer[0], json.loads(answer[1])
    return 200, completion(answer) if isinstance(answer, str) else answer
