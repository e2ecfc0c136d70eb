"""The length that a prompt asks for, and how near a text comes to it (S_l)."""

import re
from collections.abc import Iterator
from typing import NamedTuple

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


def length_score(required: int, written: int) -> float:
    """S_l of one text, 0 to 100.

    With x words required and y written:
        y > x:      100 · max(0, 1 - (y/x - 1) / 3)    0 from four times the length on
        0 < y ≤ x:  100 · max(0, 1 - (x/y - 1) / 2)    0 from a third of the length down
        y = 0:      0

    Args:
        required: words asked for, above 0.
        written: words in the text, as `count_words` counts them.

    Peculiarities kept: a text of twice the length loses a third of the points, one of half the
    length a half; bounds such as "at least" count as the length itself. The released function
    divides by zero where y = 0 and otherwise gives these very numbers, bit by bit.

    Source: LongWriter (arXiv 2408.07055), section 2; `score` of its released
    evaluation/eval_length.py at commit ca6ccd4.
    """
    if written == 0:
        return 0.0
    if written > required:
        return 100 * max(0.0, 1 - (written / required - 1) / 3)
    return 100 * max(0.0, 1 - (required / written - 1) / 2)
