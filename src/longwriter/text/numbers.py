"""Numbers as prompts write them: 12,000, 1.5k, 10 thousand, 2万5千, 三千五百, a thousand five hundred.

Chinese characters are expected in their simplified forms (`text.chinese.simplified`).
"""

import re

_ZH_DIGITS = "〇一二三四五六七八九"
_ZH = "〇零一二两三四五六七八九十百千万"

NUMERAL = rf"(?:(?:\d|[一二两三四五六七八九十百千万])(?:[\d,，.{_ZH}]|、(?=[一二三四五六七八九][百千万])){{0,11}}(?:\s?(?:k|w(?=\s?字)|thousand|hundred|million)(?![a-z]))?)"
"""Digits, Chinese characters, or both."""

_ONES = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_IN_WORDS = {word: number for number, word in enumerate(_ONES, start=1)} | {
    word: 10 * number for number, word in enumerate(_TENS, start=2)
}
_IN_WORDS["couple"] = 2
_GAP = r"[ \t-]{1,3}"
_COUPLE = rf"a{_GAP}couple(?:{_GAP}of)?"
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:{_GAP}(?:{'|'.join(_ONES[:9])}))?|{'|'.join(_ONES)})"
_BARE = r"(?<!\d )(?<!\d-)"  # a scale without a number; not the "hundred" of "2 hundred"
_BELOW_1000 = (
    rf"(?:(?:(?:{_BELOW_100}|{_COUPLE}|an?){_GAP}|{_BARE})hundred(?:{_GAP}(?:and{_GAP})?{_BELOW_100})?"
    rf"|{_BELOW_100})"
)
SPELLED = (
    r"\b(?=[aefhnost])(?<!few )(?<!several )(?<!many )"  # the first letters, for speed
    rf"(?:(?:(?:{_BELOW_1000}|{_COUPLE}|an?){_GAP}|{_BARE})thousand(?:{_GAP}(?:and{_GAP})?{_BELOW_1000})?"
    rf"|{_BELOW_1000})"
)
"""Numbers in English words."""
ANY = rf"(?:{NUMERAL}|{SPELLED})"

_SCALES = {"十": 10, "百": 100, "hundred": 100, "千": 1000}
_GROUPS = {"k": 1000, "thousand": 1000, "万": 10_000, "w": 10_000, "million": 1_000_000}
"""Scales that multiply everything before them: two hundred thousand, 三百二十万."""
_PART = re.compile(r"\d[\d,，]*(?:\.\d+)?|[a-z]+|[〇一二三四五六七八九十百千万]")
"""One part of a number in lower case."""
_SIMPLER = str.maketrans("零两", "〇二")
_NEIGHBOURS = re.compile(r"([一二三四五六七八九])、?([一二三四五六七八九])(?=[十百千万])")
"""三四千: three to four thousand."""


def value(number: str) -> float:
    """Returns the value of a number that matches ANY.

    Examples: 12,000, 1.5k, 2万5千, "two thousand five hundred".
    """
    above, below, digit, scale = 0.0, 0.0, 0.0, 0.0
    parts = _parts(number)
    for place, part in enumerate(parts):
        if part in _GROUPS:
            above, below, digit = (above + below + digit or 1) * _GROUPS[part], 0.0, 0.0
            scale = _GROUPS[part]
        elif part in _SCALES:
            below, digit, scale = below + (digit or 1) * _SCALES[part], 0.0, _SCALES[part]
        elif part in _IN_WORDS:  # twenty five
            digit += _IN_WORDS[part]
        elif part not in ("a", "an", "and", "of"):
            chinese = _ZH_DIGITS.find(part)
            digit = chinese if chinese >= 0 else float(re.sub("[,，]", "", part))
            last = place == len(parts) - 1 and place > 0 and digit < 10
            if last and scale >= 100 and parts[place - 1] in ("百", "千", "万"):  # 一千五, 2万5
                digit *= scale / 10
    return above + below + digit


def spread(low: str, high: str) -> tuple[float, float]:
    """Returns the ends of a range whose first number may lack the second's scale: 2-3k, 2到3万."""
    most, least = value(high), value(low)
    if least < most / 100:
        scale = _parts(high)[-1]
        least *= _SCALES.get(scale) or _GROUPS.get(scale, 1)
    return least, most


def neighbours(number: str) -> tuple[float, float] | None:
    """Returns the ends of a Chinese number that names two (三四千 is 3,000 to 4,000), else None."""
    found = _NEIGHBOURS.search(number.translate(_SIMPLER))
    if not found:
        return None
    return value(found[1] + number[found.end() :]), value(found[2] + number[found.end() :])


def _parts(number: str) -> list[str]:
    return _PART.findall(number.lower().translate(_SIMPLER))
