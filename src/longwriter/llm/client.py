"""The one way to generate text: an async chat client with a cache, limits and counts."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from longwriter.core.errors import ServerFault
from longwriter.core.rows import Usage
from longwriter.llm.cache import Cache, call_key
from longwriter.llm.limits import Budget, RateLimiter
from longwriter.llm.settings import Address, ServerSettings, Structured

Messages = list[dict[str, str]]

SEED_STRIDE = 10_000
"""Stride between run seeds, larger than any call's sample count, so two runs never reuse a seed."""


@dataclass(frozen=True)
class Completion:
    """A model's answer. Token counts are the server's."""

    text: str
    finish_reason: str
    """`stop` where the model ended it, `length` where max_tokens cut it off."""
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int


class ChatClient:
    """A client of one model. Use `ChatClient.open`."""

    def __init__(
        self,
        settings: ServerSettings,
        address: Address,
        cache: Cache,
        seed: int,
        max_cost: float | None = None,
    ) -> None:
        from longwriter.llm.transport import Transport  # openai takes half a second to import

        self.settings = settings
        self.address = address
        self.usage = Usage()
        self.from_cache = 0
        self._cache = cache
        self._seed = seed
        self.rate_limiter = RateLimiter(settings)
        self._budget = Budget(max_cost)
        self._transport = Transport(settings, address, self.rate_limiter.hooks)

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
            seed: shifts the seed that is sent with every call, so another one gives other samples.
            max_cost: US dollars that all calls together may cost, those from the cache included.
        """
        cache = Cache(cache_folder / "calls.sqlite")
        client = cls(settings, address, cache, seed, max_cost)
        try:
            yield client
        finally:
            await client._transport.close()
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
        """Returns one answer, from the cache where the same call was finished before.

        Args:
            max_tokens: most new tokens; default: the settings'.
            temperature: default: the settings'.
            schema: JSON schema that the answer must fit.
            stop: strings that end the answer and are not part of it.
            sample: index of the sample, from 0; another index is another call.
            usage: where to count the call, besides the client's own count.

        Raises:
            CallError: this call failed for good, or could exceed max_cost.
            ServerError: every call would fail.
        """
        request = self._request(messages, max_tokens, temperature, schema, stop, sample)
        key = call_key(**request | {"model": self.address.identity, "sample": sample})
        kept = self._cache.get(key)
        if kept is None:
            prompt, most = prompt_bytes(request["messages"]), request["max_tokens"]
            async with (
                self._budget.set_aside(self.settings.cost(prompt // 2, 0, most)),
                self.rate_limiter.call(prompt // 4 + most),
            ):
                completion = await self._ask(request)
                self._cache.put(key, asdict(completion))
                self._budget.spend(self._count(completion, usage))
        else:
            self.from_cache += 1
            completion = Completion(**kept)
            self._budget.spend(self._count(completion, usage))
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
        """The server's answer. The transport retries broken connections and error statuses; a status
        200 with a body that is not a chat completion is retried here."""
        for attempt in range(self.settings.max_retries + 1):
            if attempt:
                await asyncio.sleep(min(0.5 * 2**attempt, 8))
            completion = _completion(await self._transport.post(request))
            if completion is not None:
                return completion
        raise ServerFault(f"{self.address.base_url}: the response is not a chat completion")


def prompt_bytes(messages: Messages) -> int:
    """UTF-8 bytes of a prompt. A quarter of them is a fair estimate of its tokens, in English and in
    Chinese; half of them is more than any tokenizer in use makes of natural text."""
    return sum(len(message["content"].encode()) + 16 for message in messages)


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
    """The parts of a chat completion that are read."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: _Counts | None = None


def _completion(answer: bytes) -> Completion | None:
    """The completion in a response's body; None where the body is not a chat completion."""
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
