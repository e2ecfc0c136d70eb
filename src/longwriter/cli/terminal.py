"""Helpers for commands that write a text: a status line, messages, and a claimed output file."""

import hashlib
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from longwriter.core.errors import SettingsError

_EVERY_S = 0.2


class StatusLine:
    """Shows a status on the terminal's last line, while text scrolls above it.

    Shows nothing if standard error is not a terminal. Since the text may go to the same terminal,
    the last line is taken out of the scrolling region (DECSTBM, as apt does for its progress bar).
    """

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._rows = 0
        self._due = 0.0

    def __enter__(self) -> "StatusLine":
        return self

    def due(self) -> bool:
        """Returns whether it is time to update the status, a few times a second."""
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


def claimed(output: Path | None, prompt: str, cache: Path) -> tuple[Path, FileLock]:
    """Returns the file to write, and a lock that keeps other processes from writing it.

    The file is `output`, which must not exist yet, or one named after the prompt, with a number
    added if that one exists or another process is writing it. The lock is held until it is released
    or this process ends.

    Raises:
        SettingsError: the file cannot be written.
    """
    name = "-".join(re.findall(r"\w+", prompt.lower()))[:50].strip("-") or "text"
    file, number = output or Path(f"{name}.md"), 1
    if not os.access(file.absolute().parent, os.W_OK):
        raise SettingsError(f"{file.absolute().parent}: not a writable folder")
    while True:
        place = hashlib.sha256(str(file.absolute()).encode()).hexdigest()[:16]
        lock = FileLock(cache / "writing" / f"{place}.lock", timeout=0)
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            with suppress(Timeout):
                lock.acquire()
                return file, lock
        if output:
            why = "exists already" if file.exists() else "is being written by another process"
            raise SettingsError(f"--output {output}: {why}; name another, or remove it")
        number += 1
        file = Path(f"{name}-{number}.md")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
