"""An async chat client with a cache, limits and usage counts: the one way to generate text."""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longwriter.core.errors import (
    CallError,
    RateLimited,
    ServerError,
    ServerFault,
    TimedOut,
)
from longwriter.core.rows import Usage
from longwriter.llm.addresses import Addresses, Elsewhere
from longwriter.llm.answers import Completion, Reply, read_reply, reply_in
from longwriter.llm.budget import Account, Budget, CallRecord
from longwriter.llm.cache import Cache, call_key
from longwriter.llm.limits import RateLimiter
from longwriter.llm.request import (
    Asked,
    Messages,
    cache_shape,
    extras_of,
    prompt_bytes,
    shape,
    wire,
)
from longwriter.llm.settings import Address, ServerKind, ServerSettings

if TYPE_CHECKING:
    from longwriter.llm.transport import Transport

SEED_STRIDE = 10_000
"""Stride between run seeds, larger than any call's sample count, so two runs never reuse a seed."""

_REPLY = [field.name for field in fields(Reply)]

_SURELY_WHOLE = 8_000
"""Longest prompt, in bytes, that is assumed to fit every server's context."""


@dataclass(frozen=True)
class Spending:
    """The budget that calls are charged to."""

    scope: str = ""
    """Name of the budget, the same for all runs of the same command."""
    max_cost: float | None = None
    """US dollars that all these runs together may cost; None: no limit."""


Check = Callable[["ChatClient"], Coroutine[Any, Any, None]]
"""Sends the server a test request before the first call that is not in the cache."""


