from typing import Any

import pytest

from longwriter.core.rows import Prediction
from longwriter.evaluation.health import Health, health, looped, marks, summary
from longwriter.text.repetition import ngrams, repeated_ngrams


def of(response: str, prompt: str = "Write about tea.", **fields: Any) -> Health:
    row = {"prompt": prompt, "type": "t", "length": 9, "response": response}
    return health(Prediction.model_validate(row | fields))


def words(number: int, start: int = 0) -> str:
    return " ".join(f"w{n}" for n in range(start, start + number))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (words(100), 0.0),
        ("a b c d " * 10, 1.0),  # ten copies of four
        (f"{words(60)} " + "a b c d " * 10, 0.4),  # 40 of 100
        ("a b c d " * 10 + words(60), 0.4),
        (f"{words(30)} " + "x " * 40 + words(30, 100), 0.4),
        ((words(10) + " ") * 3, 1.0),  # three copies of ten: 30 tokens
        ((words(10) + " ") * 2, 0.0),  # two copies are no loop
        ("a b c d " * 4, 0.0),  # 16 tokens are too few
        (f"{words(20)} {words(40, 50)} {words(20)} {words(40, 150)} {words(20)}", 0.0),  # a refrain
        ("茶" * 30, 1.0),
        ("", 0.0),
        ("short", 0.0),
    ],
)
def test_loops(text: str, share: float) -> None:
    assert of(text).loop == pytest.approx(share)


def test_two_loops_add_up() -> None:
    text = "a b c " * 10 + words(40) + " " + "x y " * 15
    assert of(text).loop == pytest.approx(60 / 100)


def test_a_loop_is_counted_once_whatever_its_period() -> None:
    assert looped(ngrams("a b " * 50, 8)) == 1.0


def test_marks_without_a_judge() -> None:
    found = of("Tea is old. Tea is old. Tea is good.")
    # Sentences of fewer than four tokens are no copies; 9 tokens, of which is, old., good. …
    assert found.copied == 0.0
    assert found.distinct_1 == pytest.approx(4 / 9)  # Tea, is, old., good.
    assert found.distinct_2 == pytest.approx(4 / 8)  # Tea is, is old., old. Tea, is good.
    assert found.repetition == repeated_ngrams("Tea is old. Tea is old. Tea is good.")


def test_distinct_words_do_not_fall_with_length() -> None:
    page = words(200) + " "
    assert of(page).distinct_1 == of(page * 20).distinct_1 == 1.0
    assert of(words(200) + " " + "a " * 200).distinct_1 == pytest.approx((1 + 1 / 200) / 2)


@pytest.mark.parametrize(
    ("text", "finish_reason", "unfinished"),
    [
        ("The end.", "stop", False),
        ("“Is it the end?”", "stop", False),
        ("**The end!**\n", "stop", False),
        ("结束。", "stop", False),
        ("（完）", "stop", False),
        ("and then she", "stop", True),
        ("and then,", "", True),
        ("The end.", "length", True),
        ("", "stop", True),
        # as the filter's rule sees it
        ("The end.\n\nTo be continued…", "stop", True),
        ("We need:\n\n- tea\n- water\n- time", "stop", False),
        ("Dear Anna,\n\nThe end.\n\nYours,\nPeter", "stop", False),
    ],
)
def test_endings(text: str, finish_reason: str, unfinished: bool) -> None:
    assert of(text, finish_reason=finish_reason).unfinished is unfinished


def test_language_drift() -> None:
    drifting = "word " * 75 + "字" * 25
    found = of(drifting)
    assert (found.other_language, found.drift) == (0.25, 1.0)
    assert (of("字" * 50, "写茶").other_language, of("字" * 50).other_language) == (0.0, 1.0)
    assert marks(found)[-1] == "leaves its language"


def test_summary_is_the_mean_and_the_share_that_loops() -> None:
    clean, loop = of("Fine words here."), of("a b c d " * 10)
    found = summary([clean, loop])
    assert (found["loop"], found["looping"], found["unfinished"]) == (0.5, 0.5, 0.5)
