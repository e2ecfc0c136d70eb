"""The shape of a text: lines, verse, what is quoted, code."""

import re

from longwriter.text.similarity import tokens

_QUOTED = re.compile(
    r"“[^“”]{0,2000}”|‘[^‘’\n]{0,500}’(?!\w)|\"[^\"\n]{0,2000}\"|「[^「」]{0,2000}」|『[^『』]{0,2000}』"
    r"|《[^《》]{0,200}》|«[^«»]{0,2000}»"
)


_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]+`", re.DOTALL)


_BRACKETS = re.compile(
    r"\([^()\n]{0,300}\)|（[^（）\n]{0,300}）|\[[^\[\]\n]{0,300}\]|【[^【】\n]{0,300}】"
)


VERSE_LINE = 12
"""Most words of a line of verse, as tokens; a line of Chinese verse has 16 characters at most."""


def lines_of(text: str) -> list[str]:
    """Lines that are not blank, without white space around them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def is_verse(lines: list[str]) -> bool:
    """Whether lines are verse or lyrics: at least four, nearly all of them short."""
    if len(lines) < 4:
        return False
    short = sum(len(tokens(line)) <= (16 if _is_chinese(line) else VERSE_LINE) for line in lines)
    listed = sum(bool(re.match(r"[-*•|#]|\d+[.)、]", line)) for line in lines)
    return short >= 0.9 * len(lines) and listed <= 0.3 * len(lines)


def _is_chinese(line: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", line) is not None


def without_quotations(text: str) -> str:
    """Without what stands in quotation marks."""
    return _QUOTED.sub(" ", text)


def without_foreign_matter(text: str) -> str:
    """Without quotations, brackets, code and addresses, in which other scripts are at home."""
    return _BRACKETS.sub(" ", without_quotations(without_code(text)))


def without_code(text: str) -> str:
    """Without code and addresses."""
    return re.sub(r"https?://\S+|\S+@\S+\.\w+", " ", _CODE.sub(" ", text))
