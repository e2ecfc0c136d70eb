"""The rows that were read by hand (benchmarks/rules.py has precision and recall)."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings

from longwriter.dataset.rule_runner import RuleJob, RuleRunner
from longwriter.dataset.rules import BETWEEN_ROWS, CONTAMINATED, MALFORMED

LABELS = Path(__file__).parents[1] / "data/read_rows.jsonl"
ON_NUMBERS = {"length_missed", "too_short"}
BLEMISHES = {"sentence_again"}
"""A sentence that is said twice: found by the reader, and no reason to drop the text."""


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    with LABELS.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def test_the_labels_are_whole(rows: list[dict[str, Any]]) -> None:
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["verdict"] for row in rows} == {"keep", "strip", "reject"}
    assert all(("sha256" in row) != ("response" in row) for row in rows)
    for row in rows:
        faults = {finding["kind"] for finding in row["findings"]} - BLEMISHES
        assert (row["verdict"] == "keep") == (not faults)
        if "response" in row:
            said = row["response"].replace("’", "'")
            assert all(finding["words"] in said for finding in row["findings"])


def test_no_good_draft_is_rejected_for_its_content(rows: list[dict[str, Any]]) -> None:
    settings = default_settings()
    apart = {MALFORMED, CONTAMINATED, *BETWEEN_ROWS, *ON_NUMBERS}
    names = [name for name in settings.filter.rules if name not in apart]
    job = RuleJob(settings.filter, settings.contamination, names, [], "", [], None)
    runner = RuleRunner(job)
    good = [row for row in rows if "response" in row and row["verdict"] == "keep"]
    assert len(good) > 100
    assert [row["id"] for row in good if runner.run("f:1", json.dumps(row).encode()).reason] == []
