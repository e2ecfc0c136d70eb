"""English numbers of words that an instruction spells out."""

import re

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_VALUES = (
    {word: number for number, word in enumerate(_ONES)}
    | {word: 10 * number for number, word in enumerate(_TENS, start=2)}
    | {"a": 1, "an": 1}
)
_SCALES = {"hundred": 100, "thousand": 1000}
_WORD = "|".join((*_VALUES, *_SCALES))
_NUMBER = re.compile(
    rf"(?<!few )(?<!several )(?<!many )\b(?:{_WORD})(?:[ -]+(?:and[ -]+)?(?:{_WORD}))*(?=[ -]+words?\b)",
    re.IGNORECASE,
)


def in_digits(text: str) -> str:
    """`text` with the numbers of words that it spells out in digits: "two thousand five hundred words"
    becomes "2500 words"."""
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
