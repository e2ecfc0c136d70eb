"""Finished calls on disk, each under a hash of everything that determines its answer."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from longwriter.core.errors import DataError


def call_key(**shape: Any) -> str:
    """SHA-256 of everything that determines a call's answer, as canonical JSON."""
    text = json.dumps(shape, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Sent(NamedTuple):
    """Where a call is that was sent to a batch API."""

    file: str
    """Of requests, by the provider's id."""
    batch: str | None
    """None: none was made of the file yet."""


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
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS sent (key TEXT PRIMARY KEY, "
                    "server TEXT NOT NULL, file TEXT NOT NULL, batch TEXT)"
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

    def sent(self, keys: Iterable[str], server: str) -> dict[str, Sent]:
        """Where those calls are that were sent to a server's batch API and have no answer yet."""
        rows = {
            key: self._database.execute(
                "SELECT file, batch FROM sent WHERE key = ? AND server = ?", (key, server)
            ).fetchone()
            for key in keys
        }
        return {key: Sent(*row) for key, row in rows.items() if row}

    def put_sent(self, keys: Iterable[str], server: str, file: str) -> None:
        """Notes which calls are in a file that a server was sent; see `put` for errors."""
        rows = [(key, server, file) for key in keys]
        self._write_sent("INSERT OR REPLACE INTO sent VALUES (?, ?, ?, NULL)", rows)

    def name_batch(self, file: str, batch: str) -> None:
        """Notes which batch was made of a file; see `put` for errors."""
        self._write_sent("UPDATE sent SET batch = ? WHERE file = ?", [(batch, file)])

    def drop_sent(self, keys: Iterable[str], file: str) -> None:
        """Forgets that calls are in a file; see `put` for errors."""
        rows = [(key, file) for key in keys]
        self._write_sent("DELETE FROM sent WHERE key = ? AND file = ?", rows)

    def _write_sent(self, statement: str, rows: Sequence[tuple[str, ...]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(statement, rows)
            except sqlite3.Error:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: which calls are in which batch cannot be kept ({error}); free the disk "
                "or name another folder in LONGWRITER_CACHE"
            ) from None

    def close(self) -> None:
        """Closes the file."""
        self._database.close()
