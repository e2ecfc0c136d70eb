"""Web application of `longwriter serve`: OpenAI's chat API for one or more models, and a page."""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, TypeVar

import aiohttp
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from longwriter.llm.settings import Address
from longwriter.serve.guard import MOST_BYTES, Guard, discard, refusal
from longwriter.text.control_tokens import defused
from longwriter.text.demands import demand_in
from longwriter.text.languages import prompt_language

T = TypeVar("T")

GONE = 499
"""Status for a client that disconnected before the answer; as in nginx, and nobody reads it."""


@dataclass(frozen=True)
class Served:
    """A model that is running."""

    name: str
    """The name that requests use for it."""
    address: Address
    sampling: dict[str, Any] = field(default_factory=dict)
    """Default request fields, such as `temperature`; a request's own fields override them."""
    reads_control_tokens: bool = False
    """Whether the server reads `<|im_end|>` in a message as the turn's end (llama.cpp does)."""


def application(models: Sequence[Served], token: str = "") -> Guard:
    """Returns the ASGI application.

    Args:
        models: the models to offer; the first answers requests that name no model.
        token: as for `Guard`.
    """
    state = _Models(models)
    return Guard(
        Starlette(
            routes=[
                Route("/", state.page),
                Route("/health", state.health),
                Route("/length", state.length, methods=["POST"]),
                Route("/v1/models", state.list),
                Route("/v1/chat/completions", state.chat, methods=["POST"]),
            ],
            lifespan=state.lifespan,
        ),
        token,
    )


class _Models:
    def __init__(self, models: Sequence[Served]) -> None:
        self.models = {model.name: model for model in models}
        page = resources.files("longwriter.serve").joinpath("page.html").read_text("utf-8")
        self._page = page
        # The policy allows only the page's own script and style, by their digests.
        [script], [style] = (
            [_sha256(part) for part in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)]
            for tag in ("script", "style")
        )
        self._headers = {
            "Content-Security-Policy": f"default-src 'none'; script-src {script}; style-src {style}; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(  # takes less time per token than httpx2
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(),
            auto_decompress=False,
        ) as client:
            self.client = client
            yield

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self._page, headers=self._headers)

    async def health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def list(self, _: Request) -> Response:
        data = [{"id": name, "object": "model", "owned_by": "longwriter"} for name in self.models]
        return JSONResponse({"object": "list", "data": data})

    async def length(self, request: Request) -> Response:
        """Returns the length to aim at and the language that a prompt asks for."""
        body = await _body(request)
        if isinstance(body, Response):
            return body
        demand = demand_in(str(body.get("prompt", "")))
        return JSONResponse(
            {
                "length": demand.target if demand.unit == "words" else None,
                "language": prompt_language(str(body.get("prompt", ""))),
            }
        )

    async def chat(self, request: Request) -> Response:
        body = await _body(request)
        if isinstance(body, Response):
            return body
        name = body.get("model") or next(iter(self.models))
        model = self.models.get(str(name))
        if model is None:
            return refusal(404, f"model {name!r}: there are {', '.join(self.models)}")
        fault = _fault_in(body.get("messages"))
        if fault:
            return refusal(400, fault)
        try:
            answer = await _while_there(request, self._ask(model, body))
        except aiohttp.ClientError as error:
            return refusal(502, f"the model's server does not answer: {error}")
        if answer is None:
            return Response(status_code=GONE)
        kind = answer.headers.get("content-type", "application/json")
        return StreamingResponse(_passed_on(answer), answer.status, media_type=kind)

    async def _ask(self, model: Served, body: dict[str, Any]) -> aiohttp.ClientResponse:
        asked = {**model.sampling, **body, "model": model.address.model}
        if model.reads_control_tokens:
            asked["messages"] = [
                message | {"content": _defused(message["content"])} for message in body["messages"]
            ]
        headers = {"Authorization": f"Bearer {model.address.api_key}"}
        url = f"{model.address.base_url}/chat/completions"
        return await self.client.post(url, json=asked, headers=headers)


async def _body(request: Request) -> dict[str, Any] | Response:
    """Returns the JSON object in a request's body, or the response that refuses the request."""
    read = bytearray()
    try:
        async for piece in request.stream():
            read += piece
            if len(read) > MOST_BYTES:
                await discard(request.receive)
                return refusal(413, f"a request may have {MOST_BYTES:,} bytes")
        body = json.loads(read)
    except ClientDisconnect:
        return Response(status_code=GONE)
    except (ValueError, RecursionError) as error:
        return refusal(400, f"the request is not JSON: {error}")
    if not isinstance(body, dict):
        return refusal(400, "the request is not a JSON object")
    return body


def _fault_in(messages: Any) -> str:
    """Returns what is wrong with a request's messages; empty if nothing is."""
    if not isinstance(messages, list) or not messages:
        return "messages: a list of at least one {role, content} is needed"
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            return f"messages[{number}]: must be an object with a role"
        if not isinstance(message.get("content"), str | list):
            return f"messages[{number}].content: must be a string or a list"
    return ""


def _defused(content: Any) -> Any:
    """Returns a message's content with its control tokens turned into plain characters."""
    if isinstance(content, str):
        return defused(content)
    return [
        part | {"text": defused(part["text"])}
        if isinstance(part, dict) and isinstance(part.get("text"), str)
        else part
        for part in content
    ]


async def _while_there(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Returns the result of `work`; cancels it and returns None if the client disconnects first."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _passed_on(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yields the bytes of an answer as they arrive.

    The connection, and so the model's slot, is freed at the end or when the client disconnects.
    """
    try:
        async for piece in answer.content.iter_any():
            yield piece
    finally:
        answer.close()


def _sha256(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
