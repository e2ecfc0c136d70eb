"""How much of a text repeats what it already said."""

import re
from collections.abc import Hashable, Sequence, Set

from longwriter.text.markup import is_verse, lines_of, without_formulas

TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")
"""A Chinese character, or a run of anything else between white space or such characters."""
_SENTENCE = re.compile(r"([^.!?。！？\n]+)([.!?。！？]|)")
_FEWEST_WORDS, _FEWEST_CHARACTERS = 4, 6
"""Shorter sentences ("Yes.", "And then?") recur in good writing too, and so do labels, which end without a
full stop (INT. KITCHEN - DAY, **Difficulty:** Very high): they count from twice as many."""
_LONG_WORDS = 12
"""Of a sentence that good writing says once."""
CHARACTERS_A_WORD = 1.6
"""Chinese characters that say as much as an English word: a limit of 8 words is one of 13 characters."""

Ngram = int
"""The hash of its tokens: with a thousand long drafts in progress, the tokens would fill the memory."""


def repeated_ngrams(text: str, n: int = 8) -> float:
    """Returns the share (0 to 1) of the text's n-grams that occurred earlier in it; 0 below n tokens.

    Equal to 1 - distinct n-grams / n-grams. A Chinese character is a token of its own, so a Chinese text
    wants a larger n (`scaled`).

    Source: seq-rep-n of Welleck et al., "Neural Text Generation with Unlikelihood Training"
    (arXiv 1908.04319).
    """
    return share_seen(ngrams(text, n))


def copied_sentences(text: str) -> float:
    """Returns the share (0 to 1) of the text's sentences that copy an earlier one.

    A sentence ends at a full stop, an exclamation or question mark (Chinese ones too) or a line's
    end. Sentences of fewer than 4 words or 6 Chinese characters, lines without a full stop of fewer than
    twice as many, stage directions in brackets, formulas and code are left out; 0 if none remains. A line of verse needs no full stop.
    """
    verse = is_verse(lines_of(text))
    sentences = _SENTENCE.findall(without_formulas(text))
    found = ((tuple(TOKEN.findall(said)), bool(stop)) for said, stop in sentences)
    return share_seen([tokens for tokens, stop in found if _is_sentence(tokens, stop, verse)])


def long_sentences_again(text: str) -> list[str]:
    """Returns the sentences of 12 words or 19 Chinese characters and more that copy an earlier one. They end
    at a full stop, so lines of verse and items of a list are left out, and so are formulas and code."""
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
    """Returns a number of English words, or if most of `text` is Chinese the number of characters that say
    as much."""
    chinese = len(_CHINESE.findall(text[:_SAMPLE]))
    return round(words * CHARACTERS_A_WORD) if 2 * chinese > len(text[:_SAMPLE]) else words


_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_SAMPLE = 2000
"""Characters by which the language is told."""


def ngrams(text: str, n: int) -> list[Ngram]:
    """Returns every n consecutive tokens (`TOKEN`), in order."""
    tokens = TOKEN.findall(text)
    return [hash(gram) for gram in zip(*(tokens[i:] for i in range(n)), strict=False)]


def share_seen(items: Sequence[Hashable], known: Set[Hashable] = frozenset()) -> float:
    """Returns the share (0 to 1) of the items that occur earlier among them, or in `known`; 0 without
    items."""
    return (len(items) - len(set(items) - known)) / len(items) if items else 0.0
