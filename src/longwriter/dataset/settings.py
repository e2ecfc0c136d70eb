"""Settings of the filter."""

from dataclasses import dataclass

from longwriter.bounds import bounded
from longwriter.evaluation.settings import JudgeSettings


@dataclass(kw_only=True)
class GeneralSettings:
    """Chat rows that are mixed in, so that short requests stay short."""

    path: str | None
    """JSON Lines or parquet of `messages` rows, or a data set of the Hugging Face hub; null: what
    stage `general` wrote, where it is there."""
    revision: str | None
    """Commit or tag of a hub data set."""
    number: int | None = bounded(ge=0)
    """Most rows that are mixed in, chosen by hash; null: all, or what `ratio` says."""
    ratio: float | None = bounded(ge=0)
    """General rows for each kept draft; the smaller of `number` and this counts."""
    rules: list[str]
    """Rules that a general row must pass, in their order."""


@dataclass(kw_only=True)
class FilterSettings:
    """What is filtered, the rules with their thresholds, and what is mixed in."""

    drafts: str | None
    """Drafts, or `messages` rows such as LongWriter-6k's: JSON Lines, parquet, or a data set of the
    Hugging Face hub; null: data/agentwrite/drafts.jsonl."""
    revision: str | None
    """Commit or tag of a hub data set."""
    tokenizer: str | None
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
    max_overlap: float = bounded(gt=0, le=1)
    """Share of a benchmark prompt's 3-word sequences in an instruction from which on it is the
    benchmark's."""
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
    benchmarks: list[str]
    """Files of benchmark prompts that no instruction may hold. What is not there is not checked, and
    the card says so."""
    general: GeneralSettings
    held_out: int = bounded(ge=0)
    """Kept drafts that go to heldout.jsonl instead of train.jsonl; a quarter of them at most."""
    length_bins: list[int]
    """Lower edges of the bins of words in metrics and card."""
    licenses: dict[str, str]
    """Source → licence (SPDX where it has one) in the card; `default` stands for other sources."""


@dataclass(kw_only=True)
class ShortSettings:
    """Stage `general`: short own requests, answered by the teacher."""

    instructions: str | None
    """Requests; null: data/instructions_short.jsonl."""
    limit: int | None = bounded(gt=0)
    """Requests that are answered, the first of the file; null: all."""
    max_words: int = bounded(gt=0)
    """Most words of an answer."""
    max_tokens: int = bounded(gt=0)
    """Most tokens of an answer; one that does not end within them is sampled again."""
    attempts: int = bounded(gt=0)
    """Samples of an answer before the request counts as failed."""
