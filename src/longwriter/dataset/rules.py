"""The rules a draft must pass: each one function, draft in, reason to reject it or nothing out."""

from collections.abc import Callable

from longwriter.dataset.settings import FilterSettings
from longwriter.evaluation.length import length_score
from longwriter.evaluation.repetition import copied_sentences, repeated_ngrams
from longwriter.records import Draft
from longwriter.text import count_words, refusal_in

Rule = Callable[[Draft, FilterSettings], str | None]


def too_short(draft: Draft, settings: FilterSettings) -> str | None:
    """Fewer words than min_words. Source: LongWriter, section 3.2."""
    words = count_words(draft.response)
    return f"{words} words" if words < settings.min_words else None


def length_missed(draft: Draft, settings: FilterSettings) -> str | None:
    """S_l below min_length_score where the instruction states a length.

    Source: arXiv 2410.10210: 666 rows kept by S_l of at least 80 beat all 6,000 of LongWriter-6k.
    """
    if draft.length is None:
        return None
    words = count_words(draft.response)
    score = length_score(draft.length, words)
    if score >= settings.min_length_score:
        return None
    return f"{words} words for {draft.length}: S_l {score:.0f}"


def refusal(draft: Draft, settings: FilterSettings) -> str | None:
    """A refusal or a model speaking of itself, in the first 300 characters."""
    found = refusal_in(draft.response)
    return f"says {found!r}" if found else None


def repetition(draft: Draft, settings: FilterSettings) -> str | None:
    """Loops: 8-word sequences that stood in the text before, above max_repetition."""
    share = repeated_ngrams(draft.response, 8)
    return f"{share:.0%} of 8-grams repeated" if share > settings.max_repetition else None


def copied(draft: Draft, settings: FilterSettings) -> str | None:
    """Sentences that stand in the text more than once, above max_copied."""
    share = copied_sentences(draft.response)
    return f"{share:.0%} of sentences copied" if share > settings.max_copied else None


RULES: dict[str, Rule] = {
    "too_short": too_short,
    "length_missed": length_missed,
    "refusal": refusal,
    "repetition": repetition,
    "copied": copied,
}
"""In the order they are asked; the first that rejects names the reason."""
