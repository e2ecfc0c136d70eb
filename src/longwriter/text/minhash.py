"""MinHash signatures of sets, and an index of near duplicates."""

import hashlib

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from longwriter.text.similarity import Hashes

Signature = NDArray[np.uint32]

BANDS, ROWS = 12, 4
"""Of the LSH. Two texts of similarity s are compared with probability 1 - (1 - s^ROWS)^BANDS: 0.96 at
0.7, 0.998 at 0.8, 0.0001 at 0.05, which is usual for texts on different subjects."""
PERMUTATIONS = BANDS * ROWS
CROWD = 500
"""A bucket with more texts than this comes from a template that they share; it is skipped, as texts
that are near duplicates meet in other buckets too."""
_MARGIN = 0.25
"""How far an estimate may be below the threshold (3.5 standard errors of PERMUTATIONS at 0.7) for the
exact similarity to be computed."""
_EMPTY = MinHash(PERMUTATIONS, seed=1)


def signature(shingles: Hashes) -> Signature:
    """Returns the MinHash of a set."""
    sketch = MinHash(
        PERMUTATIONS, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )
    mixed = (shingles ^ (shingles >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    for start in range(0, len(mixed), 20_000):  # its table of all permutations at once is large
        sketch.update_batch(mixed[start : start + 20_000].tolist())
    values: Signature = sketch.hashvalues
    return values


def fingerprint(text: str) -> bytes:
    """Returns 16 bytes of the SHA-256 of the text without case and white space."""
    plain = "".join(text.lower().split()).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plain).digest()[:16]


class NearIndex:
    """An index of sets by their MinHash: `datasketch`'s LSH."""

    def __init__(self) -> None:
        self._lsh = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS), hashfunc=_short)
        self._kept: dict[int, Signature] = {}

    def insert(self, key: int, values: Signature) -> None:
        """Adds a set under `key`."""
        self._lsh.insert(key, _sketch(values), check_duplication=False)
        self._kept[key] = values

    def candidates(self, values: Signature, threshold: float) -> list[int]:
        """Returns the keys of the sets that may have a similarity of `threshold`. A set that has it is
        missed with the probability given at BANDS."""
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
    """8 bytes instead of a band's 16: the index's keys take half the memory."""
    return hashlib.blake2b(band, digest_size=8).digest()


def _sketch(values: Signature) -> MinHash:
    return MinHash(
        hashvalues=values, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )
