"""The shape of a text: lines, verse, letters, quotations, code."""

import re

from longwriter.text.words import tokens

_QUOTED = re.compile(
    r"“[^“”]{0,2000}”|‘[^‘’\n]{0,500}’(?!\w)|\"[^\"\n]{0,2000}\"|「[^「」]{0,2000}」|『[^『』]{0,2000}』"
    r"|《[^《》]{0,200}》|«[^«»]{0,2000}»"
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)
_FORMULA = re.compile(
    r"\\\[.{0,2000}?\\\]|\\\(.{0,500}?\\\)|\$\$[^$]{1,2000}\$\$|\$[^$\n]{1,300}\$"
    r"|\\begin\{(\w{1,20})\*?\}.{0,3000}?\\end\{\w{1,20}\*?\}",
    re.DOTALL,
)
_ADDRESS = re.compile(r"https?://\S+|[^\s@]{1,64}@[^\s@]{1,255}\.\w+")
_BRACKETS = re.compile(
    r"\([^()\n]{0,300}\)|（[^（）\n]{0,300}）|\[[^\[\]\n]{0,300}\]|【[^【】\n]{0,300}】"
)
_SALUTATION = re.compile(
    r"^\s*(?:subject:[^\n]*\n+\s*)?(?:dear|hi|hello|to)\b[^\n]{0,60}[,:：，]?\s*\n"  # Hello Anna,
    r"|^\s*dear\b"
    r"|^\s*(?:尊敬的|亲爱的|致)"
    r"|^[^\n]{1,20}[：:]\s*\n",  # a short first line that ends with a colon
    re.IGNORECASE,
)
_VERSE_WORDS, _VERSE_CHARACTERS = 12, 16
"""Most tokens in a line of verse: English words, and Chinese characters."""


_SPACE = re.compile(r"\s{3,}")
_RUNS = ("   ", "\n\n\n", " \n", "\n ", "\t", "\r", "\xa0", "\u3000\u3000", "\u200a", "\v", "\f")
"""Every run of three or more white-space characters that occurs in texts contains one of these."""


def squeezed(text: str) -> str:
    """Returns the text with every longer run of white space cut to at most two characters.

    If a run has line ends, only these are kept. Patterns with several optional gaps in a row take
    more than linear time on long runs.
    """
    if not any(run in text for run in _RUNS):  # far quicker than the pattern
        return text
    return _SPACE.sub(_two, text)


def _two(run: re.Match[str]) -> str:
    ends = run[0].count("\n")
    return "\n" * min(ends, 2) if ends else run[0][:2]


def lines_of(text: str) -> list[str]:
    """Returns the lines that are not blank, stripped."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_verse(lines: list[str]) -> bool:
    """Returns whether lines are verse or lyrics.

    These have at least four lines, nearly all of them short and few of them list items.
    """
    if len(lines) < 4:
        return False
    short = sum(
        len(tokens(line)) <= (_VERSE_CHARACTERS if _has_chinese(line) else _VERSE_WORDS)
        for line in lines
    )
    listed = sum(bool(re.match(r"[-*•|#]|\d+[.)、]", line)) for line in lines)
    return short >= 0.9 * len(lines) and listed <= 0.3 * len(lines)


def is_letter(text: str) -> bool:
    """Returns whether the text begins with a salutation, as letters do."""
    return _SALUTATION.search(text) is not None


def without_quotations(text: str) -> str:
    """Returns the text without anything in quotation marks."""
    return _QUOTED.sub(" ", text)


def without_foreign_matter(text: str, bracket: str = " ") -> str:
    """Returns the text without quotations, brackets, code and addresses.

    Other scripts are usual in these.

    Args:
        bracket: replaces each bracket and its contents.
    """
    return _BRACKETS.sub(bracket, without_quotations(without_code(text)))


def without_formulas(text: str) -> str:
    """Returns the text without code, addresses and LaTeX formulas.

    These repeat themselves and compress well in good texts too.
    """
    return (
        _FORMULA.sub(" ", without_code(text)) if "\\" in text or "$" in text else without_code(text)
    )


def without_code(text: str) -> str:
    """Returns the text without code and addresses."""
    if "`" in text:
        text = _CODE.sub(" ", text)
    return _ADDRESS.sub(" ", text) if "://" in text or "@" in text else text


def _has_chinese(line: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", line) is not None
