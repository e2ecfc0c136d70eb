"""Finds rows that duplicate, or nearly duplicate, another row.

Several texts for one request are not duplicates, nor are many requests made from one template. Two
rows are near duplicates if the similarity of their responses reaches the threshold, or if that of
their instructions does and their responses reach half of it.

Rows are processed best first (by quality score plus S_l, then by id), whatever their input order,
and a row is rejected if it duplicates one that was kept. So in a chain in which each row resembles
the next, but the last does not resemble the first, the first is kept, and so is every later row
that resembles no kept row.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from longwriter.text.minhash import InOrder, Signature
from longwriter.text.similarity import Hashes, hashes, jaccard, shingles
from longwriter.text.words import tokens


def sets_of(prompt: str, response: Hashes) -> tuple[Hashes, Hashes]:
    """Returns the sets of 3-word sequences that near duplicates are found by.

    Args:
        response: hashes of the response's tokens.
    """
    return shingles(hashes(tokens(prompt))), shingles(response)


def stored(signatures: tuple[Signature, Signature] | None) -> bytes:
    """Returns both signatures as bytes; empty if there are none."""
    return b"" if signatures is None else np.concatenate(signatures).tobytes()


class Duplicates:
    """Decides, row by row and best first, whether a similar row has already been kept.

    Args:
        threshold: similarity at or above which two texts are near duplicates.
        ids: ids of all rows, best first.
        sets: row number → `sets_of` its prompt and response.
        signatures: shape (rows, prompt and response, PERMUTATIONS); entries of rows for which the
            rule `near_duplicate` is off are ignored.
    """

    def __init__(
        self,
        threshold: float,
        ids: Sequence[str],
        sets: Callable[[int], tuple[Hashes, Hashes]],
        signatures: NDArray[np.uint32],
    ) -> None:
        self._threshold = threshold
        self._ids = ids
        self._sets = sets
        self._owners: dict[bytes, str] = {}
        self._known: set[str] = set()
        self._near = InOrder(signatures[:, 0]), InOrder(signatures[:, 1])

    def reason(self, number: int, fingerprint: bytes, rules: list[str]) -> tuple[str, str] | None:
        """Returns (rule, detail) if a kept row is like row `number`; else keeps it, returning None.

        Args:
            fingerprint: fingerprint of the row's response.
            rules: those of `duplicate` and `near_duplicate` that are on.
        """
        name = self._ids[number]
        for rule in rules:
            detail = self._same(name, fingerprint) if rule == "duplicate" else self._alike(number)
            if detail:
                return rule, detail
        self._owners[fingerprint] = name
        self._known.add(name)
        if "near_duplicate" in rules:
            for index in self._near:
                index.keep(number)
        return None

    def _same(self, name: str, fingerprint: bytes) -> str | None:
        if fingerprint in self._owners:
            return f"the same response as {self._owners[fingerprint]}"
        return "same id as another row" if name in self._known else None

    def _alike(self, number: int) -> str | None:
        own: tuple[Hashes, Hashes] | None = None
        for part, what in enumerate(("instruction", "response")):
            for other in self._near[part].candidates(number, self._threshold):
                own, theirs = own or self._sets(number), self._sets(other)
                alike = jaccard(own[part], theirs[part])
                if alike < self._threshold:
                    continue
                if what == "response" or jaccard(own[1], theirs[1]) >= self._threshold / 2:
                    return f"{alike:.0%} of its {what} as in {self._ids[other]}"
        return None
