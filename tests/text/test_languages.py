from typing import Any

import pytest

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.languages import benchmark_language, wanted_language, words_elsewhere


def row(prompt: str, **fields: Any) -> BenchmarkPrompt:
    return BenchmarkPrompt.model_validate({"prompt": prompt, "type": "t", "length": 9} | fields)


@pytest.mark.parametrize(
    ("prompt", "half", "answer"),
    [
        ("Write a story.", "en", "en"),
        ("写一个故事。", "zh", "zh"),
        ("帮我用英文写一篇关于郭沫若生平的文章", "en", "en"),
        ("写一篇300词的英语作文", "zh", "en"),
        ("用英语介绍北京", "en", "en"),
        ("Write a 800 words Chinese news", "en", "zh"),
        ("Explain tea in decent Chinese", "en", "zh"),
        ("Tell a story in Chinese culture", "en", "en"),
        ("Translate this idea into English: 海", "zh", "en"),
    ],
)
def test_languages_of_a_prompt(prompt: str, half: str, answer: str) -> None:
    assert (benchmark_language(prompt), wanted_language(row(prompt))) == (half, answer)


def test_a_row_may_name_the_answer_s_language() -> None:
    assert wanted_language(row("Write a story.", answer_language="zh")) == "zh"


def test_words_elsewhere() -> None:
    text = "Tea 茶 from Кяхта, naïve été 42."
    # Tea, 茶, from, Кяхта, naïve, été: Latin letters with accents are no other script
    assert words_elsewhere(text, "en") == [False, True, False, True, False, False]
    assert words_elsewhere(text, "zh") == [True, False, True, True, True, True]
