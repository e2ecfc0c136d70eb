"""The length that a prompt states, in English or Chinese, and how near a text comes to it (S_l)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from longwriter.core.rows import BenchmarkPrompt

_FEWEST_WORDS = 20
"""A smaller number is the length of a title or the like."""

# Numbers in digits or Chinese characters: 12,000, 1.5k, 10 thousand, 2万5千, 三千五百
_ZH_DIGITS = "〇一二三四五六七八九"
_NUMBER = r"(?:(?:\d|[一二两三四五六七八九十百千万])[\d,，.〇零一二两三四五六七八九十百千万]{0,11}\s?(?:k|thousand)?)"

# Numbers in English words: five hundred, a thousand, two thousand five hundred and fifty
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
_GAP = r"[ -]+"
_BELOW_100 = rf"(?:(?:{'|'.join(_TENS)})(?:{_GAP}(?:{'|'.join(_ONES[:9])}))?|{'|'.join(_ONES)})"
_BARE = r"(?<!\d )(?<!\d-)"  # a scale without its number, but not the hundred of "2 hundred words"
_BELOW_1000 = (
    rf"(?:(?:(?:{_BELOW_100}|an?){_GAP}|{_BARE})hundred(?:{_GAP}(?:and{_GAP})?{_BELOW_100})?"
    rf"|{_BELOW_100})"
)
_SPELLED = (
    r"\b(?=[aefhnost])(?<!few )(?<!several )(?<!many )"  # the first letters, for speed
    rf"(?:(?:(?:{_BELOW_1000}|an?){_GAP}|{_BARE})thousand(?:{_GAP}(?:and{_GAP})?{_BELOW_1000})?"
    rf"|{_BELOW_1000})"
)

_SCALES = {"十": 10, "百": 100, "hundred": 100, "千": 1000}
_GROUPS = {"k": 1000, "thousand": 1000, "万": 10_000}
"""Scales of all that is before them: two hundred thousand, 三百二十万."""
_PART = re.compile(r"\d[\d,，]*(?:\.\d+)?|[a-z]+|[〇零一二两三四五六七八九十百千万]")
"""Of a number in lower case."""

_LENGTH = re.compile(
    # 300 to 400 words, 3000字, five hundred words
    rf"(?<![\d,.])(?:({_NUMBER})\s*(?:-|–|—|~|～|to|至|到)\s*)?(?:"
    rf"({_NUMBER})(?:[\s+-]*(?:English\s)?words?(?![a-z])|\s?Chinese\scharacters?|\s*[多余]?\s*个?(?:汉字|字(?![母典体段])))"
    rf"|({_SPELLED}){_GAP}words?\b)"
    # Word count: 2500
    r"|(?:word[ -]count|字数)[^\d\n:：]{0,10}[:：]\s*(?:about |around |约)?(\d[\d,]*)(?![\d,]*\s*(?:words?|个?字|[-–~至到]))",
    re.IGNORECASE,
)

_BEFORE = {
    "at least": re.compile(
        r"(at lea(?:st|se)|(?:no|not) (?:less|fewer) than|(?<!no )(?<!not )more than|over|above|"
        r"(?<!not )(?<!not to )exceed(?:ing)?|minimum(?: length)?(?: of|:)?|min\.?(?: of)?|"
        r"不(?:得|要|能|可)?(?:少于|低于|小于|下于)|至少|最少|起码|"
        r"(?<!不)(?<!不[得要能可])(?:超过|多于|大于|高于))[\s:：约]*$",
        re.IGNORECASE,
    ),
    "at most": re.compile(
        r"(at most|(?:no|not) more than|not (?:to )?exceed(?:ing)?|up to|within|under|below|"
        r"(?:fewer|less) than|maximum(?: length)?(?: of|:)?|max\.?(?: of)?|limit(?:ed)? (?:of|to)|"
        r"不(?:得|要|能|可)?(?:超过|多于|大于|高于)|至多|最多|少于|低于|小于)[\s:：约]*$",
        re.IGNORECASE,
    ),
}
"""What is in front of a length and makes it a bound. `at least` is tried first, for "no less than"
ends in "less than"."""
_AFTER = {
    "at most": re.compile(
        r"\s*(?:or (?:less|fewer|under)|max(?:imum)?\b|at (?:the )?most|之?以内|之?内|以下|之?之内)",
        re.IGNORECASE,
    ),
    "at least": re.compile(
        r"\s*(?:or (?:more|longer|above)|min(?:imum)?\b|at (?:the )?least|及?以上|起\b|或更多)",
        re.IGNORECASE,
    ),
}
_BETWEEN = re.compile(
    r"between (\d[\d,]*) (?:words )?and\s*$|(\d[\d,]*)字?[和与]\s*$", re.IGNORECASE
)
_WINDOW = 24
"""Characters in front of a length that are searched for the words that make it a bound."""


class Mention(NamedTuple):
    """A length that a text mentions: the ends of "300 to 400 words" are 300 and 400, both ends of
    "300 words" are 300."""

    start: int
    """Where it begins in the text, in characters."""
    end: int
    least: float
    most: float


@dataclass(frozen=True)
class LengthConstraint:
    """Bounds of a text's length in words, both included; None: no bound on that side."""

    least: int | None
    most: int | None

    @property
    def kind(self) -> str:
        """`at most`, `at least` or `between`."""
        if self.least is None:
            return "at most"
        return "at least" if self.most is None else "between"

    def obeyed(self, words: int) -> bool:
        """Returns whether a text of `words` words keeps the bounds."""
        return (self.least or 0) <= words and (self.most is None or words <= self.most)


