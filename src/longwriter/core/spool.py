"""Sequences of records that do not have to fit into memory."""

import json
import tempfile
from abc import abstractmethod
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar, overload

from longwriter.core.rows import Record

R = TypeVar("R", bound=Record)


class OnDemand(Sequence[R], Generic[R]):
    """A sequence that reads records on every access. It equals any sequence of equal records."""

    @abstractmethod
    def _places(self) -> Sequence[int]:
        """Returns the places of the records, in sequence order."""

    @abstractmethod
    def _read(self, place: int) -> R:
        """Returns the record at a place."""

    def __len__(self) -> int:
        return len(self._places())

    @overload
    def __getitem__(self, number: int) -> R: ...
    @overload
    def __getitem__(self, number: slice) -> list[R]: ...
    def __getitem__(self, number: int | slice) -> R | list[R]:
        found = self._places()[number]
        return self._read(found) if isinstance(found, int) else [self._read(n) for n in found]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


class Spool(OnDemand[R]):
    """Records in a temporary file, in the order of the numbers that they are added with."""

    def __init__(self, kind: type[R], folder: Path | None = None) -> None:
        """
        Args:
            folder: where to create the file; None: the system's folder for temporary files.
        """
        self._kind = kind
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._numbers, self._starts = array("Q"), array("Q")
        self._order: list[int] | None = []

    def add(self, number: int, record: R) -> None:
        """Adds a record; `number` decides its position in the sequence."""
        self._numbers.append(number)
        self._starts.append(self._file.seek(0, 2))
        line = json.dumps(record.model_dump(), ensure_ascii=False)
        self._file.write(line.encode() + b"\n")
        self._order = None

    def __len__(self) -> int:
        return len(self._starts)

    def _places(self) -> Sequence[int]:
        if self._order is None:
            self._order = sorted(range(len(self)), key=self._numbers.__getitem__)
        return self._order

    def _read(self, place: int) -> R:
        self._file.seek(self._starts[place])
        return self._kind.model_validate_json(self._file.readline())
