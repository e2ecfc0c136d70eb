"""The one way to generate text: an async chat client over `openai`, with cache and counts.

`openai` takes half a second to import, so it is imported where a call is made.
"""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx2
from pydantic import BaseModel, Field, ValidationError

from longwriter.core.errors import (
    BadRequest,
    ContextExceeded,
    LongwriterError,
    RateLimited,
    ServerError,
    ServerFault,
    TimedOut,
)
from longwriter.core.rows import Usage
from longwriter.llm.cache import Cache, call_key
from longwriter.llm.limits import Budget, Hooks, RateLimiter
from longwriter.llm.servers import Address
from longwriter.llm.settings import ServerSettings, Structured

if TYPE_CHECKING:
    import openai


Messages = list[dict[str, str]]


CONNECTIONS = 8
"""Of one pool, about. At each request httpx looks through all connections of its pool: of a thousand
that takes longer than the request."""


SEED_STRIDE = 10_000
"""Between the seeds of two runs: a call samples fewer times, so no two runs share a sample."""


@dataclass(frozen=True)
class Completion:
    """What the model answered. Token counts are the server's."""

    text: str
    finish_reason: str
    """`stop`: it ended by itself; `length`: cut off by max_tokens."""
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int


class ChatClient:
    """Speaks to one model. Use `ChatClient.open`."""

    def __init__(
        self,
        settings: ServerSettings,
        address: Address,
        cache: Cache,
        seed: int,
        max_cost: float | None = None,
    ) -> None:
        self.settings = settings
        self.address = address
        self.usage = Usage()
        self.from_cache = 0
        self._cache = cache
        self._seed = seed
        self.pace = RateLimiter(settings)
        self._purse = Budget(max_cost)
        self._openai = _pools(settings, address, self.pace.hooks)
        self._turn = cycle(self._openai)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: ServerSettings,
        address: Address,
        cache_folder: Path,
        seed: int,
        max_cost: float | None = None,
    ) -> AsyncIterator["ChatClient"]:
        """Yields a client whose finished calls are kept in `cache_folder`/calls.sqlite.

        Args:
            seed: shifts the seed that is sent with every call, and so names other samples.
            max_cost: US dollars that all calls together may cost, those from the cache included.
        """
        cache = Cache(cache_folder / "calls.sqlite")
        client = cls(settings, address, cache, seed, max_cost)
        try:
            yield client
        finally:
            for pool in client._openai:
                await pool.close()
            cache.close()

    @property
    def spent(self) -> dict[str, float]:
        """Calls, tokens, the share of prompt tokens that the server's prefix cache served, and US
        dollars so far, answers from the cache included, for metrics."""
        share = self.usage.cached_prompt_tokens / max(self.usage.prompt_tokens, 1)
        return {
            **self.usage.model_dump(),
            "cached_share": round(share, 4),
            "cost_usd": round(self.usage.cost_usd, 6),
        }

    async def complete(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        schema: dict[str, Any] | None = None,
        stop: Sequence[str] = (),
        sample: int = 0,
        usage: Usage | None = None,
    ) -> Completion:
        """One answer, from the cache where the same call was finished before.

        Args:
            max_tokens: most new tokens; default: the settings'.
            temperature: default: the settings'.
            schema: JSON schema that the answer must fit.
            stop: strings that end the answer and are not part of it.
            sample: index of the sample; another index is another call.
            usage: also counts the call here.

        Raises:
            CallError: this call failed for good, or may cost more than what is left.
            ServerError: every call would fail.
        """
        request = self._request(messages, max_tokens, temperature, schema, stop, sample)
        key = call_key(**request | {"model": self.address.identity, "sample": sample})
        kept = self._cache.get(key)
        if kept is None:
            prompt, most = prompt_bytes(request["messages"]), request["max_tokens"]
            async with (
                self._purse.set_aside(self.settings.cost(prompt // 2, 0, most)),
                self.pace.call(prompt // 4 + most),
            ):
                completion = await self._ask(request)
                self._cache.put(key, asdict(completion))
                self._purse.spend(self._count(completion, usage))
        else:
            self.from_cache += 1
            completion = Completion(**kept)
            self._purse.spend(self._count(completion, usage))
        return completion

    def _count(self, completion: Completion, usage: Usage | None) -> float:
        """Adds a call to the client's usage and to `usage`; returns what it cost."""
        tokens = completion.prompt_tokens, completion.cached_prompt_tokens
        cost = self.settings.cost(*tokens, completion.completion_tokens)
        for counter in (self.usage, usage):
            if counter is not None:
                counter.calls += 1
                counter.prompt_tokens += completion.prompt_tokens
                counter.cached_prompt_tokens += completion.cached_prompt_tokens
                counter.completion_tokens += completion.completion_tokens
                counter.cost_usd += cost
        return cost

    def _request(
        self,
        messages: Messages,
        max_tokens: int | None,
        temperature: float | None,
        schema: dict[str, Any] | None,
        stop: Sequence[str],
        sample: int,
    ) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.address.model,
            "messages": messages,
            "max_tokens": max_tokens or self.settings.max_tokens,
            "temperature": self.settings.temperature if temperature is None else temperature,
            "top_p": self.settings.top_p,
            "seed": self._seed * SEED_STRIDE + sample,
        }
        if stop:
            request["stop"] = list(stop)
        if schema and self.settings.structured is Structured.json_schema:
            request["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        elif schema:
            last = messages[-1]
            form = f"Answer with one JSON object and nothing else. Its schema: {json.dumps(schema)}"
            request["messages"] = [
                *messages[:-1],
                last | {"content": f"{last['content']}\n\n{form}"},
            ]
        return request

    async def _ask(self, request: dict[str, Any]) -> Completion:
        """The server's answer. `openai` retries faults of transport and status; a body that is
        no completion is a success to it, so that one is retried here."""
        import openai

        for attempt in range(self.settings.max_retries + 1):
            if attempt:
                await asyncio.sleep(min(0.5 * 2**attempt, 8))
            try:
                # `chat.completions.create` would walk request and answer by their types, which takes
                # longer than all else that a call costs here.
                answer = await next(self._turn).post(
                    "/chat/completions", body=request, cast_to=httpx2.Response
                )
            except openai.OpenAIError as error:
                raise self._typed(error) from None
            completion = _completion(answer.content)
            if completion is not None:
                return completion
        raise ServerFault(f"{self.address.base_url}: the answer's body is no chat completion")

    def _typed(self, error: "openai.OpenAIError") -> LongwriterError:
        import openai

        where, what = self.address.base_url, str(error)
        if self.settings.api_key_env:  # some servers send the key back
            what = what.replace(self.address.api_key, f"<{self.settings.api_key_env}>")
        match error:
            case openai.APITimeoutError():
                return TimedOut(f"{where}: no answer in {self.settings.timeout_s:g} s")
            case openai.APIConnectionError() if not isinstance(
                error.__cause__, httpx2.ConnectError
            ):
                return ServerFault(f"{where}: the connection broke ({error.__cause__ or what})")
            case openai.APIConnectionError():
                return ServerError(
                    f"{where}: cannot be reached ({error.__cause__ or what}). Start the server or "
                    "mend base_url, then run the same command: finished calls are kept."
                )
            case openai.AuthenticationError() | openai.PermissionDeniedError():
                key = self.settings.api_key_env
                return ServerError(f"{where}: refuses the key (api_key_env={key}): {what}")
            case openai.NotFoundError():
                return ServerError(f"{where}: does not know model {self.address.model!r}: {what}")
            case openai.RateLimitError() if error.code == "insufficient_quota":
                return ServerError(f"{where}: the account has no money left: {what}")
            case openai.RateLimitError():
                return RateLimited(f"{where}: {what}")
            case openai.BadRequestError() if "context" in what.lower():
                return ContextExceeded(f"{where}: {what}")
            case openai.APIStatusError() if error.status_code < 500 and error.status_code not in (
                408,
                409,
            ):
                return BadRequest(f"{where}: {what}")
            case _:
                return ServerFault(f"{where}: {what}")


def prompt_bytes(messages: Messages) -> int:
    """UTF-8 bytes of a prompt. A quarter of them is a fair guess of its tokens, in English and in
    Chinese; half of them is more than any tokenizer in use makes of natural text."""
    return sum(len(message["content"].encode()) + 16 for message in messages)


def _pools(settings: ServerSettings, address: Address, hooks: Hooks) -> list["openai.AsyncOpenAI"]:
    """Clients with a pool of connections each, for CONNECTIONS calls in flight or so."""
    import openai

    tls = httpx2.create_ssl_context()
    return [
        openai.AsyncOpenAI(
            base_url=address.base_url,
            api_key=address.api_key,
            timeout=settings.timeout_s,
            max_retries=settings.max_retries,
            http_client=openai.DefaultAsyncHttpxClient(
                verify=tls,
                trust_env=not _loopback(address.base_url),
                event_hooks=hooks,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
            ),
        )
        for _ in range(-(-settings.concurrency // CONNECTIONS))
    ]


def _loopback(url: str) -> bool:
    """Whether the address is on this machine, so that no proxy of the environment may be asked."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None


class _Counts(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Body(BaseModel):
    """What is read of a chat completion."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Counts | None = None


def _completion(answer: bytes) -> Completion | None:
    """What a body says, or None where it is no chat completion."""
    try:
        body = _Body.model_validate_json(answer)
    except ValidationError:
        return None
    usage = body.usage or _Counts()
    details = usage.prompt_tokens_details
    return Completion(
        text=body.choices[0].message.content or "",
        finish_reason=body.choices[0].finish_reason or "",
        prompt_tokens=usage.prompt_tokens or 0,
        cached_prompt_tokens=(details.cached_tokens or 0) if details else 0,
        completion_tokens=usage.completion_tokens or 0,
    )


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, or holds between its first `{` and its last `}`."""
    start, end = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):  # numbers of thousands of digits, deep nesting
        return None
    return value if isinstance(value, dict) else None