def lengths_in(text: str) -> Iterator[Mention]:
    """Yields every length in words or characters that `text` mentions, in order: "10,000 words", "a
    5k-word essay", "five hundred words", "Word count: 2500", 2万字, 三千五百字."""
    for found in _LENGTH.finditer(text):
        low, high, spelled, count = found.groups()
        high = high or spelled or count
        most = _value(high)
        least = _value(low) if low else most
        if least < most / 100:  # 2-3k, 2到3万
            scale = _parts(high)[-1]
            least *= _SCALES.get(scale) or _GROUPS.get(scale, 1)
        yield Mention(found.start(), found.end(), least, most)


def length_in(prompt: str) -> int | None:
    """Returns the words that a prompt asks for: of a range the middle, of several lengths the
    largest; None if it does not say."""
    lengths = [round((found.least + found.most) / 2) for found in lengths_in(prompt)]
    return max((length for length in lengths if length >= _FEWEST_WORDS), default=None)


def constraint_in(text: str) -> LengthConstraint | None:
    """Returns the bounds that `text` states in words, English or Chinese; None if it states a length,
    or none at all.

    Bounds are "at least 400 words", "no more than 200 words", "300 to 400 words", 不少于800字,
    200字以内, 300到400字. Of several lengths the bounds of the largest count, as `length_in` takes the
    largest. A text may keep the bounds and be far from the required length, and the other way round:
    S_l knows no bounds.
    """
    lengths = [found for found in lengths_in(text) if found.most >= _FEWEST_WORDS]
    if not lengths:
        return None
    found = max(lengths, key=lambda length: length.most)
    least, most = round(found.least), round(found.most)
    before, after = text[max(0, found.start - _WINDOW) : found.start], text[found.end :]
    between = _BETWEEN.search(before)
    if between:
        least = int((between.group(1) or between.group(2)).replace(",", ""))
    if least < most:
        return LengthConstraint(least, most)
    if _BEFORE["at least"].search(before) or _AFTER["at least"].match(after):
        return LengthConstraint(most, None)
    if _BEFORE["at most"].search(before) or _AFTER["at most"].match(after):
        return LengthConstraint(None, most)
    return None


def length_constraint(prompt: BenchmarkPrompt) -> LengthConstraint | None:
    """Returns the bounds of a benchmark's row: its fields `min_words` and `max_words` if it has one of
    them, else what its prompt says (`constraint_in`)."""
    given = prompt.model_dump()
    if given.get("min_words") or given.get("max_words"):
        return LengthConstraint(given.get("min_words") or None, given.get("max_words") or None)
    return constraint_in(prompt.prompt)


def length_score(required: int, written: int) -> float:
    """Returns S_l of one text, 0 to 100.

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


def _value(number: str) -> float:
    """12,000, 1.5k, 2万5千, 三千五百 or "two thousand five hundred" as a number."""
    above, below, digit = 0.0, 0.0, 0.0
    for part in _parts(number):
        if part in _GROUPS:
            above, below, digit = (above + below + digit or 1) * _GROUPS[part], 0.0, 0.0
        elif part in _SCALES:
            below, digit = below + (digit or 1) * _SCALES[part], 0.0
        elif part in _IN_WORDS:  # twenty five
            digit += _IN_WORDS[part]
        elif part not in ("a", "an", "and"):
            chinese = _ZH_DIGITS.find(part.replace("零", "〇").replace("两", "二"))
            digit = chinese if chinese >= 0 else float(re.sub("[,，]", "", part))
    return above + below + digit


def _parts(number: str) -> list[str]:
    return _PART.findall(number.lower())
