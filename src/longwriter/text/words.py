"""Counts words as the LongWriter paper does, splits text into tokens, tells a prompt's language."""

import re
from typing import Literal

Language = Literal["en", "zh"]

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH = re.compile(r"\b[a-zA-Z]+\b")
_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")


def count_words(text: str) -> int:
    r"""Counts Chinese characters (U+4E00 to U+9FFF) plus English words (`\b[a-zA-Z]+\b`).

    It keeps the paper's peculiarities: digits don't count, "don't" counts as two words, and a word
    that touches a digit, an underscore, an accented letter or a Chinese character doesn't count
    ("été": 0, "naïve": 0, "GPT-4": 1, "3D": 0). Neither do Chinese characters of the rarer blocks
    (U+3400 to U+4DBF, U+20000 and above), Chinese punctuation, kana, Hangul and Cyrillic.

    Source: LongWriter (arXiv 2408.07055), section 2, and `count_words` of its released
    evaluation/pred.py at commit ca6ccd4.
    """
    return len(_CHINESE.findall(text)) + len(_ENGLISH.findall(text))


def uncounted_letters(text: str) -> float:
    """Returns the share (0 to 1) of the text's letters that `count_words` leaves out.

    These are kana, Hangul, Cyrillic and words with accents. 0 for a text in ASCII or without
    letters.
    """
    if text.isascii():
        return 0.0
    letters = sum(map(str.isalpha, text))
    counted = len(_CHINESE.findall(text)) + sum(map(len, _ENGLISH.findall(text)))
    return max(1 - counted / letters, 0.0) if letters else 0.0


def tokens(text: str) -> list[str]:
    """Returns the words and numbers in lower case and each Chinese character, no punctuation."""
    return _TOKEN.findall(text.lower())


def language(prompt: str) -> Language:
    """Returns `zh` if the prompt contains a Chinese character (U+4E00 to U+9FFF), else `en`."""
    return "zh" if _CHINESE.search(prompt) else "en"
