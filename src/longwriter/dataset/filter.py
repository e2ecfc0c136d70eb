"""Sorts rows into training rows, validation rows, and rejected rows with rule and reason.

Rows are streamed through the rules into a temporary file. For a row that passes, only its place in
that file stays in memory, and a few numbers in the index of near duplicates: about 1 kB per row.
Which rows are kept, and the order in which they are written, depends on the set of rows, not on
their input order.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from longwriter.core.progress import progress
from longwriter.core.rows import TrainingRow
from longwriter.dataset.counts import FilterCounts
from longwriter.dataset.duplicates import Duplicates, sets_of, stored
from longwriter.dataset.row import RowVerdict
from longwriter.dataset.rules import BETWEEN_ROWS
from longwriter.dataset.settings import FilterSettings
from longwriter.text.minhash import PERMUTATIONS
from longwriter.text.similarity import Hashes, hashes
from longwriter.text.words import tokens

Grade = Callable[[Iterator[TrainingRow]], list[float | None]]
"""Has the judge score rows; None for a row that it gave no score."""


Ask = Callable[[Iterator[TrainingRow]], list[str | None]]
"""Has the judge check rows for faults: the name of a rule, empty if it finds none, or None if there
is no readable answer."""


class _Place(NamedTuple):
    """Location of a row in the temporary file.

    Its training row or rows, its record and its signatures are stored there back to back.
    """

    demerit: float
    """Negative merit of the row, so that the best rows sort first."""
    id: str
    fingerprint: bytes
    start: int
    sizes: tuple[int, int, int]


class Filtering:
    """One filtering run, from reading to writing, as a context manager.

    Its temporary files are deleted on exit.

    Args:
        settings: rules and thresholds.
        folder: folder for the temporary files.
    """

    def __init__(self, settings: FilterSettings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        folder.mkdir(parents=True, exist_ok=True)
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._rejects: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._drafts: list[_Place] = []
        self._chat: list[_Place] = []
        self._validation: list[_Place] = []
        self.counts = FilterCounts(settings.length_bins)

    def __enter__(self) -> "Filtering":
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.close()
        self._rejects.close()

    def read(self, verdicts: Iterable[RowVerdict], chat: bool = False) -> None:
        """Takes in rows with the verdicts of the single-row rules.

        Args:
            chat: whether they are chat rows, not drafts.
        """
        places = self._chat if chat else self._drafts
        for row in progress("chat rows read" if chat else "drafts read", verdicts):
            self.counts.add_read(row, chat)
            if row.reason:
                self._reject(row.id, row.reason, row.line)
                self.counts.add_rejected(row.reason[0], row.id, row.language, row.words, chat)
                continue
            parts = row.line, row.record, stored(row.signatures)
            start = self._spool.seek(0, 2)
            self._spool.writelines(parts)
            sizes = len(parts[0]), len(parts[1]), len(parts[2])
            places.append(_Place(-row.merit, row.id, row.fingerprint, start, sizes))

    def compare(self) -> None:
        """Applies the rules that compare rows: to drafts before chat rows, each best first."""
        order = [*sorted(self._drafts), *sorted(self._chat)]
        drafts = len(self._drafts)
        self._drafts, self._chat = [], []

        def sets(number: int) -> tuple[Hashes, Hashes]:
            row = self._row(order[number])
            prompt = "\n\n".join(m.content for m in row.messages if m.role == "user")
            return sets_of(prompt, hashes(tokens(row.messages[-1].content)))

        with tempfile.TemporaryFile(dir=self._folder) as file:
            duplicates = Duplicates(
                self._settings.min_similarity,
                [place.id for place in order],
                sets,
                self._signatures(order, file),
            )
            of_drafts, of_chat = (
                [name for name in rules if name in BETWEEN_ROWS]
                for rules in (self._settings.rules, self._settings.chat_mix.rules)
            )
            for number, place in enumerate(progress("rows compared", order)):
                chat = number >= drafts
                reason = duplicates.reason(
                    number, place.fingerprint, of_chat if chat else of_drafts
                )
                if reason is None:
                    (self._chat if chat else self._drafts).append(place)
                else:
                    self._reject_place(place, reason, chat)

    def _signatures(self, places: Sequence[_Place], file: IO[bytes]) -> NDArray[np.uint32]:
        """Returns the signatures of each row's prompt and response, zeros where it has none.

        They are memory-mapped to `file`, unless no row has any.
        """
        shape = len(places), 2, PERMUTATIONS
        if not any(place.sizes[2] for place in places):
            return np.zeros((len(places), 2, PERMUTATIONS), dtype=np.uint32)
        found = np.memmap(file, dtype=np.uint32, mode="w+", shape=shape)
        for number, place in enumerate(places):
            if place.sizes[2]:
                values = np.frombuffer(self._part(place, 2), dtype=np.uint32)
                found[number] = values.reshape(shape[1:])
        return found

    def ask(self, ask: Ask) -> None:
        """Has the judge check the drafts, and rejects those in which it finds a fault."""
        faulty = set()
        found = ask(self._row(place) for place in self._drafts)
        for place, rule in zip(self._drafts, found, strict=True):
            self.counts.add_asked(rule)
            if rule:
                faulty.add(place)
                self._reject_place(place, (rule, "found by the judge"), False)
        self._drafts = [place for place in self._drafts if place not in faulty]

    def grade(self, ask: Grade) -> None:
        """Has the judge score drafts without a quality score; rejects those below min_quality."""
        ungraded = [place for place in self._drafts if not self._is_graded(place)]
        scores = ask(self._row(place) for place in ungraded)
        least = self._settings.min_quality or 0
        poor = set()
        for place, score in zip(ungraded, scores, strict=True):
            self.counts.add_grade(score)
            if score is not None and score < least:
                poor.add(place)
                reason = "low_quality", f"quality score {score:g}, by the judge"
                self._reject_place(place, reason, False)
        self._drafts = [place for place in self._drafts if place not in poor]

    def choose(self) -> None:
        """Draws the validation drafts and the chat rows to mix in, by a hash of seed and id."""
        drafts = sorted(self._drafts, key=self._draw)
        validation = min(self._settings.validation_rows, len(drafts) // 4)
        self._validation, self._drafts = drafts[:validation], drafts[validation:]
        chat, wanted = sorted(self._chat, key=self._draw), self._settings.chat_mix
        number = len(chat) if wanted.number is None else wanted.number
        if wanted.ratio is not None:
            number = min(number, round(wanted.ratio * len(drafts)))
        self._chat = chat[:number]
        for place in self._validation:
            row = self._row(place)
            self.counts.add_kept(row)
            self.counts.add_validation(row)
        for place in self._drafts:
            whole, *beginnings = self._rows(place)
            self.counts.add_kept(whole)
            for row in (whole, *beginnings):
                self.counts.add_training(row, chat=False)
        for place in self._chat:
            self.counts.add_training(self._row(place), chat=True)

    def training_rows(self) -> Iterator[TrainingRow]:
        """Returns the training rows: kept drafts with their beginnings, and chat rows.

        Their order depends on the seed.
        """
        places = sorted(self._drafts + self._chat, key=self._draw)
        return chain.from_iterable(map(self._rows, places))

    def validation_rows(self) -> Iterator[TrainingRow]:
        """Returns the drafts set aside for validation."""
        return map(self._row, self._validation)

    def rejected_lines(self) -> Iterator[bytes]:
        """Returns the rejected rows with id, rule and detail, as JSON lines."""
        self._rejects.seek(0)
        return iter(self._rejects)

    def _reject_place(self, place: _Place, reason: tuple[str, str], chat: bool) -> None:
        self._reject(place.id, reason, self._part(place, 1))
        row = self._row(place)
        self.counts.add_rejected(reason[0], row.id, row.language, row.response_length or 0, chat)

    def _reject(self, name: str, reason: tuple[str, str], record: bytes) -> None:
        row = json.loads(record) | {"id": name, "rule": reason[0], "detail": reason[1]}
        line = json.dumps(row, ensure_ascii=False)
        self._rejects.write(line.encode("utf-8", "surrogateescape") + b"\n")

    def _is_graded(self, place: _Place) -> bool:
        return isinstance(json.loads(self._part(place, 1)).get("quality_score"), int | float)

    def _part(self, place: _Place, part: int) -> bytes:
        self._spool.seek(place.start + sum(place.sizes[:part]))
        return self._spool.read(place.sizes[part])

    def _row(self, place: _Place) -> TrainingRow:
        return self._rows(place)[0]

    def _rows(self, place: _Place) -> list[TrainingRow]:
        """Returns the row, followed by the rows made from its beginnings."""
        return [TrainingRow.model_validate_json(line) for line in self._part(place, 0).split(b"\n")]

    def _draw(self, place: _Place) -> tuple[bytes, bytes]:
        """Returns the sort key of a row: a hash of seed and id, then the fingerprint."""
        drawn = hashlib.sha256(f"{self._settings.seed} {place.id}".encode()).digest()
        return drawn, place.fingerprint
