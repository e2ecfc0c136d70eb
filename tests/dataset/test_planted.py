from collections import Counter

import pytest
from helpers.planted import Verdict, verdicts
from helpers.planted_rows import ROWS
from helpers.planted_sets import COMPARED, MALFORMED
from training.checkpoints import default_settings

from longwriter.text.words import language


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    return list(verdicts(tmp_path_factory.mktemp("planted")))


def test_every_planted_row_gets_the_expected_verdict(found: list[Verdict]) -> None:
    assert len(found) == len(ROWS) + len(COMPARED) + len(MALFORMED)
    wrong = [
        f"wanted {row.rule}, got {rule}: {row.prompt!r} {row.response[-60:]!r}"
        for row, rule in found
        if row.rule != rule
    ]
    assert wrong == []


def test_five_rows_a_rule_in_both_languages(found: list[Verdict]) -> None:
    planted = Counter((row.rule, language(row.prompt)) for row, _ in found)
    every = [(rule, name) for rule in default_settings().filter.rules for name in ("en", "zh")]
    assert {key: planted[key] for key in every if planted[key] < 5} == {}
