import pytest

from longwriter.evaluation.length import length_score


@pytest.mark.parametrize(
    ("required", "written", "score"),
    [
        (400, 400, 100.0),
        # y > x: 100 · (1 - (y/x - 1) / 3)
        (400, 700, 75.0),  # 700/400 = 1.75, 0.75 / 3 = 0.25
        (400, 1000, 50.0),  # 2.5, 1.5 / 3 = 0.5
        (400, 1600, 0.0),  # 4, 3 / 3 = 1
        (400, 4000, 0.0),  # 10, 9 / 3 = 3: below zero, so 0
        # y ≤ x: 100 · (1 - (x/y - 1) / 2)
        (300, 200, 75.0),  # 300/200 = 1.5, 0.5 / 2 = 0.25
        (400, 200, 50.0),  # 2, 1 / 2 = 0.5
        (900, 300, 0.0),  # 3, 2 / 2 = 1
        (900, 100, 0.0),  # 9, 8 / 2 = 4: below zero, so 0
        (900, 0, 0.0),
    ],
)
def test_length_score(required: int, written: int, score: float) -> None:
    assert length_score(required, written) == pytest.approx(score, abs=1e-9)
