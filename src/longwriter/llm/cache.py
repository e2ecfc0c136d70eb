"""Finished calls on disk, each under a hash of everything that determines its answer."""

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from filelock import FileLock

from longwriter.core.errors import DataError


def call_key(**shape: Any) -> str:
    """SHA-256 of everything that determines a call's answer, as canonical JSON."""
    text = json.dumps(shape, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class Cache:
    """A SQLite file of finished calls. Several processes may read and write it at once."""

    def __init__(self, path: Path) -> None:
        """Opens the file; makes it, and its folder, where there is none.

        Raises:
            DataError: the file cannot be opened or is not a cache.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(
                path.with_suffix(".lock")
            ):  # SQLite does not wait for the lock to switch to WAL
                self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
                self._database.execute("PRAGMA journal_mode=WAL")
                self._database.execute("PRAGMA synchronous=NORMAL")
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS calls "
                    "(key TEXT PRIMARY KEY, completion TEXT NOT NULL)"
                )
        except (sqlite3.Error, OSError) as error:
            raise DataError(
                f"{path}: the cache of calls cannot be opened ({error}); free the disk, fix the "
                "rights, or name another folder in LONGWRITER_CACHE"
            ) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The completion kept under `key`, or None."""
        row = self._database.execute(
            "SELECT completion FROM calls WHERE key = ?", (key,)
        ).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: str, completion: dict[str, Any]) -> None:
        """Keeps `completion`. Once this returns, it is on disk even if the process is killed.

        Raises:
            DataError: it could not be written (a full disk, say); nothing kept before is lost.
        """
        text = json.dumps(completion, ensure_ascii=False)
        try:
            self._database.execute("INSERT OR REPLACE INTO calls VALUES (?, ?)", (key, text))
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: a finished call cannot be kept ({error}); free the disk or name "
                "another folder in LONGWRITER_CACHE, then run again: what is in it is kept"
            ) from None

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
