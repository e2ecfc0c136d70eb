"""What the report is made of: tables, with how numbers are written in them, and figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.statistics import Interval


class Table(NamedTuple):
    """Cells as text; the first column is the row's name."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class ReportFigure(NamedTuple):
    """A figure's file and what it shows, in words."""

    path: Path
    caption: str


def number(value: float | None) -> str:
    """One decimal; a dash for None."""
    return "–" if value is None else f"{value:.1f}"


def decimals(value: float | None) -> str:
    """Two decimals; a dash for None."""
    return "–" if value is None else f"{value:.2f}".replace("-", "−")


def count(value: float | None) -> str:
    """A whole number with commas; a dash for None."""
    return "–" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """A share as whole percent; a dash for None."""
    return "–" if value is None else f"{value:.0%}"


def signed(value: float | None) -> str:
    """One decimal with its sign; a dash for None."""
    return "–" if value is None else f"{value:+.1f}".replace("-", "−")


def signed_interval(found: Interval | None) -> str:
    """A difference with its interval; a dash for None."""
    if found is None:
        return "–"
    return f"{signed(found.mean)} [{signed(found.low)}, {signed(found.high)}]"


def markdown(table: Table) -> str:
    """The table in Markdown."""
    lines = [
        f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in cells)} |"
        for cells in (table.columns, *table.rows)
    ]
    lines.insert(1, "|---" + "|---:" * (len(table.columns) - 1) + "|")
    return "\n".join(lines)


def round_floats(value: Any) -> Any:
    """`value` with every float in it rounded to 4 decimals."""
    match value:
        case dict():
            return {key: round_floats(item) for key, item in value.items()}
        case list() | tuple():
            return [round_floats(item) for item in value]
        case float():
            return round(value, 4)
        case _:
            return value
