"""Finds rows that are the same or nearly the same as another one.

Two texts to one request, and one template of many requests, are no duplicates: what decides is the response,
or the instruction where the responses are half as alike.

The best row is taken first (by quality score and S_l, then by id), whatever order they came in, and a row is
rejected if it is a duplicate of one that was kept. So of a chain in which each row is like the next, but
the last is not like the first, the first stays, and so does every later one that is like no kept row.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from longwriter.text.minhash import InOrder, Signature
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


class Duplicates:
    """Decides for row after row, the best first, whether one like it was kept.

    Args:
        threshold: similarity from which on two texts are near duplicates.
        ids: of all rows, in that order.
        sets: number of a row → `sets_of` its prompt and response.
        signatures: (rows, prompt and response, PERMUTATIONS); what it has of rows on which the rule
            `near_duplicate` is off is not looked at.
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
        """Returns (rule, detail) if a kept row is like row `number`; else None, and this one is kept.

        Args:
            fingerprint: of its response.
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
        return "the id of another row" if name in self._known else None

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
