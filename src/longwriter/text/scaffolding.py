"""What a teacher writes around a paragraph and is no part of the text, taken away by rule."""

import re
from collections.abc import Callable

_NUMERAL = (
    r"(?:\d+|[IVX]+|[一二三四五六七八九十百]+|one|two|three|four|five|six|seven|eight|nine|ten)"
)


_LABEL = re.compile(
    rf"^[\s#*>\[(【（]*(?:(?:paragraph|step)\s*{_NUMERAL}(?:\s*(?:of|/)\s*\d+)?|第\s*{_NUMERAL}\s*段"
    rf"|段落\s*{_NUMERAL})[\s*\])】）]*(?:[:：.\-–—][\s*]*|\n+|$)",
    re.IGNORECASE,
)


_POINT = re.compile(r"^[\s#*]*(?:main point|要点)[\s*]*[:：][\s*]*", re.IGNORECASE)


_OPENER = re.compile(
    r"^(?:(?:sure|certainly|of course|okay|ok)\b[^\n]{0,80}?[,:!.]\s*)?"
    r"(?:here(?:'s| is| are)\b[^\n:]{0,100}\bparagraph\b[^\n:]{0,100}:\s*)"
    r"|^(?:sure|certainly|of course)\b[^\n]{0,100}:\s*\n+"
    r"|^(?:好的|当然)[^\n]{0,40}[:：]\s*\n*|^(?:以下|下面)是[^\n]{0,40}段[^\n]{0,20}[:：]\s*\n*",
    re.IGNORECASE,
)


_COUNT = re.compile(
    r"[\s*_]*[\[(（【]?\s*(?:(?:total\s+)?word[\s-]*count\s*[:：]?\s*(?:about|approximately|~)?\s*"
    r"\d[\d,]*(?:\s*words?)?|(?:about|approximately|approx\.|~)?\s*\d[\d,]*\s*words?\.?(?=\s*[\])*_])|"
    r"(?:全文|本段)?\s*共?\s*(?:字\s*数\s*[:：]\s*约?\s*\d[\d,，]*\s*字?|约?\s*\d[\d,，]*\s*字(?=\s*[)）】])))"
    r"\s*[\])）】]?[\s*_.。]*$",
    re.IGNORECASE,
)


_CONTINUED = re.compile(
    r"[\s*_…]*[\[(（【]?\s*(?:to be continued|continued in the next (?:paragraph|part|section)|"
    r"(?:the )?story continues|未完待续|待续|下(?:一)?段(?:继续|待续))\s*[.…。!]*\s*[\])）】]?[\s*_.…。]*$",
    re.IGNORECASE,
)


_ENDING = 200
"""Characters in which a remark at the end must stand: a search in the whole text would try every
one of its characters, which takes milliseconds."""


def without_label(text: str) -> str:
    """Without `Paragraph 3:`, `第三段：` or the like at its beginning."""
    return _LABEL.sub("", text, count=1)


def without_opener(text: str) -> str:
    """Without the teacher's word to who asks: `Sure, here is the next paragraph:`."""
    return _OPENER.sub("", text, count=1)


def without_echo(text: str, asked: list[str]) -> str:
    """Without first lines that say again what was `asked` for: the request or the main point."""
    plain = {_plain(part) for part in asked}
    lines = text.lstrip().split("\n")
    while len(lines) > 1 and (_plain(lines[0]) in plain or not lines[0].strip()):
        lines = lines[1:]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Letters and digits alone, of a line without its `Main Point:`."""
    return re.sub(r"[\W_]+", "", _POINT.sub("", text).lower())


def without_count(text: str) -> str:
    """Without a remark on its number of words at its end: `(200 words)`, `字数：500字`."""
    return text[:-_ENDING] + _COUNT.sub("", text[-_ENDING:])


def without_continuation(text: str) -> str:
    """Without `To be continued…` or the like at its end."""
    return text[:-_ENDING] + _CONTINUED.sub("", text[-_ENDING:])


def clean(text: str, asked: list[str]) -> str:
    """The paragraph alone: all rules, until none finds anything."""
    rules: list[Callable[[str], str]] = [
        without_opener,
        without_label,
        lambda text: without_echo(text, asked),
        without_count,
        without_continuation,
    ]
    before = None
    while text != before:
        before, text = text, text.strip()
        for rule in rules:
            text = rule(text)
    return text
