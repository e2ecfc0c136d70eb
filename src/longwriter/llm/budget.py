"""What calls may cost: never more than the limit, and the money ends in whole texts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from longwriter.core.errors import OverBudget
from longwriter.core.rows import Usage

_CAUTION = 1.25
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
    """Why the answer was not used; empty where it was."""
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
    """US dollars, what the cache held not counted."""
    at_most: float = 0.0
    """`rest` when its first call was paid."""
    address: int | None = None
    """Number of the address that its calls go to, where there are several."""

    def reject(self, step: str, fault: str) -> None:
        """Notes why the newest answer of a step is not used."""
        records = self.records or []
        newest = max((n for n, call in enumerate(records) if call.step == step), default=None)
        if newest is not None:
            records[newest] = replace(records[newest], fault=fault)


class Budget:
    """What all calls together may cost.

    A call is let through when the most that it can cost is left, and when its text can be paid for to
    its end, together with all texts that began before it. While nothing else is in flight, the call of a
    text that is under way needs no more than something left, so that a text is not given up for the
    caution of an estimate: the limit can be exceeded by a part of one call. What finished texts have cost, over the most
    that they could have cost, tells what the others will. The first of those under way goes on in any
    case, as does a lone text while none is finished.
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
        self._in_flight = self._calls = 0
        self._highest = 1.0
        """Of all calls, what one cost over the most that it was thought to cost."""
        self._texts: dict[int, Account] = {}
        self._places = count()
        self._finished_paid = self._finished_at_most = 0.0
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
                        f"{why}; ${self.spent:.4f} are spent; raise max_cost: finished calls are kept"
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
        if not self._calls and self._in_flight:
            return "what a call really costs is not known yet", True
        last = account.place is not None and not self._in_flight and left > 0
        if self._set_aside + most > left and not last:
            why = f"this call could exceed max_cost=${self.most:g}: it may cost ${most:.4f}"
            return why, bool(self._in_flight)
        earlier = [
            text
            for place, text in self._texts.items()
            if account.place is None or place < account.place
        ]
        if not earlier and (account.place is not None or not self._finished_at_most):
            return None
        cost = self._expected(account)
        if cost + sum(map(self._expected, earlier)) > left:
            why = f"this text could exceed max_cost=${self.most:g}: it may cost ${cost:.4f} more"
            return why, bool(earlier or self._in_flight)
        return None

    def _expected(self, text: Account) -> float:
        """US dollars that the rest of a text will cost, cautiously."""
        if not self._finished_at_most:
            return text.rest * self._highest
        share = _CAUTION * self._finished_paid / self._finished_at_most
        return max(share * text.rest, share * text.at_most - text.paid)

    def pay(self, account: Account, cost: float, most: float) -> None:
        """Counts what a call did cost, which was to cost `most` at most."""
        self.spent += cost
        account.paid += cost
        self.learn(cost, most)

    def learn(self, cost: float, most: float) -> None:
        """Notes what a call did cost, in an earlier run say, which was to cost `most` at most."""
        self._calls += 1
        if most:
            self._highest = max(self._highest, cost / most)

    async def close(self, account: Account, finished: bool) -> None:
        """Gives back what a text no longer needs."""
        if account.place is None:
            return
        del self._texts[account.place]
        if finished:
            self._finished_paid += account.paid
            self._finished_at_most += account.at_most
        async with self._changed:
            self._changed.notify_all()
