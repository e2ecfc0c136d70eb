from typing import Any

import pytest

from longwriter.core.rows import BenchmarkPrompt
from longwriter.text.languages import (
    benchmark_language,
    mixed_script,
    wanted_language,
    words_elsewhere,
    wrong_language,
)


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
        ("Put it in standard and decent Chinese, please", "en", "zh"),
        ("Translate it to Chinese.", "en", "zh"),
        ("Tell a story in Chinese culture", "en", "en"),
        ("It is about the chances open to Chinese students", "en", "en"),
        ("写一篇英文影评", "zh", "en"),
        ("介绍全英国的大学", "zh", "zh"),
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


ENGLISH = "The ferry left at dawn and we could hear the ropes. "
CHINESE = "清晨的渡船离开码头时，港口安静得能听见缆绳的声响。"


@pytest.mark.parametrize(
    ("text", "prompt", "reason"),
    [
        (ENGLISH, "Write a story.", ""),
        (CHINESE, "写一个故事。", ""),
        (CHINESE, "Write a story.", "100% Chinese, but the prompt asks for Latin script"),
        (ENGLISH, "写一个故事。", "100% Latin, but the prompt asks for Chinese script"),
        (CHINESE, "Write a story in Chinese.", ""),
        (ENGLISH, "用英语写一个故事。", ""),
        (ENGLISH, "Tell a story in Chinese culture", ""),  # names a language, asks for none
        (ENGLISH * 3 + "`渡船 = 1`", "Write a story.", ""),  # code
        # 11 of 16 words are those that French is full of: le, et, ne …
        ("le bateau et la mer ne sont pas au port et il est dans les vagues " * 2, "Write.", "looks like French"),
    ],
)  # fmt: skip
def test_wrong_language(text: str, prompt: str, reason: str) -> None:
    assert wrong_language(text, prompt) == reason


@pytest.mark.parametrize(
    ("text", "prompt", "reason"),
    [
        (ENGLISH * 9, "Write a story.", ""),
        # 11 English words and 23 Chinese characters: 11 of 34; then 23 of 122
        (ENGLISH + CHINESE, "Write a story.", "32% not in Chinese script, mostly Latin"),
        (ENGLISH * 9 + CHINESE, "Write a story.", "19% not in Latin script, mostly Chinese"),
        (
            ENGLISH * 20 + CHINESE,
            "Write a story.",
            "passage of 23 Chinese words in a Latin-script text",
        ),
        (ENGLISH * 20 + f"“{CHINESE}”", "Write a story.", ""),  # quoted
        (ENGLISH * 20 + CHINESE, "Write a story and translate it.", ""),
        (CHINESE + "他用Python和API。", "写一个故事。", ""),  # names
    ],
)
def test_mixed_script(text: str, prompt: str, reason: str) -> None:
    assert mixed_script(text, prompt, max_foreign=0.15, max_foreign_run=15) == reason
