"""Words, as the paper counts them, the language and length that a prompt asks for, refusals."""

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_ENGLISH = re.compile(r"\b[a-zA-Z]+\b")
_CANNOT = r"(can't|cannot|can not|won't|am unable to|'m unable to|am not able to|'m not able to)"
_REFUSAL = re.compile(
    rf"\b(I('m| am) sorry,? (but )?I {_CANNOT}|I('m| am)? ?{_CANNOT} (assist|comply|fulfill?|provide|"
    r"generate|create|write|help (you )?with)|as an? (AI|artificial intelligence|large language|"
    r"language) (language )?(model|assistant))\b"
    r"|^\s*(很|非常)?(对不起|抱歉)[，,]?\s*(但是?)?我(无法|不能|没有办法|没办法)"
    r"|作为(一个|一名)?(人工智能|AI)(语言)?(模型|助手)",
    re.IGNORECASE,
)

_DIGITS = "〇一二三四五六七八九"
_UNITS = {"十": 10, "百": 100, "千": 1000, "k": 1000, "thousand": 1000, "万": 10_000}
_NUMBER = r"(?:(?:\d|[一二两三四五六七八九十百千万])[\d,，.〇零一二两三四五六七八九十百千万]{0,11}\s?(?:k|thousand)?)"
_LENGTH = re.compile(
    rf"(?<![\d,.])(?:({_NUMBER})\s*(?:-|–|—|~|～|to|至|到)\s*)?({_NUMBER})"
    r"(?:[\s+-]*(?:English\s)?words?(?![a-z])|\s?Chinese\scharacters?|\s*[多余]?\s*个?(?:汉字|字(?![母典体段])))",
    re.I,
)
_PART = re.compile(r"\d[\d,，]*(?:\.\d+)?|thousand|[k〇零一二两三四五六七八九十百千万]", re.I)
_FEWEST_WORDS = 20
"""A smaller number is the length of a title or the like."""


class Mention(NamedTuple):
    """A length that a text speaks of: of "300 to 400 words" the ends are 300 and 400, of "300
    words" both are 300."""

    start: int
    """Where it begins in the text, in characters."""
    end: int
    least: float
    most: float


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


def length_in(prompt: str) -> int | None:
    """Words that a prompt asks for in so many words or characters ("10,000 words", "a 5k-word
    essay", 2万字, 三千五百字); of a range its middle, of several the largest; None: it does not say.
    """
    lengths = [round((found.least + found.most) / 2) for found in lengths_in(prompt)]
    return max((length for length in lengths if length >= _FEWEST_WORDS), default=None)


def lengths_in(text: str) -> Iterator[Mention]:
    """Every length in words or characters that `text` speaks of, in order."""
    for found in _LENGTH.finditer(text):
        low, high = found.groups()
        most = _value(high)
        least = _value(low) if low else most
        if least < most / 100:  # 2-3k, 2到3万
            least *= _UNITS.get(_PART.findall(high)[-1].lower(), 1)
        yield Mention(found.start(), found.end(), least, most)


def _value(number: str) -> float:
    """12,000, 1.5k, 2万5千 or 三千五百 as a number."""
    above, below, digit = 0.0, 0.0, 0.0
    for part in _PART.findall(number.lower()):
        if part == "万":
            above, below, digit = (above + below + digit or 1) * _UNITS[part], 0.0, 0.0
        elif part in _UNITS:
            below, digit = below + (digit or 1) * _UNITS[part], 0.0
        else:
            chinese = _DIGITS.find(part.replace("零", "〇").replace("两", "二"))
            digit = chinese if chinese >= 0 else float(re.sub("[,，]", "", part))
    return above + below + digit


def refusal_in(text: str) -> str:
    """The words with which `text` refuses, or its writer speaks of itself as a model, within the
    first 300 characters; empty where it does not."""
    found = _REFUSAL.search(text[:300].replace("’", "'"))
    return found.group(0) if found else ""
