"""What calls may cost: never more than the limit, and the money ends in whole texts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from longwriter.core.errors import OverBudget
from longwriter.core.rows import Usage

_FEWEST = 3
"""Finished texts, or calls while there are fewer texts, after which their share of the most that they
could have cost tells what the next ones will."""

_CAUTION = 1.15
"""What a text may cost more than those before it let expect."""


@dataclass(frozen=True)
class CallRecord:
    """One call, for a trace."""

    step: str
    begun: float
    """Unix time, seconds."""
    seconds: float
    waited: float
    """Seconds before the request was sent: for a place, for a limit, for a server that takes none."""
    tries: int
    """Requests that were sent; 0: the answer was in the cache."""
    messages: list[dict[str, str]]
    text: str
    fault: str
    """Why the answer was no completion; empty where it was one."""
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int
    model: str


@dataclass(eq=False)
class Account:
    """What one text has called, and what the rest of it may cost.

    Without `rest` it is a lone call that no other has to follow.
    """

    usage: Usage = field(default_factory=Usage)
    rest: float = 0.0
    """US dollars that the calls still to be made cost at most."""
    records: list[CallRecord] | None = None
    """Its calls, for a trace; None: none are noted."""
    place: int | None = None
    """Among the texts that have begun to cost something and are not finished."""
    paid: float = 0.0
    at_most: float = 0.0
    """What it could have cost when it began."""


class Budget:
    """What all calls together may cost.

    A call is let through when the most that it can cost is left, and when its text can be paid for to
    its end, together with all texts that began before it. The first of them goes on in any case.
    """

    def __init__(self, most: float | None, spent: float) -> None:
        """
        Args:
            most: US dollars; None: no limit.
            spent: US dollars that earlier runs of the same command have paid.
        """
        self.most = most
        self.spent = spent
        self._set_aside = 0.0
        self._in_flight = 0
        self._share_of_calls, self._share_of_texts = _Share(), _Share()
        self._highest = 1.0
        """Of all calls, what one cost over the most that it was thought to cost."""
        self._texts: dict[int, Account] = {}
        self._places = count()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def call(self, account: Account, most: float) -> AsyncIterator[None]:
        """Waits until the call may be made; holds what it may cost.

        Args:
            most: US dollars that it costs at most.

        Raises:
            OverBudget: so much will not be left.
        """
        if self.most is None:
            yield
            return
        async with self._changed:
            while refusal := self._refusal(account, most * self._highest):
                why, may_pass = refusal
                if not may_pass:
                    raise OverBudget(
                        f"{why}: ${self.spent:.4f} of max_cost=${self.most:g} are spent; raise "
                        "max_cost: finished calls are kept"
                    )
                await self._changed.wait()
            if account.rest and account.place is None:
                account.place = next(self._places)
                account.at_most = account.rest
                self._texts[account.place] = account
            held = most * self._highest
            self._set_aside += held
            self._in_flight += 1
        try:
            yield
        finally:
            self._set_aside -= held
            self._in_flight -= 1
            async with self._changed:
                self._changed.notify_all()

    def _refusal(self, account: Account, most: float) -> tuple[str, bool] | None:
        """Why the call may not be made now, and whether that may pass; None where it may be made."""
        assert self.most is not None
        left = self.most - self.spent
        if not self._share_of_calls.number and self._in_flight:
            return "what a call really costs is not known yet", True
        if self._set_aside + most > left:
            return f"this call may cost ${most:.4f}", bool(self._in_flight)
        earlier = [
            text.rest
            for place, text in self._texts.items()
            if account.place is None or place < account.place
        ]
        share = self._share_of_texts.mean or self._share_of_calls.mean or self._highest
        cost = account.rest * share * _CAUTION
        if (earlier or account.place is None) and cost + sum(earlier) * share * _CAUTION > left:
            return f"this text may cost ${cost:.4f}", bool(earlier or self._in_flight)
        return None

    def pay(self, account: Account, cost: float, most: float) -> None:
        """Counts what a call did cost, which was to cost `most` at most."""
        self.spent += cost
        account.paid += cost
        self.learn(cost, most)

    def learn(self, cost: float, most: float) -> None:
        """Notes what a call did cost, in an earlier run say, which was to cost `most` at most."""
        self._share_of_calls.add(cost, most)
        if most:
            self._highest = max(self._highest, cost / most)

    async def close(self, account: Account, finished: bool) -> None:
        """Gives back what a text no longer needs."""
        if account.place is not None:
            del self._texts[account.place]
            if finished:
                self._share_of_texts.add(account.paid, account.at_most)
            async with self._changed:
                self._changed.notify_all()


class _Share:
    """What calls or texts have cost, over the most that they could have cost."""

    def __init__(self) -> None:
        self.number = 0
        self._paid = self._most = 0.0

    def add(self, paid: float, most: float) -> None:
        self.number += 1
        self._paid += paid
        self._most += most

    @property
    def mean(self) -> float | None:
        return self._paid / self._most if self.number >= _FEWEST and self._most else None
