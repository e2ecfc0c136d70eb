"""Hashes tokens and sequences of them, and measures what texts share or repeat."""

import re
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from longwriter.text.words import tokens

Hashes = NDArray[np.uint64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_EDGE = np.uint64(1)
"""Padding before the first and after the last token, so that these count as often as the others."""


def hashes(words: list[str]) -> Hashes:
    """Returns a 64-bit hash of each token, the same on every machine."""
    return np.array([_hash(word) for word in words], dtype=np.uint64)


@lru_cache(maxsize=200_000)
def _hash(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    return (zlib.crc32(data) << 32 | zlib.adler32(data)) + 2


def sequences(text: Hashes, n: int) -> Hashes:
    """Returns a hash of every n consecutive tokens, in order; empty below n tokens."""
    count = len(text) - n + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    found = np.zeros(count, dtype=np.uint64)
    for start in range(n):
        found = found * _BASE + text[start : start + count]
        found ^= found >> np.uint64(29)
    return found


def shingles(text: Hashes, n: int = 3) -> Hashes:
    """Returns the sorted set of hashes of the text's n-token sequences.

    The text is padded with n - 1 edges on both sides, so a changed word changes n sequences
    wherever it is.
    """
    edge = np.full(n - 1, _EDGE, dtype=np.uint64)
    return np.unique(sequences(np.concatenate([edge, text, edge]), n))


def jaccard(one: Hashes, other: Hashes) -> float:
    """Returns the Jaccard similarity of two sorted sets; 0 if both are empty."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - both
    return both / union if union else 0.0


def longest_repeat(text: Hashes, at_least: int) -> int:
    """Returns the length of the longest sequence of tokens that occurs twice in the text.

    The two occurrences may overlap. 0 if no such sequence has at_least tokens. A repeated sequence
    contains shorter repeated ones, so the length is found by bisection.
    """
    if len(text) <= at_least or not _repeats(text, at_least):  # nearly always
        return 0
    low, high = at_least, len(text)
    while low + 1 < high:
        middle = (low + high) // 2
        if _repeats(text, middle):
            low = middle
        else:
            high = middle
    return low


def _repeats(text: Hashes, n: int) -> bool:
    found = _windows(text, n)
    return len(np.unique(found)) < len(found)


def _windows(text: Hashes, n: int) -> Hashes:
    """Returns a hash of every n consecutive tokens, in time that grows only with log n.

    The sequences are doubled in length step by step, as when a suffix array is built.
    """
    found, size = text, 1
    while size * 2 <= n:
        found = _joined(found[: len(found) - size], found[size:])
        size *= 2
    if size < n:
        rest = n - size
        found = _joined(found[: len(found) - rest], found[rest:])
    return found


def _joined(left: Hashes, right: Hashes) -> Hashes:
    found = (left ^ (left >> np.uint64(31))) * _BASE + right
    return found ^ (found >> np.uint64(29))


def compression(text: str) -> float:
    """Returns the ratio of compressed to uncompressed size (zlib, level 6).

    A Chinese character counts as two bytes, so that texts in both languages can be compared.
    """
    data = text.encode("gb18030", "replace")
    return len(zlib.compress(data, 6)) / max(len(data), 1)


def shared_tokens(one: Hashes, other: Hashes, n: int) -> int:
    """Returns how many tokens of `one` are in passages of n or more tokens that `other` has too."""
    if min(len(one), len(other)) < n:
        return 0
    starts = np.isin(_windows(one, n), _windows(other, n))
    return int(np.count_nonzero(np.convolve(starts, np.ones(n, dtype=np.int64))))


def stutter(text: Hashes, at_least: int) -> tuple[int, int]:
    """Returns the span of tokens in which a phrase is repeated in a row; (0, 0) if there is none.

    The phrase has 2 to 12 tokens and occurs at least 4 times in a row, for at least `at_least`
    tokens.
    """
    for period in range(2, _LONGEST_PHRASE + 1):
        same = np.concatenate([[False], text[period:] == text[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        starts, ends = edges[::2], edges[1::2]
        fewest = max(_TIMES * period, at_least)
        for place in np.flatnonzero(ends - starts + period >= fewest)[:1].tolist():
            return int(starts[place]), int(ends[place]) + period
    return 0, 0


_LONGEST_PHRASE, _TIMES = 12, 4


_LEAST_WORDS, _LEAST_CHARACTERS = 25, 40
"""Fewest English words, or Chinese characters, of a paragraph that is compared with others."""
_NO_PROSE = re.compile(
    r"\s*(?:[-*•·–+|#>]|\[\d{1,3}\]|\d{1,3}[.)、．]|[A-Za-z][.)]|[（(]\w{1,2}[)）]|[①-⑳])"
)
"""List items, tables and headings, which repeat their wording."""


def said_again(text: str, at_least: float = 0.5) -> list[str]:
    """Returns the paragraphs that repeat an earlier one nearly word for word.

    That means a Jaccard similarity of their 3-word sequences of at least `at_least`. Short
    paragraphs, list items and tables are left out.

    Each sequence is attributed to the paragraph in which it first occurs, so a paragraph is only
    compared with those that its sequences come from.
    """
    kept, words = _paragraphs(text)
    if len(kept) < 2:
        return []
    sizes = np.array([len(each) for each in words])
    grams = sequences(hashes([word for each in words for word in each]), 3)
    owner = np.repeat(np.arange(len(kept)), sizes)[: len(grams)]
    # once per paragraph; the two sequences that extend into the next one are too few to matter
    _, own = np.unique(grams + owner.astype(np.uint64) * _BASE, return_index=True)
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
    """Returns the share (0 to 1) of the text's prose that repeats an earlier paragraph.

    Prose is measured in the characters of its paragraphs; `said_again` finds those that repeat.
    """
    kept, _ = _paragraphs(text)
    whole = sum(map(len, kept))
    return sum(map(len, said_again(text))) / whole if whole else 0.0


def _paragraphs(text: str) -> tuple[list[str], list[list[str]]]:
    """Returns the prose paragraphs that are long enough to be compared, and their tokens."""
    kept, words = [], []
    for line in text.split("\n"):
        if len(line) >= _LEAST_CHARACTERS and not _NO_PROSE.match(line):
            found = tokens(line)
            chinese = bool(found) and "\u4e00" <= found[0][0] <= "\u9fff"
            if len(found) >= (_LEAST_CHARACTERS if chinese else _LEAST_WORDS):
                kept.append(line)
                words.append(found)
    return kept, words
