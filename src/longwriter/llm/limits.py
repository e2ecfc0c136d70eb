"""Limits the calls to a server: order, concurrency, requests and tokens per minute."""

import asyncio
import heapq
import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiolimiter import AsyncLimiter
from tqdm import tqdm

from longwriter.core.errors import RateLimited, ServerError
from longwriter.llm.settings import ServerSettings

MINUTE = 60.0

SHORTEST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds of the first pause after a 429 that names none, and the most that it grows to."""


class _Door:
    """A lock that goes to the waiter with the lowest number."""

    def __init__(self) -> None:
        self._held = False
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def turn(self, number: int) -> AsyncIterator[None]:
        if self._held:
            mine = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (number, mine))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.done() and not mine.cancelled():
                    self._leave()
                raise
        self._held = True
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._held = False
        while self._waiting:
            _, following = heapq.heappop(self._waiting)
            if not following.done():
                self._held = True
                following.set_result(None)
                return


class RateLimiter:
    """Admits calls at the rate that the server accepts, in the order in which they came.

    At most `limit` calls are in flight, `concurrency` to begin with. A 429 halves the limit, once
    for all requests that were in flight together; each answer that arrives while the limit is
    reached adds 1/limit, so a round of answers adds one (AIMD, as in TCP: RFC 5681), up to
    `concurrency`.

    A 429 also pauses all calls: for as long as the response's headers say, else for a time that
    doubles with each refusal. Requests also wait for the per-minute limits, if any are set.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.limit = float(settings.concurrency)
        self.in_flight = 0
        self._most = settings.concurrency
        self._patience = settings.patience_s
        self._door = _Door()
        self._room = asyncio.Event()
        self._halved_at = 0.0
        self._opens_at = 0.0
        self._refused_since: float | None = None
        self._pause = SHORTEST_PAUSE
        self._requests = _a_minute(settings.requests_per_minute)
        self._tokens = _a_minute(settings.tokens_per_minute)

    @asynccontextmanager
    async def call(self, number: int, tokens: int) -> AsyncIterator[float]:
        """Waits until a request may be sent, and holds its slot.

        Args:
            number: of the call; calls with lower numbers go first.
            tokens: most tokens of the request, prompt and answer together.

        Yields:
            The time at which it is sent, to be passed to `refused`.
        """
        async with self._door.turn(number):
            while (left := self._opens_at - time.monotonic()) > 0:
                await asyncio.sleep(left)
            if self._tokens is not None:
                await self._tokens.acquire(min(tokens, self._tokens.max_rate))
            if self._requests is not None:
                await self._requests.acquire()
            while self.in_flight >= int(self.limit):
                self._room.clear()
                await self._room.wait()
            self.in_flight += 1
        try:
            yield time.monotonic()
        finally:
            self.in_flight -= 1
            self._room.set()

    def answered(self) -> None:
        """Records that the server accepted a call."""
        self._refused_since, self._pause = None, SHORTEST_PAUSE
        if self.in_flight >= int(self.limit):
            self.limit = min(self._most, self.limit + 1 / max(self.limit, 1))

    def refused(self, sent_at: float, pause: float | None, why: str, since: float) -> None:
        """Pauses all calls after the server refused one for lack of capacity.

        Args:
            sent_at: when the request was sent.
            pause: seconds until it may be sent again, according to the server; None if it doesn't
                say.
            why: the server's message.
            since: when this call was first refused.

        Raises:
            RateLimited: this call has been refused for `patience_s`, while others were accepted.
            ServerError: no call has been accepted for that long, or the server names a longer
                pause.
        """
        now = time.monotonic()
        first = sent_at >= self._halved_at
        if first:
            self.limit = max(1.0, self.limit / 2)
            self._halved_at = now
        if self._refused_since is None:
            self._refused_since = sent_at
        if pause is None and first:
            pause = self._pause * random.uniform(1, 1.25)  # noqa: S311
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
        until = max(self._opens_at, now + (pause or 0.0))
        if until - self._refused_since > self._patience:
            raise ServerError(
                f"the server has refused all calls for {now - self._refused_since:.0f} s and would "
                f"for {until - now:.0f} s more ({why}), which exceeds "
                f"patience_s={self._patience:g}. Finished calls are kept: rerun the same "
                "command once it accepts calls again"
            )
        if now - since > self._patience:
            raise RateLimited(f"refused for {now - since:.0f} s while it took other calls: {why}")
        if until > self._opens_at:
            self._opens_at = until
            if first:
                say(
                    f"server busy ({why}): waiting {until - now:.0f} s; giving up after "
                    f"{self._patience - (now - self._refused_since):.0f} s more"
                )


def say(line: str) -> None:
    """Writes a line to stderr, above any progress bar."""
    with suppress(OSError, ValueError):
        tqdm.write(line, file=sys.stderr)


def _a_minute(rate: float | None) -> AsyncLimiter | None:
    return None if rate is None else AsyncLimiter(rate, MINUTE)
