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
    """Instructions of each language, chosen at random; null: all."""
    screen_with_teacher: int | None = bounded(ge=1)
    """Use only instructions that need more than so many words in the teacher's opinion, which takes a
    call for each instruction; null: don't ask it."""


@dataclass(kw_only=True)
class AgentWriteSettings:
    """How instructions become drafts."""

    seed: int
    """Seed of the choice of instructions and of the teacher's samples."""
    instructions: str = names_file()
    """JSON Lines file; parquet file, or folder of such; or Hugging Face data set (`org/name`).
    Relative to the checkout, or absolute."""
    revision: str | None
    """Commit or tag of the Hugging Face data set."""
    prompts: dict[str, str] = names_file()  # noqa: RUF009  (a field, not a value)
    """Language → YAML file of the agent's sentences."""
    select: SelectSettings
    limit: int | None = bounded(ge=1)
    """Use the first `limit` of the instructions that are selected; null: all."""
    words_per_page: float | None = bounded(gt=0)
    """Words that a page stands for where a prompt asks for pages; null: it states no length."""
    words_per_minute: float | None = bounded(gt=0)
    """Words that a minute of speech stands for; null: it states no length."""
    words_per_character: float | None = bounded(gt=0)
    """Words that a character stands for; null: it states no length."""
    step_words: int = bounded(ge=10)
    """Words of a paragraph to aim for: a plan for x words has about x / step_words steps."""
    min_step_words: int = bounded(ge=1)
    """Smallest budget of a step, in words (the paper: 200)."""
    max_step_words: int = bounded(ge=1)
    """Largest budget of a step, in words (the paper: 1,000)."""
    max_steps: int = bounded(ge=1)
    """Most steps a plan may have (the paper: 50)."""
    max_point_characters: int = bounded(ge=20)
    """Longest main point that a JSON-schema plan may hold, in characters."""
    tokens_per_word: float = bounded(gt=0)
    """Tokens that a word may take: a step may use budget × tokens_per_word × slack tokens."""
    slack: float = bounded(ge=1)
    """How far a paragraph may run past its budget before it counts as cut off."""
    stop: list[str]
    """Strings that end a step: a blank line where a step is one paragraph, none where it may be
    several."""
    min_step_share: float = bounded(ge=0, le=1)
    """A paragraph below this share of its budget is sampled again. One above it that is still short is
    made up for by later ones."""
    min_text_share: float = bounded(ge=0, le=1)
    """A last paragraph that leaves the text below this share of the plan is sampled again."""
    max_step_repetition: float = bounded(ge=0, le=1)
    """A paragraph is sampled again if more than this share of its 8-word sequences is in the text
    already."""
    attempts: int = bounded(ge=1)
    """Samples of a plan or of a paragraph before the draft is a failure."""
    parallel: bool
    """Write all paragraphs of a text at the same time, without sight of each other: faster, less
    coherent."""
    shards: int = bounded(ge=1)
    """Processes that write, of a teacher that is up: for more calls a second than one processor core can make."""
    max_failed: float = bounded(ge=0, le=1)
    """Share of the drafts that may fail; above it the stage stops and writes nothing."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the stage may cost, over all runs with the same settings. Texts that it does not
    reach for are recorded as failures. null: no limit."""
    dry_run: bool
    """Print the calls, tokens, cost and time to expect, and make no call."""
    dry_run_tokens_per_s: float = bounded(gt=0)
    """Tokens a second at which the teacher writes one answer, for the time that a dry run prints."""


@dataclass(kw_only=True)
class ShortAnswersSettings:
    """Stage `short_answers`: short own requests, answered by the teacher."""

    seed: int
    """Seed of the teacher's samples."""
    instructions: str = names_file()
    """Requests as JSON Lines; relative to the checkout, or absolute."""
    limit: int | None = bounded(gt=0)
    """Answer the first `limit` requests of the file; null: all."""
    max_words: int = bounded(gt=0)
    """Most words of an answer."""
    max_tokens: int = bounded(gt=0)
    """Most tokens of an answer; one that is cut off by them is sampled again."""
    attempts: int = bounded(gt=0)
    """Samples of an answer before the request is a failure."""
    max_failed: float = bounded(ge=0, le=1)
    """Share of the requests that may fail; above it the stage stops and writes nothing."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the stage may cost, over all runs with the same settings; null: no limit."""
