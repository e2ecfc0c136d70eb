import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import spearmanr

from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement
from longwriter.core.settings import StatisticsSettings
from longwriter.evaluation.agreement import (
    GradePair,
    Label,
    agreement,
    read_labels,
    spearman,
    with_labels,
)
from longwriter.evaluation.judge import DIMENSIONS


def graded(prompt: str, grade: int | None) -> Judgement:
    scores = None if grade is None else dict.fromkeys(DIMENSIONS, grade)
    row = {"prompt": prompt, "type": "t", "length": 9, "response": "x", "length_score": 0.0}
    return Judgement.model_validate(row | {"scores": scores})


def pairs(a: list[int], b: list[int]) -> list[GradePair]:
    return [GradePair("Clarity", f"p{n}", x, y) for n, (x, y) in enumerate(zip(a, b, strict=True))]


def test_measures_are_those_of_their_definitions() -> None:
    a, b = [1, 2, 3, 4, 5], [2, 1, 4, 3, 5]
    found = agreement(pairs(a, b), StatisticsSettings(resamples=200, seed=1))["Clarity"]
    assert found["n"] == 5
    # Spearman: 1 - 6 Σd² / (n (n² - 1)) = 1 - 6 · 4 / 120
    assert found["spearman"]["value"] == pytest.approx(0.8)
    # Kendall: of 10 pairs two are turned round: (8 - 2) / 10
    assert found["kendall"]["value"] == pytest.approx(0.6)
    # Weighted kappa: 1 - Σ(a - b)² / Σ over all pairs of (a_i - b_j)² / n = 1 - 4 / (100 / 5)
    assert found["kappa"]["value"] == pytest.approx(1 - 4 / 20)
    low, high = found["kappa"]["interval"]
    assert low < 0.8 <= high <= 1.0


def test_perfect_agreement_has_a_perfect_interval() -> None:
    grades = [1, 2, 3, 4, 5] * 4
    found = agreement(pairs(grades, grades), StatisticsSettings(resamples=100, seed=1))["all"]
    for measure in ("spearman", "kendall", "kappa"):
        assert found[measure]["value"] == pytest.approx(1.0)
        assert found[measure]["interval"] == pytest.approx([1.0, 1.0])


def test_a_judge_that_gives_one_grade_only_has_no_measure() -> None:
    found = agreement(pairs([1, 2, 3], [4, 4, 4]), StatisticsSettings(resamples=100, seed=1))[
        "Clarity"
    ]
    assert found["spearman"] == {"value": None, "interval": None}


def test_grades_of_the_same_prompt_are_drawn_together() -> None:
    # One prompt only: every resample is the whole, so the interval is the value.
    one = [GradePair("Clarity", "p", x, y) for x, y in [(1, 2), (2, 1), (3, 4), (5, 5)]]
    found = agreement(one, StatisticsSettings(resamples=50, seed=1))["all"]["spearman"]
    assert found["interval"] == pytest.approx([found["value"]] * 2)


def label(row: int, score: float, dimension: str = "Clarity") -> dict[str, Any]:
    return {"row": row, "dimension": dimension, "score": score}


def labels_file(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    path = tmp_path / "labels.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labels_meet_the_judge_s_grades(tmp_path: Path) -> None:
    path = labels_file(tmp_path, label(1, 4), label(1, 5), label(2, 1), label(3, 2))
    rows = [graded("a", 3), graded("b", None), graded("c", 2)]
    # Two people on row 1: (4 + 5) / 2; row 2 has no grades of the judge.
    assert with_labels(rows, read_labels(path, 3)) == [
        ("Clarity", "a", 4.5, 3),
        ("Clarity", "c", 2.0, 2),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (label(4, 3), "row 4 is labelled, and the predictions have 3"),
        (label(0, 3), "greater than or equal to 1"),
        (label(1, 6), "less than or equal to 5"),
        (label(1, 3, "Style"), "'Style' is none of Relevance, Accuracy"),
    ],
)
def test_a_wrong_label_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_labels(labels_file(tmp_path, row), 3)


def test_half_grades_are_allowed_to_people() -> None:
    found = agreement(
        [GradePair("Clarity", f"p{n}", n + 0.5, n + 1.0) for n in range(1, 5)],
        StatisticsSettings(resamples=50, seed=1),
    )
    assert math.isclose(found["all"]["kappa"]["value"], 1.0)  # 1.5 counts as 2, as 2.0 does
    assert Label(row=1, dimension="Clarity", score=4.5).score == 4.5


def test_the_rank_correlation_is_scipys_with_equal_values_among_them() -> None:
    random = np.random.default_rng(3)
    for size in (3, 10, 40):
        first, second = random.integers(1, 6, size), random.integers(1, 6, size) * 10.0
        if np.ptp(first) and np.ptp(second):
            assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic)
