"""The lengths that prompts ask for, by a table of phrasings in both languages.

`pytest tests/text/test_demands.py -s` prints how many are read right, by kind.
"""

import re
from collections import Counter
from pathlib import Path

from longwriter.text.demands import Demand, demand_in

TABLE = Path(__file__).parents[1] / "data/lengths.tsv"
"""Kind, what is asked for, prompt. What is asked for: 500, >=500, <=500, 300-400, 500 (450-550), each with
another unit than words behind it; or `-` for nothing."""

NOTHING = Demand()


def expected(cell: str) -> Demand:
    """The demand that a cell of the table writes."""
    if cell == "-":
        return NOTHING
    numbers, _, unit = cell.partition(" ") if cell[-1].isalpha() else (cell, "", "words")
    length, _, bounds = numbers.partition(" (")
    least = most = None
    for part in (length, bounds.rstrip(")")):
        if found := re.fullmatch(r"(\d+)-(\d+)", part):
            least, most = int(found[1]), int(found[2])
        elif part.startswith(">="):
            least = int(part[2:])
        elif part.startswith("<="):
            most = int(part[2:])
    return Demand(int(length) if length.isdigit() else None, least, most, unit)


def key(demand: Demand) -> tuple[int | None, int | None, int | None, str]:
    return demand.length, demand.least, demand.most, demand.unit


def test_phrasings_are_read_right() -> None:
    rows = [line.split("\t") for line in TABLE.read_text(encoding="utf-8").splitlines()]
    assert len(rows) >= 200
    counts: dict[str, Counter[str]] = {}
    for kind, cell, prompt in rows:
        want, found = key(expected(cell)), key(demand_in(prompt.replace("\\n", "\n")))
        verdict = "right" if found == want else "missed" if found == key(NOTHING) else "wrong"
        counts.setdefault(kind, Counter())[verdict] += 1
        if verdict != "right":
            print(f"{verdict}: {prompt!r}: {found}, not {want}")
    total = sum(counts.values(), Counter[str]())
    for kind, found in [*counts.items(), ("all", total)]:
        print(f"{kind:9}", *(f"{found[name]:4} {name}" for name in ("right", "wrong", "missed")))
    assert total["right"] >= 0.97 * len(rows)
    assert total["wrong"] <= 0.01 * len(rows)
