"""Finds rows that are the same or nearly the same as another one.

Two texts to one request, and one template of many requests, are no duplicates: what decides is the response,
or the instruction where the responses are half as alike.

The best row is taken first (by quality score and S_l, then by id), whatever order they came in, and a row is
rejected if it is a duplicate of one that was kept. So of a chain in which each row is like the next, but
the last is not like the first, the first stays, and so does every later one that is like no kept row.
"""

from collections.abc import Callable

import numpy as np

from longwriter.text.minhash import NearIndex, Signature
from longwriter.text.similarity import Hashes, hashes, jaccard, shingles
from longwriter.text.words import tokens


def sets_of(prompt: str, response: Hashes) -> tuple[Hashes, Hashes]:
    """Returns the sets of 3-word sequences by which near duplicates are found.

    Args:
        response: hashes of its tokens.
    """
    return shingles(hashes(tokens(prompt))), shingles(response)


def stored(signatures: tuple[Signature, Signature] | None) -> bytes:
    """Returns both signatures as bytes."""
    return b"" if signatures is None else np.concatenate(signatures).tobytes()


def restored(data: bytes) -> tuple[Signature, Signature]:
    """Returns the signatures that `stored` gave."""
    both = np.frombuffer(data, dtype=np.uint32)
    return both[: len(both) // 2], both[len(both) // 2 :]


class Duplicates:
    """Decides for row after row, the best first, whether one like it was kept.

    Args:
        threshold: similarity from which on two texts are near duplicates.
        sets: key of a kept row → `sets_of` its prompt and response.
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
        fingerprint: bytes,
        signatures: tuple[Signature, Signature],
        rules: list[str],
    ) -> tuple[str, str] | None:
        """Returns (rule, detail) if a kept row is like this one; else None, and this one is kept.

        Args:
            name: the row's id.
            fingerprint: of its response.
            signatures: of its prompt and its response.
            rules: those of `duplicate` and `near_duplicate` that are on.
        """
        for rule in rules:
            detail = (
                self._same(name, fingerprint)
                if rule == "duplicate"
                else self._alike(key, signatures)
            )
            if detail:
                return rule, detail
        self._owners[fingerprint] = name
        self._ids.add(name)
        self._names_of[key] = name
        if "near_duplicate" in rules:
            for index, values in zip(self._near, signatures, strict=True):
                index.insert(key, values)
        return None

    def _same(self, name: str, fingerprint: bytes) -> str | None:
        if fingerprint in self._owners:
            return f"the same response as {self._owners[fingerprint]}"
        return "the id of another row" if name in self._ids else None

    def _alike(self, key: int, signatures: tuple[Signature, Signature]) -> str | None:
        own: tuple[Hashes, Hashes] | None = None
        for part, what in enumerate(("instruction", "response")):
            for other in self._near[part].candidates(signatures[part], self._threshold):
                own, theirs = own or self._sets(key), self._sets(other)
                alike = jaccard(own[part], theirs[part])
                if alike < self._threshold:
                    continue
                if what == "response" or jaccard(own[1], theirs[1]) >= self._threshold / 2:
                    return f"{alike:.0%} of its {what} as in {self._names_of[other]}"
        return None
