"""How fast a server may be asked: calls in flight, requests and tokens a minute, money."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from aiolimiter import AsyncLimiter

from longwriter.core.errors import OverBudget
from longwriter.llm.settings import ServerSettings

MINUTE = 60.0


Hooks = Mapping[str, list[Callable[..., Any]]]
"""What an HTTP client calls at each request and response."""


class RateLimiter:
    """Lets calls through as the server takes them.

    At most `concurrency` are in flight. A 429 halves how many, once for all requests that were on
    their way together; each answer to a full house lets 1/limit more in, so a round of answers one
    more (AIMD, as TCP: RFC 5681). Where limits a minute are set, requests wait for them.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limit = float(settings.concurrency)
        self._most = settings.concurrency
        self._in_flight = 0
        self._changed = asyncio.Condition()
        self._halved_at = 0.0
        self._requests = _a_minute(settings.requests_per_minute)
        self._tokens = _a_minute(settings.tokens_per_minute)
        self.hooks: Hooks = {
            "request": [self._before],
            "response": [self._after],
        }
        """For the HTTP client, whose own further tries count as requests too."""

    @asynccontextmanager
    async def call(self, tokens: int) -> AsyncIterator[None]:
        """A place for a call of at most so many tokens, prompt and answer."""
        if self._tokens is not None:
            await self._tokens.acquire(min(tokens, self._tokens.max_rate))
        async with self._changed:
            await self._changed.wait_for(lambda: self._in_flight < int(self.limit))
            self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            async with self._changed:
                if self.limit:
                    self._changed.notify(2)  # the place that is free, and one that may be new
                else:
                    self._changed.notify_all()  # drain() stands behind all who wait

    async def drain(self, seconds: float) -> int:
        """Lets no call in any more and waits for those in flight; returns how many are left."""
        self.limit = self._most = 0
        try:
            async with asyncio.timeout(seconds), self._changed:
                await self._changed.wait_for(lambda: not self._in_flight)
        except TimeoutError:
            pass
        return self._in_flight

    async def _before(self, request: httpx2.Request) -> None:
        if self._requests is not None:
            await self._requests.acquire()
        request.extensions["sent_at"] = time.monotonic()

    async def _after(self, response: httpx2.Response) -> None:
        if response.status_code == httpx2.codes.TOO_MANY_REQUESTS:
            if response.request.extensions["sent_at"] >= self._halved_at:
                self.limit = max(min(1, self._most), self.limit / 2)
                self._halved_at = time.monotonic()
        elif self._in_flight >= int(self.limit):
            self.limit = min(self._most, self.limit + 1 / max(self.limit, 1))


def _a_minute(rate: float | None) -> AsyncLimiter | None:
    return None if rate is None else AsyncLimiter(rate, MINUTE)


class Budget:
    """Money that calls may cost: what a call may cost at most is set aside before it is made."""

    def __init__(self, most: float | None) -> None:
        self._most = most
        self._spent = self._set_aside = 0.0
        self._calls = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def set_aside(self, cost: float) -> AsyncIterator[None]:
        """Waits until `cost` US dollars are left beside what calls in flight may still need.

        Raises:
            OverBudget: they will not be.
        """
        async with self._changed:
            while self._most is not None and self._spent + self._set_aside + cost > self._most:
                if not self._calls:
                    raise OverBudget(
                        f"${self._most:g} do not suffice: ${self._spent:.4f} are spent, and this "
                        f"call may cost ${cost:.4f}; raise max_cost: finished calls are kept"
                    )
                await self._changed.wait()
            self._set_aside += cost
            self._calls += 1
        try:
            yield
        finally:
            self._set_aside -= cost
            self._calls -= 1
            async with self._changed:
                self._changed.notify_all()

    def spend(self, cost: float) -> None:
        """Takes out what a call did cost."""
        self._spent += cost
