"""Shows how far long work is: a bar on a terminal, elsewhere a line from time to time."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

EVERY_S = 30.0
"""Seconds between two lines if stderr is not a terminal; work that is shorter prints none."""


class _Lines:
    """A file for tqdm that prints each state of a bar as a line of its own."""

    def write(self, text: str) -> None:
        """Prints the bar without the control characters and spaces around it."""
        if line := text.strip():
            print(line, file=sys.stderr, flush=True)

    def flush(self) -> None:
        """Does nothing, because every line is flushed as it is printed."""


def progress(
    what: str, items: Iterable[Any] | None = None, *, total: int | None = None, done: int = 0
) -> "tqdm[Any]":
    """Returns a tqdm bar with the rate and the time left.

    Args:
        what: name of the work.
        items: what the bar iterates over; None if `update` is called instead.
        total: number of items; None if `items` has a length, or if it is not known.
        done: number of items that an earlier run has finished.
    """
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit="", initial=done, disable=False)
    return tqdm(
        items,
        what,
        total,
        unit="",
        initial=done,
        disable=False,
        file=_Lines(),
        ncols=0,
        delay=EVERY_S,
        mininterval=EVERY_S,
        miniters=1,  # else tqdm's monitor prints, too, and some lines come twice
    )
