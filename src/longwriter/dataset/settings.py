"""Settings of the filter."""

from dataclasses import dataclass
from enum import StrEnum

from longwriter.core.settings import bounded, names_file
from longwriter.evaluation.settings import JudgeSettings

DRAFTS = "data/agentwrite/drafts.jsonl"
CHAT_ROWS = "data/short_answers/rows.jsonl"
BASE = "models/base"
"""Where the DAG puts inputs whose setting is null."""


class Relabel(StrEnum):
    """Which training rows have their prompt rewritten to state the actual length of their text."""

    none = "none"
    text = "text"
    """Kept drafts whose prompt states exactly one length."""
    paragraphs = "paragraphs"
    """The same drafts, and as further rows their beginnings, each up to the end of a paragraph."""


@dataclass(kw_only=True)
class ChatMixSettings:
    """Chat rows that are mixed in, so that answers to short requests stay short."""

    path: str | None = names_file()
    """JSON Lines or parquet of `messages` rows, or a dataset on the Hugging Face Hub; null: the
    output of the stage `short_answers`, if it ran and filter.drafts is null."""
    revision: str | None
    """Commit or tag of a Hub dataset."""
    number: int | None = bounded(ge=0)
    """Maximum number of rows to mix in, drawn by hash; null: all, or as many as `ratio` allows."""
    ratio: float | None = bounded(ge=0)
    """Maximum number of chat rows per kept draft; null: no such limit."""
    rules: list[str]
    """Names of the rules that a chat row must pass, in the order in which they are applied."""


@dataclass(kw_only=True)
class FilterSettings:
    """What to filter, by which rules and thresholds, and what to mix in."""

    seed: int
    """Seed for drawing validation and chat rows, ordering training rows, and calling the judge."""
    drafts: str | None = names_file()
    """Drafts, or `messages` rows such as LongWriter-6k's: JSON Lines, parquet, or a dataset on the
    Hugging Face Hub; null: data/agentwrite/drafts.jsonl."""
    revision: str | None
    """Commit or tag of a Hub dataset."""
    tokenizer: str | None = names_file()
    """Checkpoint folder whose tokenizer counts tokens; null: models/base, if it has a tokenizer."""
    rules: list[str]
    """Names of the rules that a draft must pass, in the order in which they are applied; a rule
    that isn't listed is off. Rules that compare rows (duplicate, near_duplicate) come last."""
    strip: list[str]
    """Rules among opener, closer and fence that strip what they find from the response instead of
    rejecting the row; the row records what was stripped, and its words are counted without it."""
    min_words: int = bounded(ge=0)
    """Minimum number of words in a response."""
    max_words: int | None = bounded(gt=0)
    """Maximum number of words in a response; null: no limit."""
    min_length_score: float = bounded(ge=0, le=100)
    """Minimum S_l of a response, if its instruction states a length."""
    max_repetition: float = bounded(ge=0, le=1)
    """Maximum share of a response's 8-word sequences that occurred earlier in it."""
    max_copied: float = bounded(ge=0, le=1)
    """Maximum share of a response's sentences that copy an earlier one."""
    max_verse_repetition: float = bounded(ge=0, le=1)
    """Replaces max_repetition and max_copied, where higher, for verse, which may have a refrain."""
    max_repeated_span: int = bounded(ge=8)
    """Longest sequence of words that may occur twice in a prose response."""
    min_compression: float = bounded(ge=0, le=1)
    """Minimum ratio of a response's compressed size to its size (zlib, level 6)."""
    max_foreign: float = bounded(ge=0, le=1)
    """Maximum share of a response, without quotations and code, in another script than the rest."""
    max_foreign_run: int = bounded(ge=0)
    """Maximum number of consecutive words of a line in another script than the rest of the
    response, without quotations and code."""
    min_paragraph_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of 3-word sequences at which a paragraph counts as a repeat of another."""
    max_prompt_copy: int = bounded(ge=8)
    """Maximum number of words that a response may copy from the prompt; only passages of at least
    half as many words count."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of 3-word sequences at which two texts are near duplicates."""
    max_length: int | None = bounded(gt=0)
    """Maximum tokens of a row, with the chat template, as SFT counts them; null: no limit."""
    min_quality: float | None = bounded(ge=0, le=100)
    """Minimum quality score S_q of a row that has one (`quality_score`); null: no limit."""
    judge: JudgeSettings | None
    """Judge that grades the drafts without a quality score that pass all rules, if min_quality is
    set, and answers ask_judge; ${judge}: the run's judge; null: no judge is used."""
    ask_judge: list[str]
    """Faults that the judge also looks for in each draft that passes all rules: soft_refusal,
    outline, self_judgement; []: only the rules' own patterns are used."""
    plan: bool
    """Put a draft's plan before its text in the training row, between <plan> and </plan>. The
    rules, `pairs` and the benchmark count the text only."""
    relabel: Relabel
    """Which training rows state the actual length of their text instead of the requested one."""
    chat_mix: ChatMixSettings
    validation_rows: int = bounded(ge=0)
    """Kept drafts that go to validation.jsonl instead of train.jsonl; at most a quarter of them."""
    length_bins: list[int]
    """Lower edges, in words, of the length bins in the metrics and the data card."""
    licenses: dict[str, str]
    """Source → licence in the card, as SPDX name if it has one; `default` is for other sources."""
