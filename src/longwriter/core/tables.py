"""Markdown tables and the format of numbers in them.

The report, the sweeps and `longwriter score` all format their results here, so that a number looks
the same everywhere.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from longwriter.core.statistics import Interval

NONE = "–"
"""Shown in place of an unknown number."""


class Table(NamedTuple):
    """Cells as text; the first column holds the names of the rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def markdown(table: Table) -> str:
    """Returns the table in Markdown, the first column aligned left and the others right."""
    lines = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
        for cells in (table.columns, *table.rows)
    ]
    lines.insert(1, "|---" + "|---:" * (len(table.columns) - 1) + "|")
    return "\n".join(lines)


def number(value: float | None, decimals: int = 1) -> str:
    """Formats a number, such as "1,234.5"; a dash for None."""
    return NONE if value is None else _minus(f"{value:,.{decimals}f}")


def two_decimals(value: float | None) -> str:
    """Formats a number with two decimals, such as "0.12"; a dash for None."""
    return number(value, 2)


def count(value: float | None) -> str:
    """Formats a number without decimals, such as "1,234"; a dash for None."""
    return number(value, 0)


def percent(value: float | None) -> str:
    """Formats a share as whole percent, such as "25%"; a dash for None."""
    return NONE if value is None else _minus(f"{value:.0%}")


def signed(value: float | None, decimals: int = 1) -> str:
    """Formats a difference, such as "+1.8" or "−2.0"; a dash for None."""
    return NONE if value is None else _minus(f"{value:+.{decimals}f}")


def signed_percent(value: float | None) -> str:
    """Formats a relative difference as whole percent, such as "−25%"; a dash for None."""
    return NONE if value is None else _minus(f"{value:+.0%}")


def with_interval(
    value: float | None,
    bounds: Sequence[float | None] | None,
    form: Callable[[float | None], str] = number,
) -> str:
    """Formats a number with its interval, if known, such as "60.0 [52.0, 67.0]".

    Args:
        bounds: the lower and the upper end.
        form: formats each of the three numbers.
    """
    known = bounds is not None and None not in bounds
    return form(value) + (f" [{form(bounds[0])}, {form(bounds[1])}]" if bounds and known else "")


def signed_interval(found: Interval | None) -> str:
    """Formats a difference with its interval, such as "+1.8 [−2.0, +3.1]"; a dash for None."""
    return with_interval(found.mean, (found.low, found.high), signed) if found else NONE


def _minus(text: str) -> str:
    return text.replace("-", "−")


def round_floats(value: Any) -> Any:
    """Returns `value` with every float in it rounded to 4 decimals."""
    match value:
        case dict():
            return {key: round_floats(item) for key, item in value.items()}
        case list() | tuple():
            return [round_floats(item) for item in value]
        case float():
            return round(value, 4)
        case _:
            return value
