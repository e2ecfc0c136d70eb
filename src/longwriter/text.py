"""Words, as the paper counts them."""

import re

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH = re.compile(r"\b[a-zA-Z]+\b")


def count_words(text: str) -> int:
    r"""Counts Chinese characters (U+4E00 to U+9FFF) plus English words (`\b[a-zA-Z]+\b`).

    It has the paper's peculiarities: digits count nothing, "don't" counts two, a word that
    touches a digit, an underscore, an accented letter or a Chinese character counts nothing.

    Source: LongWriter (arXiv 2408.07055), section 2, and its released `count_words`.
    """
    return len(_CHINESE.findall(text)) + len(_ENGLISH.findall(text))
