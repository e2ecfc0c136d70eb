"""How much of a text repeats what it already said."""

import re
from collections.abc import Hashable, Sequence, Set

import numpy as np

from longwriter.text.markup import is_verse, lines_of, without_formulas
from longwriter.text.similarity import hashes, sequences
from longwriter.text.words import tokens

TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")
"""A Chinese character, or a run of anything else between white space or such characters."""
_SENTENCE = re.compile(r"([^.!?。！？\n]+)([.!?。！？]|)")
_FEWEST_WORDS, _FEWEST_CHARACTERS = 4, 6
"""Shorter sentences ("Yes.", "And then?") recur in good writing too, and so do labels, which end without a
full stop (INT. KITCHEN - DAY, **Difficulty:** Very high): they count from twice as many."""
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


_LEAST_WORDS, _LEAST_CHARACTERS = 25, 40
"""Of a paragraph that is compared with the others."""
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_NO_PROSE = re.compile(
    r"\s*(?:[-*•·–+|#>]|\[\d{1,3}\]|\d{1,3}[.)、．]|[A-Za-z][.)]|[（(]\w{1,2}[)）]|[①-⑳])"
)
"""Items, tables and headings repeat their wording."""


def said_again(text: str, at_least: float = 0.5) -> list[str]:
    """Returns the paragraphs that say an earlier one again nearly word for word: with a Jaccard similarity
    of their 3-word sequences of `at_least`. Short ones, items of lists and tables are left out.

    Every sequence is taken as that of the paragraph in which it first occurs, so a paragraph is compared
    with the one that it shares most with, in linear time.
    """
    kept, words = _paragraphs(text)
    if len(kept) < 2:
        return []
    sizes = np.array([len(each) for each in words])
    grams = sequences(hashes([word for each in words for word in each]), 3)
    owner = np.repeat(np.arange(len(kept)), sizes)[: len(grams)]
    # once in each paragraph; the two sequences that run on into the next one are too few to matter
    _, own = np.unique(grams + owner.astype(np.uint64) * _PRIME, return_index=True)
    own.sort()
    grams, owner = grams[own], owner[own]
    _, first, place = np.unique(grams, return_index=True, return_inverse=True)
    source = owner[first][place]
    again = np.flatnonzero(source < owner)
    pairs, shared = np.unique(owner[again] * len(kept) + source[again], return_counts=True)
    size = np.bincount(owner, minlength=len(kept))
    late, early = pairs // len(kept), pairs % len(kept)
    alike = shared / (size[late] + size[early] - shared) >= at_least
    return [kept[place] for place in np.unique(late[alike]).tolist()]


def share_said_again(text: str) -> float:
    """Returns the share (0 to 1) of the text's prose paragraphs, by their characters, that say an earlier
    one again (`said_again`)."""
    kept, _ = _paragraphs(text)
    whole = sum(map(len, kept))
    return sum(map(len, said_again(text))) / whole if whole else 0.0


def _paragraphs(text: str) -> tuple[list[str], list[list[str]]]:
    """The paragraphs of prose that are long enough to be compared, and their tokens."""
    kept, words = [], []
    for line in text.split("\n"):
        if len(line) >= _LEAST_CHARACTERS and not _NO_PROSE.match(line):
            found = tokens(line)
            chinese = bool(found) and "\u4e00" <= found[0][0] <= "\u9fff"
            if len(found) >= (_LEAST_CHARACTERS if chinese else _LEAST_WORDS):
                kept.append(line)
                words.append(found)
    return kept, words
