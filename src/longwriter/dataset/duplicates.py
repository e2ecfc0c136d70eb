"""Rows that are the same or nearly the same as another one.

Rows are taken in the order of their ids, whatever order they came in: one is rejected if it is a
duplicate of one that is kept. So of a chain in which each is like the next, but the last not like the
first, the first stays and so does every later one that no kept one is like.
"""

from collections.abc import Callable

from longwriter.text.minhash import NearIndex, Signature
from longwriter.text.similarity import Hashes, jaccard


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
