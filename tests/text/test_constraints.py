from typing import Any

import pytest

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.constraints import LengthConstraint, constraint_in, length_constraint


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("Write at least 400 words.", 400, None),
        ("It should be no less than 1,000 words.", 1000, None),
        ("no fewer than 300 words, please", 300, None),
        ("Write a text of more than 5000 words", 5000, None),
        ("A story of 2000 words or more", 2000, None),
        ("The minimum length is: minimum 250 words", 250, None),
        ("exceeding 800 words", 800, None),
        ("Write at most 200 words.", None, 200),
        ("in no more than 150 words", None, 150),
        ("not exceeding 800 words", None, 800),
        ("It must not exceed 500 words", None, 500),
        ("within 300 words", None, 300),
        ("under 250 words", None, 250),
        ("less than 120 words", None, 120),
        ("an abstract of 250 words or less", None, 250),
        ("an abstract, 250 words max", None, 250),
        ("between 300 and 400 words", 300, 400),
        ("between 1,000 and 1,500 words", 1000, 1500),
        ("介于300和400字之间", 300, 400),
        ("a post of 300 to 400 words", 300, 400),
        ("a 300-400 word post", 300, 400),
        ("不少于800字", 800, None),
        ("字数不低于1500字", 1500, None),
        ("不得少于两千字", 2000, None),
        ("至少600字", 600, None),
        ("1800字以上。", 1800, None),
        ("超过5000字", 5000, None),
        ("200字以内", None, 200),
        ("不超过300字", None, 300),
        ("不得超过三百字", None, 300),
        ("最多500字", None, 500),
        ("300字以下", None, 300),
        ("300到400字", 300, 400),
        ("字数要求100至200字。", 100, 200),
    ],
)
def test_bounds(text: str, least: int | None, most: int | None) -> None:
    assert constraint_in(text) == LengthConstraint(least, most)


@pytest.mark.parametrize(
    "text",
    [
        "Write a 400-word story.",
        "Approximately 800 words.",
        "写一篇3000字左右的文章",
        "大约要1200字的问题",
        "Write a story about at least five dragons.",
        "At least be kind. Write about the sea in 500 words.",
        "a title of at most 10 words",
    ],
)
def test_no_bounds(text: str) -> None:
    assert constraint_in(text) is None


def test_of_several_lengths_the_largest_is_bounded() -> None:
    text = "Each of the five parts has at least 200 words, the whole at most 1500 words."
    assert constraint_in(text) == LengthConstraint(None, 1500)


def row(**fields: Any) -> BenchmarkPrompt:
    given = {"prompt": "At least 100 words on tea.", "type": "t", "length": 100}
    return BenchmarkPrompt.model_validate(given | fields)


def test_fields_of_the_row_count_before_its_words() -> None:
    assert length_constraint(row()) == LengthConstraint(100, None)
    assert length_constraint(row(max_words=150)) == LengthConstraint(None, 150)
    assert length_constraint(row(min_words=80, max_words=150)) == LengthConstraint(80, 150)


@pytest.mark.parametrize(
    ("bounds", "kind", "kept", "broken"),
    [
        (LengthConstraint(None, 100), "at most", [0, 100], [101]),
        (LengthConstraint(100, None), "at least", [100, 9999], [99]),
        (LengthConstraint(90, 110), "between", [90, 110], [89, 111]),
    ],
)
def test_both_bounds_are_included(
    bounds: LengthConstraint, kind: str, kept: list[int], broken: list[int]
) -> None:
    assert bounds.kind == kind
    assert all(bounds.obeyed(words) for words in kept)
    assert not any(bounds.obeyed(words) for words in broken)