class ChatClient:
    """A client of one model; create it with `ChatClient.open`."""

    def __init__(
        self,
        settings: ServerSettings,
        address: Address,
        cache: Cache,
        seed: int,
        spending: Spending,
        name: str,
        check: Check | None,
    ) -> None:
        from longwriter.llm.batches import Batches  # openai takes half a second to import
        from longwriter.llm.transport import Transport

        self.settings = settings
        self.address = address
        self.usage = Usage()
        self.from_cache = 0
        self.answered_by = ""
        """Model and fingerprint of the newest answer, as named by the server."""
        self.name = name
        self.cache = cache
        self.budget = Budget(
            spending.max_cost, cache.paid(spending.scope) if spending.max_cost is not None else 0.0
        )
        self.rate_limiter = RateLimiter(settings)
        self._seed = seed
        self._scope = spending.scope
        self._numbers = count()
        self._paid_for: set[asyncio.Task[Reply]] = set()
        self._least = math.inf, math.inf
        """Minima over the short prompts so far: tokens per byte, and tokens."""
        self.check_account = Account()
        """Account of the test request, which no result depends on and no stage's count includes."""
        self.stopped: ServerError | None = None
        """The error after which no more calls are made."""
        self._check = check
        self._checking: asyncio.Task[None] | None = None
        extras = extras_of(settings, name)
        self.transports = [
            Transport(settings, replace(address, base_url=url), extras, name)
            for url in (address.base_url, *address.others)
        ]
        self.addresses = Addresses(self.transports)
        self.batches = Batches(settings, address, cache, self.transports[0], name)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: ServerSettings,
        address: Address,
        cache_folder: Path,
        seed: int,
        spending: Spending = Spending(),
        name: str = "server",
        check: Check | None = None,
    ) -> AsyncIterator["ChatClient"]:
        """Yields a client whose finished calls are kept in `cache_folder`/calls.sqlite.

        When the block ends, even by an error or Ctrl-C, no new call starts. Calls in flight are
        already paid for, so they are awaited and kept; a second Ctrl-C ends at once. Batches
        continue at the provider.

        Args:
            seed: shifts the seed sent with every call; change it to get different samples.
            name: of the server in the settings, such as `teacher`, for the advice in errors.
        """
        cache = Cache(cache_folder / "calls.sqlite")
        try:
            client = cls(settings, address, cache, seed, spending, name, check)
            try:
                yield client
            finally:
                await client.batches.close()
                await client._finish()
                for transport in client.transports:
                    await transport.close()
        finally:
            cache.close()

    @property
    def spent(self) -> dict[str, float]:
        """Usage so far, as metrics; answers from the cache are included.

        Holds calls, tokens, US dollars, and the share of prompt tokens that the server's prefix
        cache served.
        """
        share = self.usage.cached_prompt_tokens / max(self.usage.prompt_tokens, 1)
        return {
            **self.usage.model_dump(),
            "cached_share": round(share, 4),
            "cost_usd": round(self.usage.cost_usd, 6),
        }

    def most(self, prompt_bytes: int, max_tokens: int) -> float:
        """Returns the most that a call can cost, in US dollars."""
        tokens = max_tokens + self.settings.reasoning_tokens
        return self.settings.cost(min(prompt_bytes // 2, self.settings.context), 0, tokens)

    async def complete(
        self,
        messages: Messages,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        schema: dict[str, Any] | None = None,
        stop: Sequence[str] = (),
        sample: int = 0,
        account: Account | None = None,
        step: str = "",
        chained: bool = False,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Returns one answer, from the cache if the same call has finished before.

        Args:
            max_tokens: most new tokens; default: the value in the settings.
            temperature: default: the value in the settings. If that is null, none is sent.
            schema: JSON schema that the answer must match.
            stop: strings that end the answer and are not part of it.
            sample: index of the sample, from 0; a different index is a different call.
            account: of the text that the call belongs to; its usage is counted there too.
            step: what the call is for, as shown in a trace.
            chained: whether other calls wait for this one, so that it is never sent in a batch.
            on_text: called with each piece of text as it arrives, if the settings say `stream`.

        Raises:
            BadCompletion: the answer is unusable: moderated, or cut off while thinking. Another
                sample may be usable.
            CallError: this call failed for good, or could exceed max_cost.
            ServerError: every call would fail.
        """
        settings = self.settings
        own = settings.temperature if temperature is None else temperature
        asked = Asked(
            messages,
            max_tokens or settings.max_tokens,
            None if settings.temperature is None else own,
            self._seed * SEED_STRIDE + sample,
            schema,
            stop,
            sample,
        )
        account = account or Account()
        call = _Call(self, asked, account, step, chained, on_text)
        try:
            completion = await call.complete()
        except CallError as error:
            call.note("", str(error))
            raise
        call.note(completion.text, "")
        return completion

    def count(self, reply: Reply, account: Account) -> float:
        """Adds a call to the client's and the account's usage; returns its cost in US dollars."""
        tokens = reply.prompt_tokens, reply.cached_prompt_tokens, reply.completion_tokens
        cost = self.settings.cost(*tokens) * reply.price
        counters = [account.usage] if account is self.check_account else [self.usage, account.usage]
        for counter in counters:
            counter.calls += 1
            counter.prompt_tokens += reply.prompt_tokens
            counter.cached_prompt_tokens += reply.cached_prompt_tokens
            counter.completion_tokens += reply.completion_tokens
            counter.thinking_tokens += reply.thinking_tokens
            counter.cost_usd += cost
        return cost

    def keep(self, key: str, reply: Reply, account: Account, most: float) -> None:
        """Stores a finished call and its cost."""
        cost = self.count(reply, account)
        told = dict(vars(reply))
        told["model"] = reply.model or self.address.model
        self.answered_by = f"{told['model']} {reply.fingerprint}".rstrip()
        told |= {"asked": self.address.identity, "at": round(time.time(), 3)}
        self.cache.put(key, told, self._scope, cost)
        if self.budget.most is not None:
            self.budget.pay(account, cost, most)
            if not reply.prompt_tokens and not reply.completion_tokens:
                raise ServerError(
                    f"{self.address.base_url}: reports no usage, so max_cost cannot be enforced; set it to "
                    "null, or name a server that counts tokens"
                )

    async def checked(self) -> None:
        """Waits until the server has been checked, which happens only once."""
        if self._check is not None and self._checking is None:
            check, self._check = self._check, None
            self._checking = asyncio.ensure_future(check(self))
        if self._checking is not None and self._checking is not asyncio.current_task():
            await asyncio.shield(self._checking)

    async def paid_for(self, request: Coroutine[Any, Any, Reply]) -> Reply:
        """Returns the reply to a request in flight.

        The request runs to its end, and its reply is kept, even if the waiting task is cancelled.
        """
        task = asyncio.ensure_future(request)
        self._paid_for.add(task)
        task.add_done_callback(self._paid_for.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return await asyncio.shield(task)

    async def _finish(self) -> None:
        """Waits for the calls in flight."""
        left = {task for task in self._paid_for if not task.done()}
        if left:
            print(
                f"\nstopping: waiting for {len(left)} calls in flight; press Ctrl-C again to stop "
                "at once …",
                file=sys.stderr,
                flush=True,
            )
            await asyncio.wait(left)

    def check_whole(self, messages: Messages, reply: Reply) -> None:
        """Checks that an endpoint has not truncated a prompt.

        The lowest number of tokens per byte among the short prompts so far tells how many tokens a
        long prompt should have. A server that reports no more tokens for a long prompt than for a
        short one does not count them, so it is not checked.

        Raises:
            ServerError: the prompt was truncated.
        """
        sent, counted = prompt_bytes(messages), reply.prompt_tokens
        if reply.cached_prompt_tokens > counted:  # counted separately
            counted += reply.cached_prompt_tokens
        if self.settings.kind is not ServerKind.endpoint or not counted:
            return
        density, fewest = self._least
        if sent <= _SURELY_WHOLE:
            self._least = min(density, counted / sent), min(fewest, counted)
        elif fewest < counted < 0.6 * density * sent:
            context = 1024 * max(1, round(counted / 1024))
            raise ServerError(
                f"{self.address.base_url}: cuts prompts silently: it counts {counted:,} tokens in a "
                f"prompt of {sent:,} bytes, so its context is smaller than {self.name}.context="
                f"{self.settings.context}. Serve the model with that context (Ollama: environment "
                f"variable OLLAMA_CONTEXT_LENGTH={self.settings.context} of `ollama serve`), or set "
                f"{self.name}.context={context}"
            )


class _Call:
    """One call, from the request to the completion."""

    def __init__(
        self,
        client: ChatClient,
        asked: Asked,
        account: Account,
        step: str,
        chained: bool,
        on_text: Callable[[str], None] | None,
    ) -> None:
        self.client, self.asked, self.account = client, asked, account
        self.step, self.chained, self.on_text = step, chained, on_text
        self.begun = time.time()
        self.waited = 0.0
        self.tries = 0
        self.reply: Reply | None = None

    async def complete(self) -> Completion:
        client, asked, settings = self.client, self.asked, self.client.settings
        shaped = shape(asked, settings, client.address.model)
        identity = {"model": client.address.identity, "sample": asked.sample, "seed": asked.seed}
        key = call_key(**cache_shape(shaped, settings) | identity)
        kept = client.cache.get(key)
        cut_at = () if settings.stop else asked.stop
        most = client.most(prompt_bytes(shaped["messages"]), asked.max_tokens)
        most *= settings.price(self.chained)
        if kept is None:
            await client.checked()
            ask = self._batch if settings.batch and not self.chained else self._ask
            async with client.budget.call(self.account, most):
                self.reply = await ask(shaped, key, most)
                kept = client.cache.get(key) if self.reply is None else None
        if kept is not None:
            client.from_cache += 1
            self.reply = Reply(**{name: kept[name] for name in _REPLY if name in kept})
            client.budget.learn(client.count(self.reply, self.account), most)
        assert self.reply is not None
        return read_reply(self.reply, cut_at)

    async def _batch(self, shaped: dict[str, Any], key: str, most: float) -> Reply | None:
        """Sends the request in a batch; returns None if another call has cached the answer."""
        client = self.client
        body = wire(shaped, client.settings, client.transports[0].extras)
        self.tries = 1

        def take(answer: bytes) -> Reply:
            return self._take(answer, shaped, key, most, client.settings.batch_price)

        return await client.batches.ask(key, body, take)

    async def _ask(self, shaped: dict[str, Any], key: str, most: float) -> Reply:
        """Sends the request until it is answered.

        Retries for `patience_s` while the server takes no calls, and `max_retries` times after
        other transient faults.
        """
        client = self.client
        number = next(client._numbers)
        tokens = prompt_bytes(shaped["messages"]) // 4 + shaped["max_tokens"]
        faults, refused_at = 0, 0.0
        # The test request is not retried: the real calls deal with transient faults.
        retries = 0 if self.account is client.check_account else client.settings.max_retries
        while True:
            before, pause = time.monotonic(), 0.0
            async with client.rate_limiter.call(number, tokens) as sent_at:
                self.waited += sent_at - before
                if client.stopped:
                    raise client.stopped
                self.tries += 1
                try:
                    with client.addresses.call(self.account) as transport:
                        request = self._request(transport, shaped, key, most)
                        return await client.paid_for(request)
                except Elsewhere:
                    pass
                except RateLimited as error:
                    refused_at = refused_at or sent_at
                    client.rate_limiter.refused(sent_at, error.pause, str(error), refused_at)
                except ServerError as error:
                    client.stopped = error
                    raise
                except (TimedOut, ServerFault):
                    if faults == retries:
                        raise
                    faults += 1
                    pause = min(0.5 * 2**faults, 8)
            self.waited += pause
            await asyncio.sleep(pause)

    async def _request(
        self, transport: "Transport", shaped: dict[str, Any], key: str, most: float
    ) -> Reply:
        """Sends the request once and stores its reply."""
        client = self.client
        body = wire(shaped, client.settings, transport.extras)
        answer = await transport.post(body, self.on_text)
        client.rate_limiter.answered()
        return self._take(answer, shaped, key, most)

    def _take(
        self, answer: bytes, shaped: dict[str, Any], key: str, most: float, price: float = 1.0
    ) -> Reply:
        """Returns the reply in a response's body, after storing it.

        Args:
            price: of the call, as a share of the usual price.
        """
        client, reply = self.client, reply_in(answer)
        if reply is None:
            raise ServerFault(f"{client.address.base_url}: the response is not a chat completion")
        if price != reply.price:
            reply = replace(reply, price=price)
        if reply.aborted:  # paid for, but not an answer: the next run asks again
            client.keep("", reply, self.account, most)
            return reply
        client.check_whole(shaped["messages"], reply)
        client.keep(key, reply, self.account, most)
        return reply

    def note(self, text: str, fault: str) -> None:
        """Records the call for a trace, if its account keeps records."""
        if self.account.records is None:
            return
        reply = self.reply
        self.account.records.append(
            CallRecord(
                step=self.step,
                begun=self.begun,
                seconds=time.time() - self.begun,
                waited=self.waited,
                tries=self.tries,
                messages=self.asked.messages,
                text=text,
                fault=fault,
                prompt_tokens=reply.prompt_tokens if reply else 0,
                completion_tokens=reply.completion_tokens if reply else 0,
                thinking_tokens=reply.thinking_tokens if reply else 0,
                model=reply.model if reply else "",
            )
        )
