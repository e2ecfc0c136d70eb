"""Rows in; training rows, held-out rows and rejected rows with rule and reason out.

Rows are streamed through the rules into a temporary file; in memory stays, for a row that passes them,
where it lies there and the index of near duplicates. What is kept depends on the set of rows, not on
their order, and so does the order of what is written.
"""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from longwriter.dataset.duplicates import Duplicates
from longwriter.dataset.judge import Judged, restored, sets_of, stored
from longwriter.dataset.measures import Hashes
from longwriter.dataset.rules import BETWEEN_ROWS
from longwriter.dataset.settings import FilterSettings
from longwriter.dataset.tally import Tally
from longwriter.records import TrainingRow


class _Place(NamedTuple):
    """A row in the temporary file: its training row, its record, its signatures, one after another."""

    id: str
    fingerprint: bytes
    start: int
    sizes: tuple[int, int, int]


Grade = Callable[[Iterator[TrainingRow]], list[float | None]]
"""Asks for the quality scores of rows; None where there is none."""


class Filtering:
    """One filtering run, from reading to writing. Use it as a context: its file goes at the end.

    Args:
        settings: rules and thresholds.
        seed: chooses what is held out and which general rows are mixed in, and the order.
        folder: where the temporary file lies.
    """

    def __init__(self, settings: FilterSettings, seed: int, folder: Path) -> None:
        self._settings = settings
        self._seed = seed
        folder.mkdir(parents=True, exist_ok=True)
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._rejects: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._drafts: list[_Place] = []
        self._general: list[_Place] = []
        self._held: list[_Place] = []
        self.tally = Tally(settings.length_bins)

    def __enter__(self) -> "Filtering":
        return self

    def __exit__(self, *error: object) -> None:
        self._spool.close()
        self._rejects.close()

    def read(self, judged: Iterable[Judged], general: bool = False) -> None:
        """Takes up rows that the rules on single rows have judged."""
        places = self._general if general else self._drafts
        for row in judged:
            self.tally.read(row, general)
            if row.reason:
                self._reject(row.id, row.reason, row.line)
                self.tally.reject(row.reason[0], row, general)
                continue
            parts = row.line, row.record, stored(row.signatures)
            start = self._spool.seek(0, 2)
            self._spool.writelines(parts)
            sizes = len(parts[0]), len(parts[1]), len(parts[2])
            places.append(_Place(row.id, row.fingerprint, start, sizes))

    def compare(self) -> None:
        """Asks the rules that compare rows: drafts first, each kind in the order of its ids."""
        known: list[_Place] = []

        def sets(key: int) -> tuple[Hashes, Hashes]:
            row = self._row(known[key])
            prompt = "\n\n".join(m.content for m in row.messages if m.role == "user")
            return sets_of(prompt, row.messages[-1].content)

        duplicates = Duplicates(self._settings.min_similarity, sets)
        for general, places in ((False, self._drafts), (True, self._general)):
            rules = self._settings.general.rules if general else self._settings.rules
            names = [name for name in rules if name in BETWEEN_ROWS]
            kept = []
            for place in sorted(places):
                key = len(known)
                known.append(place)
                signatures = restored(self._part(place, 2))
                reason = duplicates.reason(key, place.id, place.fingerprint, signatures, names)
                if reason is None:
                    kept.append(place)
                else:
                    self._reject_place(place, reason, general)
                    known.pop()
            places[:] = kept

    def grade(self, ask: Grade) -> None:
        """Asks the judge about drafts that carry no quality score, and rejects what it finds poor."""
        record = [json.loads(self._part(place, 1)) for place in self._drafts]
        ungraded = [
            place
            for place, row in zip(self._drafts, record, strict=True)
            if not isinstance(row.get("quality_score"), int | float)
        ]
        scores = ask(self._row(place) for place in ungraded)
        least = self._settings.min_quality or 0
        poor = set()
        for place, score in zip(ungraded, scores, strict=True):
            self.tally.judged(score)
            if score is not None and score < least:
                poor.add(place)
                reason = "low_quality", f"quality score {score:g}, by the judge"
                self._reject_place(place, reason, False)
        self._drafts = [place for place in self._drafts if place not in poor]

    def choose(self) -> None:
        """Holds drafts out and draws the general rows, by hash of seed and id."""
        drafts = sorted(self._drafts, key=self._draw)
        held = min(self._settings.held_out, len(drafts) // 4)
        self._held, self._drafts = drafts[:held], drafts[held:]
        general, wanted = sorted(self._general, key=self._draw), self._settings.general
        number = len(general) if wanted.number is None else wanted.number
        if wanted.ratio is not None:
            number = min(number, round(wanted.ratio * len(drafts)))
        self._general = general[:number]
        for place in self._held:
            row = self._row(place)
            self.tally.keep(row)
            self.tally.hold_out(row)
        for place in self._drafts:
            row = self._row(place)
            self.tally.keep(row)
            self.tally.train_on(row, general=False)
        for place in self._general:
            self.tally.train_on(self._row(place), general=True)

    def training_rows(self) -> Iterator[TrainingRow]:
        """The rows to train on: kept drafts and general rows in an order that the seed gives."""
        return map(self._row, sorted(self._drafts + self._general, key=self._draw))

    def held_out_rows(self) -> Iterator[TrainingRow]:
        """The drafts held out."""
        return map(self._row, self._held)

    def rejected_lines(self) -> Iterator[bytes]:
        """Rejected rows: id, rule, detail and the row."""
        self._rejects.seek(0)
        return iter(self._rejects)

    def _reject_place(self, place: _Place, reason: tuple[str, str], general: bool) -> None:
        self._reject(place.id, reason, self._part(place, 1))
        self.tally.reject_row(reason[0], self._row(place), general)

    def _reject(self, name: str, reason: tuple[str, str], record: bytes) -> None:
        row = json.loads(record) | {"id": name, "rule": reason[0], "detail": reason[1]}
        line = json.dumps(row, ensure_ascii=False)
        self._rejects.write(line.encode("utf-8", "surrogateescape") + b"\n")

    def _part(self, place: _Place, part: int) -> bytes:
        self._spool.seek(place.start + sum(place.sizes[:part]))
        return self._spool.read(place.sizes[part])

    def _row(self, place: _Place) -> TrainingRow:
        return TrainingRow.model_validate_json(self._part(place, 0))

    def _draw(self, place: _Place) -> tuple[bytes, bytes]:
        return hashlib.sha256(f"{self._seed} {place.id}".encode()).digest(), place.fingerprint
