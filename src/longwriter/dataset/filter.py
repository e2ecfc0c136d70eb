"""Drafts in; training rows, and rejected rows with the rule and the reason, out."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any

from longwriter.dataset.rules import RULES
from longwriter.dataset.settings import FilterSettings
from longwriter.records import Draft, Message, RejectedRow, TrainingRow


@dataclass(frozen=True)
class Filtered:
    """Kept and rejected rows, each in the order of the drafts."""

    kept: list[TrainingRow]
    rejected: list[RejectedRow]


def filter_drafts(drafts: list[Draft], settings: FilterSettings) -> Filtered:
    """Applies every rule, then drops exact duplicates of a response (the lowest id stays, so that
    the order of the drafts does not matter)."""
    reasons = {id(draft): _first_reason(draft, settings) for draft in drafts}
    owner: dict[str, Draft] = {}
    for draft in sorted(drafts, key=lambda draft: draft.id):
        if reasons[id(draft)] is None:
            first = owner.setdefault(_fingerprint(draft), draft)
            if first is not draft:
                reasons[id(draft)] = ("duplicate", f"the same response as {first.id}")
    kept = [_training_row(draft) for draft in drafts if reasons[id(draft)] is None]
    rejected = [
        RejectedRow.model_validate(draft.model_dump() | {"rule": reason[0], "detail": reason[1]})
        for draft in drafts
        if (reason := reasons[id(draft)])
    ]
    return Filtered(kept, rejected)


def _first_reason(draft: Draft, settings: FilterSettings) -> tuple[str, str] | None:
    for name, rule in RULES.items():
        if detail := rule(draft, settings):
            return name, detail
    return None


def _fingerprint(draft: Draft) -> str:
    """SHA-256 of the response without case and white space."""
    return hashlib.sha256("".join(draft.response.lower().split()).encode()).hexdigest()


def _training_row(draft: Draft) -> TrainingRow:
    messages = [
        Message(role="user", content=draft.prompt),
        Message(role="assistant", content=draft.response),
    ]
    return TrainingRow(
        messages=messages,
        id=draft.id,
        source=draft.source or "agentwrite",
        length=draft.length,
        response_length=draft.response_length,
    )


def describe(filtered: Filtered) -> dict[str, Any]:
    """Counts for metrics/filter.json."""
    words = sorted(row.response_length or 0 for row in filtered.kept)
    return {
        "drafts": len(filtered.kept) + len(filtered.rejected),
        "kept": len(filtered.kept),
        "rejected": dict(Counter(row.rule for row in filtered.rejected)),
        "words": sum(words),
        "shortest_words": words[0] if words else 0,
        "longest_words": words[-1] if words else 0,
    }


def card(filtered: Filtered, settings: FilterSettings, teacher: str) -> str:
    """The data card, in Markdown."""
    counts = describe(filtered)
    removed = "".join(
        f"| {rule} | {number} |\n" for rule, number in sorted(counts["rejected"].items())
    )
    return (
        "# Training set\n\n"
        f"Drafts that AgentWrite wrote with the teacher `{teacher}`, kept by rule.\n\n"
        f"- rows: {counts['kept']} of {counts['drafts']} drafts\n"
        f"- words: {counts['words']} ({counts['shortest_words']} to {counts['longest_words']} a row)\n"
        f"- thresholds: {settings.min_words} words, S_l {settings.min_length_score:g}, repeated "
        f"8-grams {settings.max_repetition:.0%}, copied sentences {settings.max_copied:.0%}\n\n"
        f"| removed by | rows |\n|---|---|\n{removed}"
    )
