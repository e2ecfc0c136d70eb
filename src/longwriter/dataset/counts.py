"""Counts the rows read, rejected and kept, by rule, language, length, type and source."""

from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from longwriter.core.rows import TrainingRow
from longwriter.dataset.row import RowVerdict

EDGES = [0, *(round(16 * 2 ** (step / 2)) for step in range(25))]
"""Lower edges of the histograms' bins, in words: two per doubling, up to 65,536."""


def lower_edge(name: str) -> int:
    """Returns the lower edge of a length bin, such as 500 for `500-1999`."""
    return int(name.rstrip("+").split("-")[0])


@dataclass
class Sum:
    """Total rows, words and tokens."""

    rows: int = 0
    words: int = 0
    tokens: int = 0

    def add(self, row: TrainingRow) -> None:
        """Adds a row."""
        self.rows += 1
        self.words += row.response_length or 0
        self.tokens += row.tokens or 0


@dataclass
class _Group:
    """Outcomes of the drafts of one language or length bin."""

    drafts: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def describe(self) -> dict[str, Any]:
        rejected = dict(sorted(self.rejected.items()))
        return {"drafts": self.drafts, "kept": self.kept, "rejected": rejected}


class FilterCounts:
    """Row counts of one filtering run."""

    def __init__(self, length_bins: list[int]) -> None:
        """Starts all counts at zero.

        Args:
            length_bins: lower edges of the length bins, in words.
        """
        self._bins = length_bins
        self.drafts = 0
        self.chat = Counter[str]()
        self.rejected = Counter[str]()
        self.stripped = Counter[str]()
        self.chat_rejected = Counter[str]()
        self.over_length: list[str] = []
        self.graded = Counter[str]()
        self.asked = Counter[str]()
        self._languages: defaultdict[str, _Group] = defaultdict(_Group)
        self._lengths: defaultdict[str, _Group] = defaultdict(_Group)
        self._before = [0] * len(EDGES)
        self._after = [0] * len(EDGES)
        self._kept_words: Counter[int] = Counter()
        self.parts: dict[str, defaultdict[str, Sum]] = {
            part: defaultdict(Sum) for part in ("language", "type", "source", "writer", "words")
        }
        self.train = Sum()
        self.validation = Sum()
        self.counted = True
        """Whether every training row's tokens are counted."""

    def bin(self, words: int) -> str:
        """Returns the length bin of `words`, such as `500-1999`."""
        place = bisect_right(self._bins, words) - 1
        if place < 0:
            return f"0-{self._bins[0] - 1}"
        last = place + 1 == len(self._bins)
        return (
            f"{self._bins[place]}+" if last else f"{self._bins[place]}-{self._bins[place + 1] - 1}"
        )

    def add_read(self, row: RowVerdict, chat: bool) -> None:
        """Counts a row that was read.

        Args:
            chat: whether it is a chat row, not a draft.
        """
        if chat:
            self.chat["read"] += 1
            return
        self.drafts += 1
        self.stripped.update(row.stripped)
        if row.language:
            self._languages[row.language].drafts += 1
            self._lengths[self.bin(row.words)].drafts += 1
            self._before[bisect_right(EDGES, row.words) - 1] += 1

    def add_rejected(self, rule: str, name: str, language: str, words: int, chat: bool) -> None:
        """Counts a row that `rule` rejected.

        Args:
            name: id of the row.
            language: language of the instruction; empty if the row is malformed.
            words: number of words in the response.
            chat: whether it is a chat row, not a draft.
        """
        if rule == "too_many_tokens":
            self.over_length.append(name)
        if chat:
            self.chat_rejected[rule] += 1
            return
        self.rejected[rule] += 1
        if language:
            self._languages[language].rejected[rule] += 1
            self._lengths[self.bin(words)].rejected[rule] += 1

    def add_grade(self, score: float | None) -> None:
        """Counts a row that the judge was asked to grade; None: it got no score."""
        self.graded["unscored" if score is None else "scored"] += 1

    def add_asked(self, rule: str | None) -> None:
        """Counts a row that the judge checked for faults.

        Args:
            rule: fault that the judge found; empty: none; None: there is no readable answer.
        """
        self.asked["unread" if rule is None else "faulty" if rule else "clean"] += 1

    def add_kept(self, row: TrainingRow) -> None:
        """Counts a draft that passed all rules."""
        words = row.response_length or 0
        self._languages[row.language].kept += 1
        self._lengths[self.bin(words)].kept += 1
        self._after[bisect_right(EDGES, words) - 1] += 1
        self._kept_words[words] += 1

    def add_validation(self, row: TrainingRow) -> None:
        """Counts a kept draft that goes to validation.jsonl."""
        self.validation.add(row)

    def add_training(self, row: TrainingRow, chat: bool) -> None:
        """Counts a row that goes to train.jsonl."""
        self.chat["mixed_in"] += chat
        self.counted = self.counted and row.tokens is not None
        self.train.add(row)
        for part, name in {
            "language": row.language,
            "type": row.type or "(none)",
            "source": row.source or "(none)",
            "writer": row.writer or "(not known)",
            "words": self.bin(row.response_length or 0),
        }.items():
            self.parts[part][name].add(row)

    @property
    def kept(self) -> int:
        """Number of drafts that passed all rules, including those for validation."""
        return self._kept_words.total()

    def describe(self) -> dict[str, Any]:
        """Returns the content of metrics/filter.json; its words are those of the kept drafts."""
        words = self._kept_words
        bins = sorted(self._lengths, key=lower_edge)
        return {
            "drafts": self.drafts,
            "kept": self.kept,
            "rejected": dict(sorted(self.rejected.items())),
            "stripped": dict(sorted(self.stripped.items())),
            "validation": self.validation.rows,
            "chat_mix": {name: self.chat[name] for name in ("read", "mixed_in")}
            | {"rejected": dict(sorted(self.chat_rejected.items()))},
            "rows": self.train.rows,
            "words": sum(length * rows for length, rows in words.items()),
            "shortest_words": min(words, default=0),
            "longest_words": max(words, default=0),
            "tokens": self.train.tokens if self.counted else None,
            "judged": dict(sorted(self.graded.items())),
            "asked": dict(sorted(self.asked.items())),
            "by_language": {n: g.describe() for n, g in sorted(self._languages.items())},
            "by_length": {name: self._lengths[name].describe() for name in bins},
            "histogram": {"words": EDGES, "before": self._before, "after": self._after},
        }
