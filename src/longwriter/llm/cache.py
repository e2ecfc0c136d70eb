"""Stores finished calls on disk, each under a hash of everything that determines its answer."""

import hashlib
import json
import shutil
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from longwriter.core.errors import DataError
from longwriter.core.files import network_disk, replacing


def call_key(**shape: Any) -> str:
    """Returns the SHA-256 of everything that determines a call's answer, as canonical JSON."""
    text = json.dumps(shape, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Sent(NamedTuple):
    """Where to find a call that was sent to a batch API."""

    file: str
    """The provider's id of the file of requests."""
    batch: str | None
    """The provider's id of the batch; None: none has been created from the file yet."""


class Cache:
    """A SQLite file of finished calls. Several processes may read and write it at once.

    On a network disk, SQLite's write-ahead log would corrupt the file, because it needs memory that
    all processes share (sqlite.org/wal.html), and SQLite's locks on parts of a file are unreliable.
    There, no process writes a database that another one reads. Each process writes its own file
    beside `path`; whoever opens or closes the cache merges the files of processes that have ended
    into a new version of `path`. A lock on a whole file (flock) shows which processes still run.
    Processes that run at the same time don't see each other's answers there.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file; creates it, and its folder, if it doesn't exist.

        Raises:
            DataError: the file cannot be opened or is not a cache.
        """
        self.path = path
        self._parts = ["main"]
        """SQLite's schema names of the files that are read; the first is also written."""
        self._alive: FileLock | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if network_disk(path):
                self._database = self._open_own()
            else:
                with _lock(path):  # SQLite does not wait for the lock to switch to WAL
                    self._database = _connect(path)
                    self._database.execute("PRAGMA journal_mode=WAL")
                    self._database.execute("PRAGMA synchronous=NORMAL")
                    _make_tables(self._database)
        except (sqlite3.Error, OSError, NotImplementedError) as error:  # the last: no file locks
            raise DataError(
                f"{path}: the cache of calls cannot be opened ({error}); free the disk, fix the "
                "rights, or name another folder in LONGWRITER_CACHE"
            ) from None

    def _open_own(self) -> sqlite3.Connection:
        """Opens a file of this process, and attaches the common one, which is never changed."""
        own = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex}{self.path.suffix}")
        with _lock(self.path):
            _gather(self.path)
            self._alive = _lock(own)
            self._alive.acquire()
            database = _connect(own)
            database.execute("PRAGMA locking_mode=EXCLUSIVE")
            _make_tables(database)
            if self.path.exists():
                database.execute(
                    "ATTACH ? AS common", (f"{self.path.absolute().as_uri()}?immutable=1",)
                )
                self._parts.append("common")
            return database

    def get(self, key: str) -> dict[str, Any] | None:
        """Returns the completion stored under `key`, or None."""
        for part in self._parts:
            found = self._database.execute(
                f"SELECT completion FROM {part}.calls WHERE key = ?",  # noqa: S608
                (key,),
            ).fetchone()
            if found:
                return json.loads(found[0])  # type: ignore[no-any-return]
        return None

    def put(
        self, key: str, completion: dict[str, Any], scope: str = "", cost_usd: float = 0.0
    ) -> None:
        """Stores `completion` and its cost.

        Once this returns, both are on disk even if the process is killed.

        Args:
            key: of the call; empty: only the payment is stored.
            scope: the budget that it is charged to (see `paid`).

        Raises:
            DataError: it could not be written (a full disk, say); nothing stored before is lost.
        """
        text = json.dumps(completion, ensure_ascii=False)
        try:
            if cost_usd:
                self._database.execute("INSERT INTO main.payments VALUES (?, ?)", (scope, cost_usd))
            if key:
                self._database.execute(
                    "INSERT OR REPLACE INTO main.calls VALUES (?, ?)", (key, text)
                )
        except sqlite3.Error as error:
            raise DataError(
                f"{self.path}: a finished call cannot be kept ({error}); free the disk or name "
                "another folder in LONGWRITER_CACHE, then run again: what is in it is kept"
            ) from None

    def paid(self, scope: str) -> float:
        """Returns the US dollars that all calls of a scope have cost."""
        costs = (
            self._database.execute(
                f"SELECT TOTAL(cost_usd) FROM {part}.payments WHERE scope = ?",  # noqa: S608
                (scope,),
            ).fetchone()[0]
            for part in self._parts
        )
        return float(sum(costs))

    def sent(self, keys: Iterable[str], server: str) -> dict[str, Sent]:
        """Returns where to find those calls that wait for an answer from a server's batch API."""
        found = {}
        for key in keys:
            for part in self._parts:
                row = self._database.execute(
                    f"SELECT file, batch FROM {part}.sent WHERE key = ? AND server = ?",  # noqa: S608
                    (key, server),
                ).fetchone()
                if row:
                    if row[0] != _DROPPED:
                        found[key] = Sent(*row)
                    break
        return found

    def put_sent(self, keys: Iterable[str], server: str, file: str) -> None:
        """Records which calls are in a file that was sent to a server; raises as `put` does."""
        rows = [(key, server, file) for key in keys]
        self._write_sent(("INSERT OR REPLACE INTO main.sent VALUES (?, ?, ?, NULL)", rows))

    def name_batch(self, file: str, batch: str) -> None:
        """Records which batch was created from a file; raises as `put` does."""
        taken = (
            f"INSERT OR IGNORE INTO main.sent SELECT key, server, file, NULL FROM {part}.sent WHERE file = ?"  # noqa: S608
            for part in self._parts[1:]
        )
        named = "UPDATE main.sent SET batch = ? WHERE file = ?", [(batch, file)]
        self._write_sent(*((statement, [(file,)]) for statement in taken), named)

    def drop_sent(self, keys: Iterable[str], file: str) -> None:
        """Forgets that calls are in a file; raises as `put` does."""
        rows = [(key, file) for key in keys]
        hidden = (
            f"INSERT OR REPLACE INTO main.sent SELECT key, server, '{_DROPPED}', NULL FROM {part}.sent "  # noqa: S608
            "WHERE key = ? AND file = ?"
            for part in self._parts[1:]
        )
        dropped = "DELETE FROM main.sent WHERE key = ? AND file = ?", rows
        self._write_sent(dropped, *((statement, rows) for statement in hidden))

    def _write_sent(self, *statements: tuple[str, Sequence[tuple[str, ...]]]) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                for statement, rows in statements:
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
        """Closes the file.

        On a network disk, its calls are merged into the common file. If that fails, whoever opens
        the cache next tries again.
        """
        self._database.close()
        if self._alive is not None:
            self._alive.release()
            with suppress(sqlite3.Error, OSError), _lock(self.path):
                _gather(self.path)


