"""`longwriter cache`: lists, prunes or exports the cache of model calls."""

import json
import sqlite3
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from longwriter.config.load import ROOT
from longwriter.core.errors import DataError
from longwriter.core.files import replacing
from longwriter.core.tables import Table, markdown
from longwriter.core.workspace import Workspace
from longwriter.llm.cache import Cache, edited

_MODEL = "COALESCE(NULLIF(json_extract(completion, '$.model'), ''), 'unknown')"
"""SQL for the model that answered, as the server named it; earlier versions didn't record it."""

_AT = "json_extract(completion, '$.at')"
"""SQL for the time of the call, in seconds since 1970."""

_LIST = f"""
SELECT {_MODEL} AS model, COALESCE(json_extract(completion, '$.fingerprint'), '') AS fingerprint,
       COUNT(*), SUM(json_extract(completion, '$.prompt_tokens')),
       SUM(json_extract(completion, '$.completion_tokens')), MIN({_AT}), MAX({_AT}),
       SUM(LENGTH(CAST(completion AS BLOB)))
FROM calls GROUP BY model, fingerprint ORDER BY COUNT(*) DESC
"""  # noqa: S608 (constants)


def cache(arguments: Namespace) -> None:
    """Lists, prunes or exports the cache, as the command line says.

    Raises:
        DataError: there is no cache, or it cannot be read.
    """
    path = Workspace(ROOT, Path.cwd()).cache / "calls.sqlite"
    if not path.is_file():
        raise DataError(f"{path}: there is no cache of calls; LONGWRITER_CACHE names its folder")
    try:
        Cache(path).close()  # on a network disk, merges in the calls of processes that have ended
        with edited(path) as database:
            match arguments.action:
                case "prune":
                    _prune(database, arguments.before, arguments.model, arguments.dry_run)
                case "export":
                    _export(database, arguments.file)
                case _:
                    _list(database)
                    print(f"\n{path}: {path.stat().st_size / 1e6:.1f} MB")
    except sqlite3.Error as error:
        raise DataError(f"{path}: {error}") from None


def _list(database: sqlite3.Connection) -> None:
    rows = [
        [
            model,
            fingerprint or "–",
            f"{calls:,}",
            f"{prompt or 0:,}",
            f"{completion or 0:,}",
            _day(first),
            _day(last),
            f"{size / 1e6:.1f}",
        ]
        for model, fingerprint, calls, prompt, completion, first, last, size in database.execute(
            _LIST
        )
    ]
    heads = ["model", "fingerprint", "calls", "prompt tokens", "completion tokens", "first", "last"]
    print(markdown(Table([*heads, "MB"], rows)))


def _day(at: float | None) -> str:
    return "unknown" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def _prune(
    database: sqlite3.Connection, before: datetime | None, model: str | None, dry_run: bool
) -> None:
    conditions, values = [], list[float | str]()
    if before is not None:
        conditions.append(f"{_AT} < ?")
        values.append(before.timestamp())
    if model is not None:
        conditions.append(f"{_MODEL} = ?")
        values.append(model)
    where = " AND ".join(conditions)
    (total,) = database.execute("SELECT COUNT(*) FROM calls").fetchone()
    (found,) = database.execute(f"SELECT COUNT(*) FROM calls WHERE {where}", values).fetchone()  # noqa: S608
    undated = f"SELECT COUNT(*) FROM calls WHERE {_AT} IS NULL"  # noqa: S608
    (passed,) = database.execute(undated).fetchone() if before else (0,)
    if not dry_run:
        database.execute(f"DELETE FROM calls WHERE {where}", values)  # noqa: S608
        database.execute("VACUUM")
    print(f"{found:,} of {total:,} calls {'would be' if dry_run else 'are'} removed")
    if passed:
        print(
            f"{passed:,} undated calls from an earlier version are not removed; use --model "
            "unknown to remove them"
        )


def _export(database: sqlite3.Connection, file: Path) -> None:
    number = 0
    with replacing(file) as (part,), part.open("w", encoding="utf-8") as lines:
        for key, completion in database.execute("SELECT key, completion FROM calls ORDER BY key"):
            row = {"key": key, **json.loads(completion)}
            lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            number += 1
    print(f"{number:,} calls: {file}")
