"""Rows that are the same or nearly the same as another one.

Rows are taken in the order of their ids, whatever order they came in: one is rejected if it is a
duplicate of one that is kept. So of a chain in which each is like the next, but the last not like the
first, the first stays and so does every later one that no kept one is like.
"""

import hashlib
from collections.abc import Callable

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from longwriter.dataset.measures import Hashes, jaccard

Signature = NDArray[np.uint32]

BANDS, ROWS = 12, 4
"""Of the LSH. Two texts of similarity s are compared with probability 1 - (1 - s^ROWS)^BANDS: 0.96 at
0.7, 0.998 at 0.8, 0.0001 at 0.05, which is what texts on other things have."""
PERMUTATIONS = BANDS * ROWS
CROWD = 500
"""A bucket with more texts holds a template, and what tells them apart is in other buckets."""
_MARGIN = 0.25
"""How far below the threshold an estimate may lie (3.5 standard errors of PERMUTATIONS at 0.7) for the
similarity to be worked out."""

_EMPTY = MinHash(PERMUTATIONS, seed=1)


def signature(shingles: Hashes) -> Signature:
    """The MinHash of a set."""
    sketch = MinHash(
        PERMUTATIONS, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )
    mixed = (shingles ^ (shingles >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    for start in range(0, len(mixed), 20_000):  # its table of all permutations at once is large
        sketch.update_batch(mixed[start : start + 20_000].tolist())
    values: Signature = sketch.hashvalues
    return values


def fingerprint(text: str) -> bytes:
    """SHA-256 of the text without case and white space."""
    return hashlib.sha256("".join(text.lower().split()).encode("utf-8", "surrogatepass")).digest()[
        :16
    ]


class NearIndex:
    """Sets by their MinHash, in `datasketch`'s LSH."""

    def __init__(self) -> None:
        self._lsh = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS), hashfunc=_short)
        self._kept: dict[int, Signature] = {}

    def insert(self, key: int, values: Signature) -> None:
        """Adds a set under `key`."""
        self._lsh.insert(key, _sketch(values), check_duplication=False)
        self._kept[key] = values

    def candidates(self, values: Signature, threshold: float) -> list[int]:
        """Keys of sets that may have a similarity of `threshold`; others than these have not, but for
        the probability above."""
        found: set[int] = set()
        for (start, end), table in zip(self._lsh.hashranges, self._lsh.hashtables, strict=True):
            bucket = table.get(_short(bytes(values[start:end].byteswap().data)))
            if len(bucket) <= CROWD:
                found.update(bucket)
        if not found:
            return []
        keys = sorted(found)
        alike = (np.stack([self._kept[key] for key in keys]) == values).mean(axis=1)
        return [key for key, share in zip(keys, alike, strict=True) if share >= threshold - _MARGIN]


def _short(band: bytes) -> bytes:
    """8 bytes in place of the 16 of a band: half the index's keys."""
    return hashlib.blake2b(band, digest_size=8).digest()


def _sketch(values: Signature) -> MinHash:
    return MinHash(
        hashvalues=values, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )


class Duplicates:
    """Decides row after row, in the order of their ids, whether one like it was kept.

    Args:
        threshold: similarity from which on two texts are nearly the same.
        sets: key → the two sets of shingles of a kept row, of its prompt and of its response.
    """

    def __init__(
        self,
        threshold: float,
        sets: Callable[[int], tuple[Hashes, Hashes]],
    ) -> None:
        self._threshold = threshold
        self._sets = sets
        self._owners: dict[bytes, str] = {}
        self._ids: set[str] = set()
        self._names_of: dict[int, str] = {}
        self._near = (NearIndex(), NearIndex())

    def reason(
        self,
        key: int,
        name: str,
        print_: bytes,
        signatures: tuple[Signature, Signature],
        rules: list[str],
    ) -> tuple[str, str] | None:
        """(rule, detail) where a kept row is like this one; else None, and this one is kept.

        Args:
            print_: the response's fingerprint.
            rules: those of `duplicate` and `near_duplicate` that are asked.
        """
        for rule in rules:
            detail = (
                self._same(name, print_) if rule == "duplicate" else self._alike(key, signatures)
            )
            if detail:
                return rule, detail
        self._owners[print_] = name
        self._ids.add(name)
        self._names_of[key] = name
        if "near_duplicate" in rules:
            for index, values in zip(self._near, signatures, strict=True):
                index.insert(key, values)
        return None

    def _same(self, name: str, print_: bytes) -> str | None:
        if print_ in self._owners:
            return f"the same response as {self._owners[print_]}"
        return "the id of another row" if name in self._ids else None

    def _alike(self, key: int, signatures: tuple[Signature, Signature]) -> str | None:
        own: tuple[Hashes, Hashes] | None = None
        for part, what in enumerate(("instruction", "response")):
            for other in self._near[part].candidates(signatures[part], self._threshold):
                own = own or self._sets(key)
                alike = jaccard(own[part], self._sets(other)[part])
                if alike >= self._threshold:
                    return f"{alike:.0%} of its {what} as in {self._names_of[other]}"
        return None
