"""Several addresses of one model: where a call goes, and which address is left out for a while."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from longwriter.core.errors import ServerFault, TimedOut, Unreachable
from longwriter.llm.budget import Account
from longwriter.llm.limits import say

if TYPE_CHECKING:
    from longwriter.llm.transport import Transport  # openai takes half a second to import

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 60.0
"""Seconds that an address is left out for, at first, and the most that they double to."""
_PATIENCE = 3
"""Faults in a row after which an address that still takes connections is left out."""


@dataclass(eq=False)
class _Place:
    """One address."""

    transport: "Transport"
    pause: float
    """Seconds that it is left out for, the next time."""
    in_flight: int = 0
    faults: int = 0
    """In a row."""
    back_at: float = 0.0
    """By the monotonic clock."""
    gone: bool = False
    """Whether the last call found nothing there."""

    @property
    def is_in(self) -> bool:
        """Whether it is not left out now."""
        return time.monotonic() >= self.back_at


class Elsewhere(Exception):
    """A call is to be sent again, to another address."""


class Addresses:
    """The addresses of a model. The calls of a text stay at one, whose prefix cache knows how it begins."""

    def __init__(self, transports: Sequence["Transport"]) -> None:
        self._places = [_Place(transport, FIRST_PAUSE) for transport in transports]

    @contextmanager
    def call(self, account: Account) -> Iterator["Transport"]:
        """Yields where a call for the text of `account` goes: where its earlier ones went, else the address with the
        fewest calls in flight.

        Raises:
            Unreachable: by the block, if no address is left.
            Elsewhere: by the block, if it failed for want of its address, and another address is left.
        """
        if account.address is None or not self._places[account.address].is_in:
            account.address = self._freest()
        place = self._places[account.address]
        place.in_flight += 1
        try:
            yield place.transport
        except (Unreachable, ServerFault, TimedOut) as error:
            place.faults += 1
            place.gone = isinstance(error, Unreachable)
            if place.gone:
                if self._leave_out(place, "cannot be reached"):
                    raise Elsewhere from error
            elif place.faults >= _PATIENCE:
                self._leave_out(place, f"failed {place.faults} times in a row")
            raise
        else:
            place.faults, place.pause, place.gone = 0, FIRST_PAUSE, False
        finally:
            place.in_flight -= 1

    def _freest(self) -> int:
        """The number of the address. The last one is never left out."""
        return min(
            (number for number, place in enumerate(self._places) if place.is_in),
            key=lambda number: self._places[number].in_flight,
        )

    def _leave_out(self, place: _Place, why: str) -> bool:
        """Leaves an address out for a while; returns whether another is left. The last one stays; if nothing is
        there, one that was left out for its faults comes back."""
        others = sum(other.is_in for other in self._places if other is not place)
        if not others and place.gone:
            faulty = [other for other in self._places if not other.gone]
            for other in faulty:
                other.back_at = 0.0
            others = len(faulty)
        if others and place.is_in:
            place.back_at = time.monotonic() + place.pause
            say(
                f"{place.transport.base_url} {why} and is left out for {place.pause:g} s; "
                f"{others} of {len(self._places)} addresses go on"
            )
            place.pause = min(2 * place.pause, LONGEST_PAUSE)
        return bool(others)
