from typing import Any

import pytest

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.demands import Mention, demand_in, mentions
from longwriter.text.lengths import LengthConstraint, constraint_in, length_constraint


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ("Write a 10000-word history of tea.", 10_000),
        ("Write 10,000 words about tea.", 10_000),
        ("An essay of 5k words", 5_000),
        ("A 1.5k-word essay", 1_500),
        ("In 10 thousand words or so", 10_000),
        ("At least 2000+ words", 2_200),
        ("Write 500-700 words.", 600),
        ("Write 2 to 3k words.", 2_500),
        ("Write 800 English words.", 800),
        ("In 2020, 500 words were enough.", 500),
        ("A 3000-word story with a 100-word preface", 3_000),  # the largest
        ("A story with a 3-word title", None),
        ("Chapter 12 wordsmiths", None),
        ("Write about tea since 1600.", None),
        ("99999999999999 words", None),  # nobody means that
        ("写一篇2万字的小说", 20_000),
        ("请写3000字。", 3_000),
        ("写一篇２０００字的文章", 2_000),  # full-width digits
        ("写一篇三千五百字的文章", 3_500),
        ("写一篇一万五千字的小说", 15_000),
        ("写一篇2万5千字的小说", 25_000),
        ("写一篇万字长文", 10_000),
        ("八百字左右的作文", 800),
        ("两千多字", 2_000),
        ("写1.5万字", 15_000),
        ("写800到1000个字", 900),
        ("写2到3万字", 25_000),
        ("写一篇1200-word的文章", 1_200),
        ("解释两个字：幸福", None),
        ("介绍26个字母", None),
    ],
)
def test_length_to_aim_at(prompt: str, length: int | None) -> None:
    assert demand_in(prompt).target == length


@pytest.mark.parametrize(
    ("prompt", "length"),
    [
        ("roughly five hundred words please", 500),
        ("Write a thousand-word story.", 1000),
        ("A Hundred And Twenty words", 120),
        ("two thousand five hundred words", 2500),
        ("one-thousand-five-hundred-word", 1500),
        ("twenty-five hundred words", 2500),
        ("a hundred and twenty five thousand words", 125_000),
        ("seven hundred and fifty-five words", 755),
        ("ninety words on nineteen seas", 90),
        ("Write a market story in 3 to 4 thousand words.", 3500),
        ("between three hundred and four hundred words", 350),
        ("Word count: 2500", 2500),
        ("word-count (total): about 1,200", 1200),
        ("Word count: 2,500-3,000 words", 2750),
        ("字数：1500", 1500),
        ("字数要求：约1500左右", 1500),
        ("字数：1500-2000字", 1750),
        ("a few hundred words", None),
        ("several thousand words", None),
        ("2 hundred words", 200),  # not a hundred
        ("a man of few words", None),
        ("a ten-word title", None),
        ("five hundred swordsmen", None),
        ("a thousand wordsmiths", None),
        ("one hundred sheep, in words", None),
        ("My word count is low: help.", None),
    ],
)
def test_numbers_in_words_and_word_counts(prompt: str, length: int | None) -> None:
    assert demand_in(prompt).target == length


def test_every_mention_has_its_place_and_both_ends() -> None:
    text = "A 2-word title, two hundred words of preface, 300 to 400 words of text. Word count: 600"
    found = list(mentions(text))
    assert [(text[m.start : m.end], m.least, m.most) for m in found] == [
        ("2-word", 2, 2),
        ("two hundred words", 200, 200),
        ("300 to 400 words", 300, 400),
        ("Word count: 600", 600, 600),
    ]
    assert found[0] == Mention(2, 8, 2.0, 2.0)


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
        ("at least five hundred words", 500, None),
        ("no more than two thousand five hundred words", None, 2500),
        ("a story of a thousand words or more", 1000, None),
        ("Word count: 1500 max", None, 1500),
        ("Write a market story in 3 to 4 thousand words.", 3000, 4000),
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
        "Write a five-hundred-word story.",
        "Word count: 2500",
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
