"""Settings of the filter."""

from dataclasses import dataclass

from longwriter.core.settings import bounded, names_file
from longwriter.evaluation.settings import JudgeSettings


@dataclass(kw_only=True)
class ChatMixSettings:
    """Chat rows that are mixed in, so that short requests stay short."""

    path: str | None = names_file()
    """JSON Lines or parquet of `messages` rows, or a data set of the Hugging Face hub; null: what
    stage `short_answers` wrote, where it is there."""
    revision: str | None
    """Commit or tag of a hub data set."""
    number: int | None = bounded(ge=0)
    """Most rows that are mixed in, chosen by hash; null: all, or what `ratio` says."""
    ratio: float | None = bounded(ge=0)
    """Chat rows for each kept draft; the smaller of `number` and this counts."""
    rules: list[str]
    """Rules that a chat row must pass, in their order."""


@dataclass(kw_only=True)
class FilterSettings:
    """What is filtered, the rules with their thresholds, and what is mixed in."""

    seed: int
    """Chooses the validation rows and the chat rows that are mixed in."""
    drafts: str | None = names_file()
    """Drafts, or `messages` rows such as LongWriter-6k's: JSON Lines, parquet, or a data set of the
    Hugging Face hub; null: data/agentwrite/drafts.jsonl."""
    revision: str | None
    """Commit or tag of a hub data set."""
    tokenizer: str | None = names_file()
    """Folder of the checkpoint whose tokens are counted; null: models/base, where it is there."""
    rules: list[str]
    """Rules that a draft must pass, in their order; one that is not named is off. Those that compare
    rows with each other (duplicate, near_duplicate) come last."""
    min_words: int = bounded(ge=0)
    """Fewest words of a response."""
    max_words: int | None = bounded(gt=0)
    """Most words of a response; null: no limit."""
    min_length_score: float = bounded(ge=0, le=100)
    """Lowest S_l of a response against the length that its instruction states."""
    max_repetition: float = bounded(ge=0, le=1)
    """Largest share of 8-word sequences of a response that stood in it before."""
    max_copied: float = bounded(ge=0, le=1)
    """Largest share of a response's sentences that are copies of an earlier one in it."""
    max_verse_repetition: float = bounded(ge=0, le=1)
    """The same two shares where the response is verse, which may have a refrain."""
    max_repeated_span: int = bounded(ge=8)
    """Longest sequence of words of prose that may stand in it twice."""
    min_compression: float = bounded(ge=0, le=1)
    """Lowest compressed size of a response over its size (zlib, level 6)."""
    max_foreign: float = bounded(ge=0, le=1)
    """Largest share of a response, quotations and code apart, in another script than it is asked in."""
    max_foreign_run: int = bounded(ge=0)
    """Most words in a row, to the end of the line, in another script than the rest of the response;
    quotations and code apart."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of 3-word sequences from which on two texts are near duplicates."""
    max_length: int | None = bounded(gt=0)
    """Most tokens of a row, chat template included, as SFT counts them; null: no limit."""
    min_quality: float | None = bounded(ge=0, le=100)
    """Lowest quality score S_q of a row that carries one (`quality_score`); null: no limit."""
    judge: JudgeSettings | None
    """Grades the rows that carry no quality and pass all else; ${judge}: the run's judge; null:
    nobody."""
    plan: bool
    """A draft's plan stands before its text in the training row, between <plan> and </plan>. Rules,
    `pairs` and the benchmark count the text alone."""
    chat_mix: ChatMixSettings
    validation_rows: int = bounded(ge=0)
    """Kept drafts that go to validation.jsonl instead of train.jsonl; a quarter of them at most."""
    length_bins: list[int]
    """Lower edges of the bins of words in metrics and card."""
    licenses: dict[str, str]
    """Source → licence (SPDX where it has one) in the card; `default` stands for other sources."""
