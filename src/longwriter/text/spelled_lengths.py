"""Lengths that an instruction states in other ways than "500 words"."""

import re

_ONES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen"""


_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"


_VALUES = {word: number for number, word in enumerate(_ONES.split())} | {
    word: 10 * number for number, word in enumerate(_TENS.split(), start=2)
}


_SCALES = "hundred|thousand"


_WORD = rf"(?:an?(?=[ -]+(?:{_SCALES}))|{'|'.join(_VALUES)}|{_SCALES})"


_NUMBER = re.compile(
    rf"(?<!few )(?<!several )(?<!many )\b{_WORD}(?:[ -]+(?:and[ -]+)?{_WORD})*(?=[ -]+words?\b)",
    re.IGNORECASE,
)


_COUNT = re.compile(
    r"(?:word[ -]count|字数)[^\d\n:：]{0,10}[:：]\s*(?:about |around |约)?(\d[\d,]*)(?![\d,]*\s*(?:words?|个?字|[-–~至到]))",
    re.IGNORECASE,
)


def plain_lengths(text: str) -> str:
    """`text` with lengths as `longwriter.text.length_in` reads them: "two thousand five hundred words" and
    "Word count: 2500" become "2500 words"."""
    text = _COUNT.sub(r"\1 words", text)
    return _NUMBER.sub(lambda found: str(_value(found.group(0))), text)


def _value(number: str) -> int:
    whole, part = 0, 0
    for word in re.findall(r"[a-z]+", number.lower()):
        if word == "thousand":
            whole, part = whole + (part or 1) * 1000, 0
        elif word == "hundred":
            part = (part or 1) * 100
        else:
            part += _VALUES.get(word, 0)
    return whole + part
