"""Limits of the calls to a server: how many are in flight, requests and tokens a minute, cost."""

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


class RateLimiter:
    """Lets calls through at the rate that the server takes.

    At most `limit` calls are in flight, `concurrency` to begin with. A 429 halves the limit, once for
    all requests that were in flight together; each answer that comes while the limit is reached adds
    1/limit to it, so a round of answers adds one (AIMD, as in TCP: RFC 5681), up to `concurrency`.
    Where limits a minute are set, requests wait for them.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limit = float(settings.concurrency)
        self._most = settings.concurrency
        self._in_flight = 0
        self._changed = asyncio.Condition()
        self._halved_at = 0.0
        self._requests = _a_minute(settings.requests_per_minute)
        self._tokens = _a_minute(settings.tokens_per_minute)
        self.hooks: Mapping[str, list[Callable[..., Any]]] = {
            "request": [self._before],
            "response": [self._after],
        }
        """For the HTTP client, whose retries are requests too."""

    @asynccontextmanager
    async def call(self, tokens: int) -> AsyncIterator[None]:
        """Waits for a place for a call of at most `tokens` tokens, prompt and answer, and holds it."""
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
                    self._changed.notify(
                        2
                    )  # the place that is free now, and one that a higher limit may add
                else:
                    self._changed.notify_all()  # drain() waits behind all calls that wait

    async def drain(self, seconds: float) -> int:
        """Lets no more calls through and waits for those in flight; returns how many are left."""
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
    """What all calls together may cost. The most that a call can cost is set aside before it is made."""

    def __init__(self, most: float | None) -> None:
        self._most = most
        self._spent = self._set_aside = 0.0
        self._calls = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def set_aside(self, cost: float) -> AsyncIterator[None]:
        """Waits until `cost` US dollars are left, what calls in flight may still cost taken off.

        Raises:
            OverBudget: so much will not be left.
        """
        async with self._changed:
            while self._most is not None and self._spent + self._set_aside + cost > self._most:
                if not self._calls:
                    raise OverBudget(
                        f"this call could exceed max_cost=${self._most:g}: ${self._spent:.4f} are "
                        f"spent, and it may cost ${cost:.4f}; raise max_cost: finished calls are kept"
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
        """Counts what a call did cost."""
        self._spent += cost
