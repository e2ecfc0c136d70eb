"""Settings of the filter."""

from dataclasses import dataclass

from longwriter.bounds import bounded


@dataclass(kw_only=True)
class FilterSettings:
    """Thresholds of the rules that a draft must pass."""

    drafts: str | None
    """Drafts to filter; null: data/agentwrite/drafts.jsonl."""
    min_words: int = bounded(ge=0)
    """Fewest words of a response."""
    min_length_score: float = bounded(ge=0, le=100)
    """Lowest S_l of a response against the length that its instruction states."""
    max_repetition: float = bounded(ge=0, le=1)
    """Largest share of 8-word sequences of a response that stood in it before."""
    max_copied: float = bounded(ge=0, le=1)
    """Largest share of a response's sentences that are copies of an earlier one in it."""
