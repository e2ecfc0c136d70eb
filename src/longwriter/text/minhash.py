"""MinHash signatures of sets, and an index of near duplicates."""

import hashlib

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from longwriter.text.similarity import Hashes

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
