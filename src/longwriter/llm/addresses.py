"""Distributes calls over the addresses of one model, and leaves out those that fail for a while."""

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
"""Seconds for which an address is left out at first, and the most that they double to."""
_PATIENCE = 3
"""Faults in a row after which an address that still accepts connections is left out."""


@dataclass(eq=False)
class _Place:
    """One address."""

    transport: "Transport"
    pause: float
    """Seconds for which it will be left out next time."""
    in_flight: int = 0
    faults: int = 0
    """Faults in a row."""
    back_at: float = 0.0
    """When it is used again, by the monotonic clock."""
    gone: bool = False
    """Whether the last call found no server there."""

    @property
    def is_in(self) -> bool:
        """Whether it is in use, that is, not left out at the moment."""
        return time.monotonic() >= self.back_at


class Elsewhere(Exception):
    """Signals that a call has to be sent again, to another address."""


class Addresses:
    """The addresses of a model.

    All calls of a text go to the same one, whose prefix cache holds the beginning of the text.
    """

    def __init__(self, transports: Sequence["Transport"]) -> None:
        self._places = [_Place(transport, FIRST_PAUSE) for transport in transports]

    @contextmanager
    def call(self, account: Account) -> Iterator["Transport"]:
        """Yields the transport for a call of the text of `account`.

        That is the one of the text's earlier calls, else the one with the fewest calls in flight.

        Raises:
            Unreachable: the block could not reach the address, and no other is left.
            Elsewhere: the block could not reach the address, but another is left.
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
        """Returns the index of the address with the fewest calls in flight.

        There always is one: the last address is never left out.
        """
        return min(
            (number for number, place in enumerate(self._places) if place.is_in),
            key=lambda number: self._places[number].in_flight,
        )

    def _leave_out(self, place: _Place, why: str) -> bool:
        """Leaves an address out for a while; returns whether another is left.

        The last address stays in use. If no server is there, those that were left out for their
        faults come back.
        """
        others = sum(other.is_in for other in self._places if other is not place)
        if not others and place.gone:
            faulty = [other for other in self._places if not other.gone]
            for other in faulty:
                other.back_at = 0.0
            others = len(faulty)
        if others and place.is_in:
            place.back_at = time.monotonic() + place.pause
            say(
                f"{place.transport.base_url} {why} and is skipped for {place.pause:g} s; "
                f"{others} of {len(self._places)} addresses still in use"
            )
            place.pause = min(2 * place.pause, LONGEST_PAUSE)
        return bool(others)
