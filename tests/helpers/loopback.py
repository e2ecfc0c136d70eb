"""A chat server on loopback, and settings to speak to it and to write with it."""

import json
import threading
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from longwriter.agentwrite.prompts import read_prompts
from longwriter.agentwrite.settings import AgentWriteSettings, Language, SelectSettings
from longwriter.llm.check import QUESTION
from longwriter.llm.settings import ServerKind, ServerSettings, Structured

CHECKOUT = Path(__file__).resolve().parents[2]

PROMPT_FILES = {name: f"{CHECKOUT}/conf/prompts/agentwrite_{name}.yaml" for name in ("en", "zh")}
PROMPTS = read_prompts(PROMPT_FILES, CHECKOUT)
"""The agent's sentences."""

Answer = str | dict[str, Any] | tuple[int, bytes] | tuple[int, bytes, dict[str, str]]
"""A text (a completion that ended by itself), a whole body, or a status with the body's bytes and
headers."""


class Request(dict[str, Any]):
    """The JSON body of a request."""

    path: str
    """With its query."""
    headers: Message


def completion(text: str, finish_reason: str = "stop") -> dict[str, Any]:
    """The body of a chat completion: 10 prompt tokens, 4 of them from the prefix cache, and a
    completion token a word."""
    words = len(text.split())
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": words,
            "total_tokens": 10 + words,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128  # of the default 5, a burst of calls would have some reset


class ChatServer:
    """An HTTP server on a free loopback port that speaks POST /v1/chat/completions.

    Attributes:
        answer: called with each request's JSON body, in a thread of its own; replace it to answer
            otherwise from then on.
        requests: the JSON bodies of all requests so far.
        base_url: the address up to and with /v1.
        elsewhere: the answer at every other path.
    """

    elsewhere: Answer = (404, b"{}")

    def __init__(self, answer: Callable[[dict[str, Any]], Answer]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                request = Request(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                request.path, request.headers = self.path, self.headers
                owner.requests.append(request)
                known = self.path.partition("?")[0] == "/v1/chat/completions"
                answer = owner.answer(request) if known else owner.elsewhere
                status, body, headers = _encoded(answer)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._http = _Listener(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"
        # With the default poll of 0.5 s every test that uses a server would end that much later.
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The requests but for the small question that goes before them (`llm.check`)."""
        return [request for request in self.requests if request["messages"] != QUESTION]

    def close(self) -> None:
        """Stops listening; later calls are refused."""
        self._http.shutdown()
        self._http.server_close()


def _encoded(answer: Answer) -> tuple[int, bytes, dict[str, str]]:
    if isinstance(answer, tuple):
        status, body, *headers = answer
        return status, body, headers[0] if headers else {}  # type: ignore[return-value]
    content = completion(answer) if isinstance(answer, str) else answer
    return 200, json.dumps(content).encode(), {}


def endpoint_settings(base_url: Any, **changes: Any) -> ServerSettings:
    """Settings of model `m` at an address that is up, without retries; `changes` replace some."""
    settings: dict[str, Any] = {
        "kind": ServerKind.endpoint,
        "model": "m",
        "base_url": base_url,
        "identity": None,
        "api_key_env": None,
        "concurrency": 4,
        "context": 4096,
        "max_tokens": 100,
        "max_tokens_field": "max_tokens",
        "reasoning_tokens": 0,
        "temperature": 0.5,
        "top_p": 1.0,
        "seed": "seed",
        "stop": True,
        "stream": False,
        "structured": Structured.json_schema,
        "extra_body": {},
        "extra_headers": {},
        "extra_query": {},
        "timeout_s": 10.0,
        "max_retries": 0,
        "patience_s": 5.0,
        "batch": False,
        "batch_price": 0.5,
        "vllm": None,
        "requests_per_minute": None,
        "tokens_per_minute": None,
        "price_prompt": 0.0,
        "price_cached_prompt": None,
        "price_completion": 0.0,
    }
    return ServerSettings(**settings | changes)


def agentwrite_settings(**changes: Any) -> AgentWriteSettings:
    """The paper's steps of 200 to 1,000 words, three samples of each; nothing is asked about
    instructions, which may be of any length and number; `changes` replace some."""
    settings: dict[str, Any] = {
        "seed": 7,
        "instructions": None,
        "revision": None,
        "prompts": PROMPT_FILES,
        "select": SelectSettings(
            languages=[Language.en, Language.zh],
            min_characters=None,
            max_characters=None,
            per_language=None,
            screen_with_teacher=None,
        ),
        "limit": None,
        "words_per_page": None,
        "words_per_minute": None,
        "words_per_character": None,
        "step_words": 500,
        "min_step_words": 200,
        "max_step_words": 1000,
        "max_steps": 50,
        "max_point_characters": 400,
        "tokens_per_word": 2.0,
        "slack": 2.0,
        "stop": [],
        "min_step_share": 0.2,
        "min_text_share": 0.0,
        "max_step_repetition": 0.2,
        "attempts": 3,
        "parallel": False,
        "shards": 1,
        "max_failed": 1.0,
        "max_cost": None,
        "dry_run": False,
        "dry_run_tokens_per_s": 50.0,
    }
    return AgentWriteSettings(**settings | changes)
