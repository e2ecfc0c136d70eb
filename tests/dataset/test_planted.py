import json
from collections import Counter

import pytest
from helpers.checkpoints import default_settings
from helpers.planted import ROWS, Planted, planted
from helpers.planted_sets import COMPARED, MALFORMED

from longwriter.text.words import language


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Planted]:
    return planted(tmp_path_factory.mktemp("planted"))


def test_every_planted_row_gets_the_expected_verdict(rows: list[Planted]) -> None:
    expected = (
        len(ROWS.read_text().splitlines()) + len(COMPARED) + sum(map(len, MALFORMED.values()))
    )
    assert len(rows) == expected
    assert [row.describe() for row in rows if row.found != row.wanted] == []


def test_five_rows_a_rule_in_both_languages(rows: list[Planted]) -> None:
    number = Counter((row.wanted, row.language) for row in rows)
    every = [
        (rule, name)
        for rule in default_settings().filter.rules
        if ":" not in rule
        for name in ("en", "zh")
    ]
    assert {key: number[key] for key in every if number[key] < 5} == {}


def test_the_file_says_the_language_of_each_prompt_and_no_row_twice() -> None:
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()]
    assert all(row["language"] == language(row["row"]["prompt"]) for row in rows)
    assert {row["verdict"] for row in rows} == {"reject", "keep"}
    assert len({json.dumps(row["row"]) for row in rows}) == len(rows)
