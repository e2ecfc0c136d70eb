"""Tokens as hashes, their sequences, and how much two texts share."""

import re
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


_TOKEN = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")


_BASE = np.uint64(0x9E3779B97F4A7C15)


_EDGE = np.uint64(1)
"""Stands before the first and after the last token of a text, so that these count as the others do."""


def tokens(text: str) -> list[str]:
    """Words and numbers in lower case, and Chinese characters one by one, without punctuation."""
    return _TOKEN.findall(text.lower())


def hashes(words: list[str]) -> Hashes:
    """A 64-bit hash of each token, the same on every machine."""
    return np.array([_hash(word) for word in words], dtype=np.uint64)


@lru_cache(maxsize=200_000)
def _hash(word: str) -> int:
    data = word.encode("utf-8", "surrogatepass")
    return (zlib.crc32(data) << 32 | zlib.adler32(data)) + 2


def sequences(text: Hashes, n: int) -> Hashes:
    """A hash of every n tokens that follow each other, in order; empty below n tokens."""
    count = len(text) - n + 1
    if count <= 0:
        return np.empty(0, dtype=np.uint64)
    found = np.zeros(count, dtype=np.uint64)
    for start in range(n):
        found = found * _BASE + text[start : start + count]
        found ^= found >> np.uint64(29)
    return found


def shingles(text: Hashes, n: int = 3) -> Hashes:
    """The set of its n-token sequences, sorted, with n - 1 edges before and behind the text: so a
    changed word changes n of them wherever it stands."""
    edge = np.full(n - 1, _EDGE, dtype=np.uint64)
    return np.unique(sequences(np.concatenate([edge, text, edge]), n))


def jaccard(one: Hashes, other: Hashes) -> float:
    """Size of the intersection over that of the union of two sorted sets; 0 for two empty ones."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    union = len(one) + len(other) - both
    return both / union if union else 0.0


def longest_repeat(text: Hashes, at_least: int) -> int:
    """Length of the longest sequence of tokens that stands in the text twice (it may overlap itself);
    0 where none has at_least tokens.

    A sequence that repeats holds shorter ones that do, so the length is found by bisection.
    """
    low, high = at_least - 1, len(text)
    while low + 1 < high:
        middle = (low + high) // 2
        found = _windows(text, middle)
        if len(np.unique(found)) < len(found):
            low = middle
        else:
            high = middle
    return low if low >= at_least else 0


def _windows(text: Hashes, n: int) -> Hashes:
    """Hashes of every n tokens in a time that does not grow with n: doubling, as in a suffix array."""
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
    """Compressed size over size (zlib, level 6). A Chinese character counts two bytes, so that texts of
    both languages compare."""
    data = text.encode("gb18030", "replace")
    return len(zlib.compress(data, 6)) / max(len(data), 1)
