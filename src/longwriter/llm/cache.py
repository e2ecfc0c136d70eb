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
    text = json.dumps(shape, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
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
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS payments (scope TEXT NOT NULL, cost_usd REAL NOT NULL)"
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

    def put(
        self, key: str, completion: dict[str, Any], scope: str = "", cost_usd: float = 0.0
    ) -> None:
        """Keeps `completion` and what it cost. Once this returns, both are on disk even if the process is
        killed.

        Args:
            key: of the call; empty: only the payment is kept.
            scope: whose money it cost (`paid`).

        Raises:
            DataError: it could not be written (a full disk, say); nothing kept before is lost.
        """
        text = json.dumps(completion, ensure_ascii=False)
        try:
            if cost_usd:
                self._database.execute("INSERT INTO payments VALUES (?, ?)", (scope, cost_usd))
            if key:
                self._database.execute("INSERT OR REPLACE INTO calls VALUES (?, ?)", (key, text))
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: a finished call cannot be kept ({error}); free the disk or name "
                "another folder in LONGWRITER_CACHE, then run again: what is in it is kept"
            ) from None

    def paid(self, scope: str) -> float:
        """US dollars that all calls of a scope have cost."""
        row = self._database.execute(
            "SELECT TOTAL(cost_usd) FROM payments WHERE scope = ?", (scope,)
        ).fetchone()
        return float(row[0])

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
