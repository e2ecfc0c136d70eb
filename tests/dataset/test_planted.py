from pathlib import Path

from planted import ROWS, verdicts


def test_every_planted_row_gets_the_expected_verdict(tmp_path: Path) -> None:
    wrong = [
        f"wanted {row.rule}, got {rule}: {row.response[-60:]!r}"
        for row, rule in verdicts(tmp_path)
        if row.rule != rule
    ]
    assert wrong == []


def test_five_rows_a_rule_in_both_languages() -> None:
    planted: dict[str | None, list[str]] = {}
    for row in ROWS:
        planted.setdefault(row.rule, []).append(row.response)
    assert {rule for rule, texts in planted.items() if len(texts) < 5} == set()
    chinese = {r for r, texts in planted.items() if any("的" in text for text in texts)}
    assert set(planted) - chinese == {"too_short"}  # whose Chinese rows are too short for a 的
