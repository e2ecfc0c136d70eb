"""MinHash signatures of sets, and two indexes that find near duplicates.

`NearIndex` can grow. `InOrder` needs all signatures in advance and takes a fiftieth of the memory.
"""

import hashlib

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

from longwriter.text.similarity import Hashes

Signature = NDArray[np.uint32]

BANDS, ROWS = 12, 4
"""Parameters of the LSH.

Two texts of similarity s are compared with probability 1 - (1 - s^ROWS)^BANDS: 0.96 for s = 0.7,
0.998 for 0.8, and 0.0001 for 0.05, a usual value for texts on different subjects.
"""
PERMUTATIONS = BANDS * ROWS
CROWD = 500
"""A bucket with more texts than this comes from a template that they share and is skipped.

Near duplicates also meet in other buckets.
"""
_MARGIN = 0.25
"""How far an estimated similarity may be below the threshold for the set to remain a candidate.

This is 3.8 standard errors of an estimate from PERMUTATIONS hashes at a similarity of 0.7.
"""
_EMPTY = MinHash(PERMUTATIONS, seed=1)


def signature(shingles: Hashes) -> Signature:
    """Returns the MinHash of a set."""
    sketch = MinHash(
        PERMUTATIONS, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )
    mixed = (shingles ^ (shingles >> np.uint64(32))) & np.uint64(0xFFFFFFFF)
    for start in range(0, len(mixed), 20_000):  # batches keep its table small
        sketch.update_batch(mixed[start : start + 20_000].tolist())
    values: Signature = sketch.hashvalues
    return values


def fingerprint(text: str) -> bytes:
    """Returns the first 16 bytes of the text's SHA-256, ignoring case and white space."""
    plain = "".join(text.lower().split()).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plain).digest()[:16]


class NearIndex:
    """A growing index of sets by their MinHash, built on `datasketch`'s LSH."""

    def __init__(self) -> None:
        self._lsh = MinHashLSH(num_perm=PERMUTATIONS, params=(BANDS, ROWS), hashfunc=_short)
        self._kept: dict[int, Signature] = {}

    def insert(self, key: int, values: Signature) -> None:
        """Adds a set under `key`."""
        self._lsh.insert(key, _sketch(values), check_duplication=False)
        self._kept[key] = values

    def candidates(self, values: Signature, threshold: float) -> list[int]:
        """Returns the keys of the sets whose similarity may reach `threshold`.

        See BANDS for the probability that a set of a given similarity is found.
        """
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


class InOrder:
    """An index of a fixed sequence of sets that finds earlier ones which may resemble a given one.

    Only buckets that several sets share are stored, as flat integer arrays: 48 bytes per set, and 4
    more for each bucket that it shares. Its answers are those of `NearIndex`.
    """

    def __init__(self, signatures: NDArray[np.uint32]) -> None:
        """Assigns all sets to buckets, which are empty at first.

        Args:
            signatures: of shape (sets, PERMUTATIONS); may be on disk.
        """
        self._signatures = signatures
        self._bucket = np.full((len(signatures), BANDS), -1, dtype=np.int32)
        """Each set's bucket in each band, numbered across bands; -1 if the set is alone in it."""
        room = [np.zeros(0, dtype=np.int64)]
        buckets = 0
        for band in range(BANDS):
            number, sizes = _shared(signatures[:, band * ROWS : (band + 1) * ROWS])
            self._bucket[:, band] = np.where(number < 0, -1, number + buckets)
            buckets += len(sizes)
            room.append(np.minimum(sizes, CROWD + 1))
        ends = np.cumsum(np.concatenate(room))
        self._start = np.concatenate([[0], ends[:-1]]).astype(np.int64)
        self._held = np.zeros(buckets, dtype=np.int32)
        self._members = np.zeros(int(ends[-1]) if buckets else 0, dtype=np.int32)

    def keep(self, number: int) -> None:
        """Adds a set to its buckets, so that later sets find it."""
        for bucket in self._buckets(number):
            held = self._held[bucket]
            if held <= CROWD:
                self._members[self._start[bucket] + held] = number
                self._held[bucket] = held + 1

    def candidates(self, number: int, threshold: float) -> list[int]:
        """Returns the numbers of the kept sets whose similarity may reach `threshold`, in order.

        See BANDS for the probability that a set of a given similarity is found.
        """
        found: set[int] = set()
        for bucket in self._buckets(number):
            start, held = self._start[bucket], self._held[bucket]
            if held <= CROWD:
                found.update(self._members[start : start + held].tolist())
        if not found:
            return []
        keys = sorted(found)
        alike = (self._signatures[keys] == self._signatures[number]).mean(axis=1)
        return [key for key, share in zip(keys, alike, strict=True) if share >= threshold - _MARGIN]

    def _buckets(self, number: int) -> list[int]:
        own = self._bucket[number]
        shared: list[int] = own[own >= 0].tolist()
        return shared


def _shared(band: NDArray[np.uint32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns each set's bucket number, -1 if it is alone there, and the shared buckets' sizes."""
    halves = np.ascontiguousarray(band).view(np.uint64)
    mixed = (halves[:, 0] ^ (halves[:, 0] >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) + halves[:, 1] * np.uint64(0xBF58476D1CE4E5B9)
    _, bucket, sizes = np.unique(mixed, return_inverse=True, return_counts=True)
    several = sizes > 1
    number = np.where(several, np.cumsum(several) - 1, -1)
    return number[bucket], sizes[several]


def _short(band: bytes) -> bytes:
    """Hashes a band's 16 bytes to 8, which halves the memory of the index's keys."""
    return hashlib.blake2b(band, digest_size=8).digest()


def _sketch(values: Signature) -> MinHash:
    return MinHash(
        hashvalues=values, permutations=_EMPTY.permutations, hashfunc=int, scheme=_EMPTY.scheme
    )
