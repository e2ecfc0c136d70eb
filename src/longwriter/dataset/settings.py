"""Settings of the filter."""

from dataclasses import dataclass
from enum import StrEnum

from longwriter.core.settings import bounded, names_file
from longwriter.evaluation.settings import JudgeSettings

DRAFTS = "data/agentwrite/drafts.jsonl"
CHAT_ROWS = "data/short_answers/rows.jsonl"
BASE = "models/base"
"""Where the DAG puts the inputs that no setting names."""


class Relabel(StrEnum):
    """Which rows get the length that their text has into their prompt."""

    none = "none"
    text = "text"
    """Kept drafts whose prompt states one length."""
    paragraphs = "paragraphs"
    """These, and their beginnings, up to the end of each paragraph, as further rows."""


@dataclass(kw_only=True)
class ChatMixSettings:
    """Chat rows that are mixed in, so that short requests stay short."""

    path: str | None = names_file()
    """JSON Lines or parquet of `messages` rows, or a data set of the Hugging Face hub; null: what
    the stage `short_answers` wrote, if it ran."""
    revision: str | None
    """Commit or tag of a hub data set."""
    number: int | None = bounded(ge=0)
    """Most rows that are mixed in, drawn by hash; null: all, or as many as `ratio` says."""
    ratio: float | None = bounded(ge=0)
    """Most chat rows for each kept draft; null: no such limit."""
    rules: list[str]
    """Names of the rules that a chat row must pass, in the order in which they are applied."""


@dataclass(kw_only=True)
class FilterSettings:
    """What is filtered, by which rules and thresholds, and what is mixed in."""

    seed: int
    """Draws the validation rows and the chat rows that are mixed in."""
    drafts: str | None = names_file()
    """Drafts, or `messages` rows such as LongWriter-6k's: JSON Lines, parquet, or a data set of the
    Hugging Face hub; null: data/agentwrite/drafts.jsonl."""
    revision: str | None
    """Commit or tag of a hub data set."""
    tokenizer: str | None = names_file()
    """Folder of the checkpoint whose tokens are counted; null: models/base, if there is one."""
    rules: list[str]
    """Names of the rules that a draft must pass, in the order in which they are applied; a rule that
    isn't listed is off. Those that compare rows (duplicate, near_duplicate) come last."""
    strip: list[str]
    """Names of the rules among opener, closer and fence whose finding is taken off the response instead of
    rejecting it; the row says what was stripped, and its words are counted without it."""
    min_words: int = bounded(ge=0)
    """Fewest words of a response."""
    max_words: int | None = bounded(gt=0)
    """Most words of a response; null: no limit."""
    min_length_score: float = bounded(ge=0, le=100)
    """Lowest S_l of a response, if its instruction states a length."""
    max_repetition: float = bounded(ge=0, le=1)
    """Largest share of a response's 8-word sequences that occurred earlier in it."""
    max_copied: float = bounded(ge=0, le=1)
    """Largest share of a response's sentences that copy an earlier one."""
    max_verse_repetition: float = bounded(ge=0, le=1)
    """The same two shares if the response is verse, which may have a refrain."""
    max_repeated_span: int = bounded(ge=8)
    """Longest sequence of words that may occur twice in a response in prose."""
    min_compression: float = bounded(ge=0, le=1)
    """Lowest compressed size of a response over its size (zlib, level 6)."""
    max_foreign: float = bounded(ge=0, le=1)
    """Largest share of a response, without quotations and code, in another script than the rest."""
    max_foreign_run: int = bounded(ge=0)
    """Most consecutive words of a line in another script than the rest of the response, without
    quotations and code."""
    min_paragraph_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of their 3-word sequences from which on a paragraph says another one again."""
    max_prompt_copy: int = bounded(ge=8)
    """Longest sequence of the prompt's words that may stand in a response."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of their 3-word sequences from which on two texts are near duplicates."""
    max_length: int | None = bounded(gt=0)
    """Most tokens of a row, with the chat template, as SFT counts them; null: no limit."""
    min_quality: float | None = bounded(ge=0, le=100)
    """Lowest quality score S_q of a row that has one (`quality_score`); null: no limit."""
    judge: JudgeSettings | None
    """Grades the rows without a quality score that pass all else, if min_quality is set, and answers
    ask_judge; ${judge}: the run's judge; null: it is asked nothing."""
    ask_judge: list[str]
    """Rules whose fault the judge is asked about, too, of each draft that passes all rules: soft_refusal,
    outline, self_judgement; []: only the rules' own patterns."""
    plan: bool
    """Put a draft's plan before its text in the training row, between <plan> and </plan>. The rules,
    `pairs` and the benchmark count the text only."""
    relabel: Relabel
    """Which training rows state the length that their text has in place of the one that was asked for."""
    chat_mix: ChatMixSettings
    validation_rows: int = bounded(ge=0)
    """Kept drafts that go to validation.jsonl instead of train.jsonl; at most a quarter of them."""
    length_bins: list[int]
    """Lower edges, in words, of the length bins in the metrics and the card."""
    licenses: dict[str, str]
    """Source → licence (its SPDX name if it has one) in the card; `default` is for other sources."""
