"""Keeps the cost of calls within a limit, and spends it on whole texts, not on unfinished ones."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count

from longwriter.core.errors import OverBudget
from longwriter.core.rows import Usage

_CAUTION = 1.25
"""Safety factor on a text's cost as predicted from the finished texts."""


@dataclass(frozen=True)
class CallRecord:
    """One call, for a trace."""

    step: str
    begun: float
    """Unix time, seconds."""
    seconds: float
    waited: float
    """Seconds of waiting before the request was sent: for a slot, a rate limit or a busy server."""
    tries: int
    """Requests that were sent; 0: the answer was in the cache."""
    messages: list[dict[str, str]]
    text: str
    fault: str
    """Why the answer was not used; empty if it was."""
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int
    model: str


@dataclass(eq=False)
class Account:
    """The calls made for one text, and what the rest of it may cost.

    If `rest` is 0, it is for a single call that no other has to follow.
    """

    usage: Usage = field(default_factory=Usage)
    rest: float = 0.0
    """Most US dollars that the calls still to be made can cost."""
    records: list[CallRecord] | None = None
    """The text's calls, for a trace; None: they are not recorded."""
    place: int | None = None
    """Position in the order in which texts began to cost something; None: it has not begun."""
    paid: float = 0.0
    """US dollars paid so far, answers from the cache not counted."""
    at_most: float = 0.0
    """Value of `rest` when the first call that had to be paid was admitted."""
    address: int | None = None
    """Index of the address that the text's calls go to, if there are several."""

    def reject(self, step: str, fault: str) -> None:
        """Records why the newest answer of a step is not used."""
        records = self.records or []
        newest = max((n for n, call in enumerate(records) if call.step == step), default=None)
        if newest is not None:
            records[newest] = replace(records[newest], fault=fault)


class Budget:
    """Limits what all calls together may cost.

    A call is admitted if the remaining money covers two amounts: the most that the call can cost
    in addition to those in flight, and the expected cost of finishing its text and all texts that
    began before it. The expected cost is predicted from the finished texts, by the ratio of what
    they cost to the most that they could have cost.

    Two exceptions keep a cautious estimate from abandoning a text. While nothing else is in flight,
    a call of a text under way passes the first check if any money is left, so the limit can be
    exceeded by part of one call. The oldest text under way skips the second check, as does a text
    that begins alone while none is finished.
    """

    def __init__(self, most: float | None, spent: float) -> None:
        """Starts from what earlier runs have spent.

        Args:
            most: US dollars; None: no limit.
            spent: US dollars that earlier runs of the same command have paid.
        """
        self.most = most
        self.spent = spent
        self._set_aside = 0.0
        self._in_flight = self._calls = 0
        self._highest = 1.0
        """Highest ratio, over all calls, of a call's cost to its presumed maximum; at least 1."""
        self._texts: dict[int, Account] = {}
        self._places = count()
        self._finished_paid = self._finished_at_most = 0.0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def call(self, account: Account, most: float) -> AsyncIterator[None]:
        """Waits until the call may be made, and reserves its maximum cost.

        Args:
            most: the most that it can cost, in US dollars.

        Raises:
            OverBudget: the remaining money will not be enough.
        """
        if self.most is None:
            yield
            return
        async with self._changed:
            while refusal := self._refusal(account, most * self._highest):
                why, may_pass = refusal
                if not may_pass:
                    raise OverBudget(
                        f"{why}; ${self.spent:.4f} already spent. Raise max_cost and rerun: "
                        "finished calls are kept"
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
        """Returns why the call may not be made now, and if waiting may help; None if it may."""
        assert self.most is not None
        left = self.most - self.spent
        if not self._calls and self._in_flight:
            return "waiting for the first call's actual cost", True
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
        """Returns a cautious estimate of what the rest of a text will cost, in US dollars."""
        if not self._finished_at_most:
            return text.rest * self._highest
        share = _CAUTION * self._finished_paid / self._finished_at_most
        return max(share * text.rest, share * text.at_most - text.paid)

    def pay(self, account: Account, cost: float, most: float) -> None:
        """Charges the actual cost of a call whose presumed maximum was `most`."""
        self.spent += cost
        account.paid += cost
        self.learn(cost, most)

    def learn(self, cost: float, most: float) -> None:
        """Compares a call's cost, in this or an earlier run, with its presumed maximum `most`."""
        self._calls += 1
        if most:
            self._highest = max(self._highest, cost / most)

    async def close(self, account: Account, finished: bool) -> None:
        """Releases the money reserved for a text; if it is finished, its cost informs estimates."""
        if account.place is None:
            return
        del self._texts[account.place]
        if finished:
            self._finished_paid += account.paid
            self._finished_at_most += account.at_most
        async with self._changed:
            self._changed.notify_all()
