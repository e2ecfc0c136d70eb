"""Measures how much of a text repeats earlier parts of it."""

import re
from collections.abc import Hashable, Sequence, Set

from longwriter.text.markup import is_verse, lines_of, without_formulas

TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")
"""A Chinese character, or a run of anything else between white space or such characters."""
_SENTENCE = re.compile(r"([^.!?。！？\n]+)([.!?。！？]|)")
_FEWEST_WORDS, _FEWEST_CHARACTERS = 4, 6
"""Shorter sentences don't count, as they recur in good writing too ("Yes.", "And then?").

Labels recur too (INT. KITCHEN - DAY, **Difficulty:** Very high), so a line without a full stop
needs twice as many words or characters to count.
"""
_LONG_WORDS = 12
"""Fewest words of a sentence that good writing doesn't repeat."""
CHARACTERS_A_WORD = 1.6
"""Chinese characters that say as much as an English word: 8 words correspond to 13 characters."""

Ngram = int
"""A hash: with a thousand long drafts in progress, the tokens themselves would fill the memory."""


def repeated_ngrams(text: str, n: int = 8) -> float:
    """Returns the share (0 to 1) of n-grams that occurred earlier in the text; 0 below n tokens.

    This is 1 - distinct n-grams / n-grams. Each Chinese character is a token, so a Chinese text
    needs a larger n (`scaled`).

    Source: seq-rep-n of Welleck et al., "Neural Text Generation with Unlikelihood Training"
    (arXiv 1908.04319).
    """
    return share_seen(ngrams(text, n))


def copied_sentences(text: str) -> float:
    """Returns the share (0 to 1) of the text's sentences that copy an earlier one.

    A sentence ends at a full stop, an exclamation or question mark (Chinese ones too) or a line
    end. Sentences of fewer than 4 words or 6 Chinese characters are left out, and so are lines
    without a full stop that have fewer than twice as many, stage directions in brackets, formulas
    and code. In verse, a line needs no full stop. 0 if no sentence remains.
    """
    verse = is_verse(lines_of(text))
    sentences = _SENTENCE.findall(without_formulas(text))
    found = ((tuple(TOKEN.findall(said)), bool(stop)) for said, stop in sentences)
    return share_seen([tokens for tokens, stop in found if _is_sentence(tokens, stop, verse)])


def long_sentences_again(text: str) -> list[str]:
    """Returns the sentences of at least 12 words or 19 Chinese characters that copy an earlier one.

    They must end with a full stop or the like, which excludes lines of verse and list items.
    Formulas and code are left out.
    """
    known: set[str] = set()
    again = []
    for said, stop in _SENTENCE.findall(without_formulas(text)):
        plain = said.strip()
        if stop and plain in known and len(TOKEN.findall(plain)) >= scaled(_LONG_WORDS, plain):
            again.append(plain)
        known.add(plain)
    return again


def _is_sentence(tokens: Sequence[str], stop: bool, verse: bool) -> bool:
    if tokens and tokens[0].lstrip("*_").startswith(("[", "(", "（", "【")):  # a stage direction
        return False
    times = 1 if stop or verse else 2
    if verse or len(tokens) < times * _FEWEST_WORDS:
        return len(tokens) >= times * _FEWEST_WORDS
    chinese = any("\u4e00" <= token <= "\u9fff" for token in tokens)
    return not chinese or len(tokens) >= times * _FEWEST_CHARACTERS


def scaled(words: int, text: str) -> int:
    """Returns `words`, or the equivalent number of characters if most of `text` is Chinese."""
    chinese = len(_CHINESE.findall(text[:_SAMPLE]))
    return round(words * CHARACTERS_A_WORD) if 2 * chinese > len(text[:_SAMPLE]) else words


_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SAMPLE = 2000
"""How many characters are examined to determine the language."""


def ngrams(text: str, n: int) -> list[Ngram]:
    """Returns the hashes of every n consecutive tokens (`TOKEN`), in order."""
    tokens = TOKEN.findall(text)
    return [hash(gram) for gram in zip(*(tokens[i:] for i in range(n)), strict=False)]


def share_seen(items: Sequence[Hashable], known: Set[Hashable] = frozenset()) -> float:
    """Returns the share (0 to 1) of items that occurred before or are in `known`; 0 if empty."""
    return (len(items) - len(set(items) - known)) / len(items) if items else 0.0
