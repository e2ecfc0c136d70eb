"""Settings of AgentWrite."""

from dataclasses import dataclass
from enum import StrEnum

from longwriter.core.settings import bounded, names_file


class Language(StrEnum):
    """Languages that AgentWrite can write in."""

    en = "en"
    zh = "zh"


@dataclass(kw_only=True)
class SelectSettings:
    """Which instructions are used. Toxic and redacted ones, requests to scrape data or to repeat
    something, and duplicates are always left out."""

    languages: list[Language]
    min_characters: int | None = bounded(ge=1)
    """Shortest prompt, in characters; null: any that is not blank."""
    max_characters: int | None = bounded(ge=1)
    """Longest prompt, in characters; null: any."""
    per_language: int | None = bounded(ge=1)
    """Instructions to choose at random for each language; null: all."""
    screen_with_teacher: int | None = bounded(ge=1)
    """Use only instructions that need more than this many words in the teacher's opinion, which
    takes one call per instruction; null: don't ask the teacher."""


@dataclass(kw_only=True)
class AgentWriteSettings:
    """How instructions become drafts."""

    seed: int
    """Seed for choosing instructions and for the teacher's samples."""
    instructions: str = names_file()
    """A JSON Lines file, a parquet file or folder of parquet files, or a Hugging Face data set
    (`org/name`). Paths are relative to the checkout, or absolute."""
    revision: str | None
    """Commit or tag of the Hugging Face data set."""
    prompts: dict[str, str] = names_file()  # noqa: RUF009  (a field, not a value)
    """Language → YAML file of the agent's prompt templates."""
    select: SelectSettings
    limit: int | None = bounded(ge=1)
    """Use the first `limit` of the selected instructions; null: all."""
    words_per_page: float | None = bounded(gt=0)
    """Words per page, for prompts that ask for pages; null: such a prompt states no length."""
    words_per_minute: float | None = bounded(gt=0)
    """Words per minute of speech; null: a prompt that asks for minutes states no length."""
    words_per_character: float | None = bounded(gt=0)
    """Words per character; null: a prompt that asks for characters states no length."""
    step_words: int = bounded(ge=10)
    """Target length of a paragraph, in words: a plan for x words has about x / step_words steps."""
    min_step_words: int = bounded(ge=1)
    """Smallest budget of a step, in words (the paper: 200)."""
    max_step_words: int = bounded(ge=1)
    """Largest budget of a step, in words (the paper: 1,000)."""
    max_steps: int = bounded(ge=1)
    """Most steps a plan may have (the paper: 50)."""
    max_point_characters: int = bounded(ge=20)
    """Longest main point that a plan in JSON may have, in characters."""
    tokens_per_word: float = bounded(gt=0)
    """Tokens allowed per word: a step may use budget × tokens_per_word × slack tokens."""
    slack: float = bounded(ge=1)
    """Factor by which a paragraph may exceed its budget before it is cut off."""
    stop: list[str]
    """Stop strings of a step: a blank line if a step is to be one paragraph, none if it may be
    several."""
    min_step_share: float = bounded(ge=0, le=1)
    """A paragraph below this share of its budget is sampled again. Later paragraphs make up for
    smaller shortfalls."""
    min_text_share: float = bounded(ge=0, le=1)
    """The last paragraph is sampled again if the text stays below this share of its plan."""
    max_step_repetition: float = bounded(ge=0, le=1)
    """A paragraph is sampled again if more than this share of its 8-grams repeat the text."""
    attempts: int = bounded(ge=1)
    """Samples of a plan or of a paragraph before the draft counts as failed."""
    parallel: bool
    """Write all paragraphs of a text at the same time, none seeing the others: faster, but less
    coherent."""
    shards: int = bounded(ge=1)
    """Processes that write drafts, for more calls per second than one CPU core can make. Several
    need a teacher that is already running (`teacher.kind=endpoint`)."""
    max_failed: float = bounded(ge=0, le=1)
    """Share of the drafts that may fail; above it the stage stops and writes nothing."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the stage may cost, over all runs with the same settings. Texts that
    could exceed it are recorded as failures. null: no limit."""
    dry_run: bool
    """Print the expected calls, tokens, cost and time without making a call."""
    dry_run_tokens_per_s: float = bounded(gt=0)
    """Tokens per second of one answer of the teacher, for the time estimate of a dry run."""


@dataclass(kw_only=True)
class ShortAnswersSettings:
    """Stage `short_answers`: the teacher answers short requests of our own."""

    seed: int
    """Seed of the teacher's samples."""
    instructions: str = names_file()
    """Requests as JSON Lines; relative to the checkout, or absolute."""
    limit: int | None = bounded(gt=0)
    """Answer the first `limit` requests of the file; null: all."""
    max_words: int = bounded(gt=0)
    """Most words of an answer."""
    max_tokens: int = bounded(gt=0)
    """Most tokens of an answer; one that is cut off there is sampled again."""
    attempts: int = bounded(gt=0)
    """Samples of an answer before the request counts as failed."""
    max_failed: float = bounded(ge=0, le=1)
    """Share of the requests that may fail; above it the stage stops and writes nothing."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the stage may cost, over all runs with the same settings; null: no limit."""
