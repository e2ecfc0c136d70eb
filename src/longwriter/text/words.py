"""Words, as the paper counts them, and the language of a prompt."""

import re
from typing import Literal

_CHINESE = re.compile(r"[\u4e00-\u9fff]")


_ENGLISH = re.compile(r"\b[a-zA-Z]+\b")


def count_words(text: str) -> int:
    r"""Counts Chinese characters (U+4E00 to U+9FFF) plus English words (`\b[a-zA-Z]+\b`).

    It has the paper's peculiarities: digits count nothing, "don't" counts two, a word that
    touches a digit, an underscore, an accented letter or a Chinese character counts nothing ("été"
    nothing, "naïve" nothing, "GPT-4" one, "3D" nothing). Characters of the rarer blocks (U+3400 to
    U+4DBF, U+20000 on), Chinese punctuation, kana, Hangul and Cyrillic count nothing either.

    Source: LongWriter (arXiv 2408.07055), section 2, and `count_words` of its released
    evaluation/pred.py at commit ca6ccd4.
    """
    return len(_CHINESE.findall(text)) + len(_ENGLISH.findall(text))


def language(prompt: str) -> Literal["en", "zh"]:
    """`zh` where the prompt holds a Chinese character (U+4E00 to U+9FFF), else `en`."""
    return "zh" if _CHINESE.search(prompt) else "en"