@contextmanager
def edited(path: Path) -> Iterator[sqlite3.Connection]:
    """Yields the database of all calls in the cache `path`, to read and change it.

    On a network disk, the block writes to a copy that replaces the file when the block ends:
    processes that have the file open go on reading the old version.
    """
    if network_disk(path):
        with _lock(path):
            _gather(path)
            with _copied(path) as database:
                yield database
    else:
        with closing(_connect(path)) as database:
            yield database


@contextmanager
def _copied(path: Path) -> Iterator[sqlite3.Connection]:
    log = _beside(path, "-wal")
    with replacing(path) as (copy,):
        if path.exists():
            shutil.copyfile(path, copy)
        if log.exists():  # left by a version that ignored network disks
            shutil.copyfile(log, _beside(copy, "-wal"))
        with closing(_connect(copy)) as database:
            database.execute("PRAGMA locking_mode=EXCLUSIVE")  # else a log needs shared memory
            database.execute("PRAGMA journal_mode=DELETE")
            _make_tables(database)
            yield database
    for name in ("-wal", "-shm"):
        _beside(path, name).unlink(missing_ok=True)


def _gather(path: Path) -> None:
    """Merges the files of processes that have ended into the common file; the caller locks it."""
    with ExitStack() as held:
        ended = []
        for own in sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")):
            with suppress(Timeout):
                held.enter_context(_lock(own).acquire(timeout=0))
                ended.append(own)
        if not ended and not _beside(path, "-wal").exists():
            return
        with _copied(path) as database:
            for own in ended:
                database.execute("ATTACH ? AS own", (own.absolute().as_uri(),))
                database.execute("INSERT OR REPLACE INTO main.calls SELECT * FROM own.calls")
                database.execute("INSERT INTO main.payments SELECT * FROM own.payments")
                database.execute("INSERT OR REPLACE INTO main.sent SELECT * FROM own.sent")
                database.execute("DETACH own")
            database.execute("DELETE FROM main.sent WHERE file = ?", (_DROPPED,))
        for own in ended:
            own.unlink()
            _lock_file(own).unlink(missing_ok=True)


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path.absolute().as_uri(), timeout=60, isolation_level=None, uri=True)


def _make_tables(database: sqlite3.Connection) -> None:
    for table in (
        "calls (key TEXT PRIMARY KEY, completion TEXT NOT NULL)",
        "payments (scope TEXT NOT NULL, cost_usd REAL NOT NULL)",
        "sent (key TEXT PRIMARY KEY, server TEXT NOT NULL, file TEXT NOT NULL, batch TEXT)",
    ):
        database.execute(f"CREATE TABLE IF NOT EXISTS {table}")


def _lock_file(path: Path) -> Path:
    return path.with_suffix(".lock")


def _lock(path: Path) -> FileLock:
    return FileLock(_lock_file(path))


_DROPPED = ""
"""In place of a file's id: the call is in no batch any more, although the common file says so."""
