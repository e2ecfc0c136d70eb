"""A line of status below a text that is being written."""

import os
import sys
import time
from types import TracebackType

_EVERY_S = 0.2


class StatusLine:
    """Keeps the last line of the terminal for a status, while text scrolls above it. Without a terminal on
    standard error it shows nothing.

    The text may go to the same terminal: its last line is then taken out of the region that scrolls
    (DECSTBM, which apt uses for its progress too).
    """

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._rows = 0
        self._due = 0.0

    def __enter__(self) -> "StatusLine":
        return self

    def due(self) -> bool:
        """Whether it is time to show another status, a few times a second."""
        now = time.monotonic()
        if not self.shown or now < self._due:
            return False
        self._due = now + _EVERY_S
        return True

    def show(self, status: str) -> None:
        """Replaces the status."""
        if not self.shown:
            return
        columns, rows = os.get_terminal_size(sys.stderr.fileno())
        if rows < 2:
            return
        if rows != self._rows:  # the first time, or resized: scroll one line up to make room
            self._write(f"\n\x1b[A\x1b7\x1b[1;{rows - 1}r\x1b8")
            self._rows = rows
        self._write(f"\x1b7\x1b[{rows};1H\x1b[2K{status[: columns - 1]}\x1b8")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._rows:
            self._write(f"\x1b7\x1b[{self._rows};1H\x1b[2K\x1b[r\x1b8")

    @staticmethod
    def _write(text: str) -> None:
        print(text, end="", file=sys.stderr, flush=True)
