"""The typed rows that stages pass to each other as JSON Lines."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from longwriter.core.errors import DataError

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


def _as_text(value: Any) -> Any:
    plain = isinstance(value, int | float | Decimal | UUID) and not isinstance(value, bool)
    return str(value) if plain else "" if value is None else value


Label = Annotated[str, BeforeValidator(_as_text)]
"""Text such as an id, type or source. Other people's files may hold numbers or null instead."""


class Record(BaseModel):
    """A row. Fields that its class does not declare are kept and written back."""

    model_config = ConfigDict(extra="allow")


R = TypeVar("R", bound=Record)


class Message(Record):
    role: Literal["system", "user", "assistant"]
    content: Text


class Instruction(Record):
    """A request for a text. `length` is the number of words that it asks for."""

    prompt: Text
    id: Label = ""
    length: Annotated[int, Field(gt=0)] | None = None
    language: Literal["en", "zh"] = "en"
    type: Label = ""
    source: Label = ""

    @model_validator(mode="after")
    def _derive_id(self) -> Self:
        if not self.id:
            self.id = hashlib.sha256(self.prompt.encode()).hexdigest()[:12]
        return self


class Step(Record):
    """One paragraph of a plan; `word_count` is its budget in words."""

    main_point: Text
    word_count: Annotated[int, Field(gt=0)]


class Usage(Record):
    """Counts of calls and tokens, including answers from the cache."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    """Part of `prompt_tokens` that the server took from its prefix cache."""
    completion_tokens: int = 0
    thinking_tokens: int = 0
    """Part of `completion_tokens` that the model spent thinking before it answered."""
    cost_usd: float = 0.0
    """In US dollars, at the prices in conf/."""


class Draft(Instruction):
    plan: list[Step]
    paragraphs: list[Text]
    response: Text
    response_length: int
    writer: Label = ""
    """Name of the teacher's model."""
    hidden_words: int = 0
    """Largest number of words of the text so far that were hidden from a step, because the context
    was too small or the teacher copied what it saw."""
    usage: Usage


class Failure(Record):
    id: str
    prompt: str
    step: str
    """`select`, `plan`, or `write N` with N counted from 1."""
    error: str
    detail: str
    attempts: int


class TrainingRow(Record):
    messages: Annotated[list[Message], Field(min_length=2)]
    id: Label
    source: Label = ""
    length: int | None = None
    response_length: int | None = None
    language: str = ""
    type: Label = ""
    writer: Label = ""
    """The model that wrote the answer, if known."""
    tokens: int | None = None
    """Tokens of the whole chat in the student's tokenizer, if the filter counted them."""

    @model_validator(mode="after")
    def _ends_with_the_target(self) -> Self:
        if self.messages[-1].role != "assistant":
            raise ValueError("the last message must be the assistant's")
        return self


class PackedRow(Record):
    """Where a training row was packed. A row that was skipped has no pack and 0 epochs."""

    id: str
    pack: int | None
    position: int | None
    """Position of its first token in the pack."""
    tokens: int
    epochs: float


class RejectedRow(Record):
    id: str
    rule: str
    detail: str


class Pair(Record):
    """A preference pair in TRL's format.

    Scores, samples, seeds and `checkpoint` record how it was made; pairs from a chat data set have
    none of them.
    """

    prompt: Annotated[list[Message], Field(min_length=1)]
    chosen: Annotated[list[Message], Field(min_length=1)]
    rejected: Annotated[list[Message], Field(min_length=1)]
    id: Label
    source: Label = ""
    length: int | None = None
    """Words that the instruction asks for."""
    chosen_score: float | None = None
    rejected_score: float | None = None
    chosen_sample: int | None = None
    rejected_sample: int | None = None
    chosen_seed: int | None = None
    rejected_seed: int | None = None
    chosen_length: int | None = None
    rejected_length: int | None = None
    rejected_cut: bool = False
    """Whether the rejected answer was cut off, so that its turn has no end token."""
    checkpoint: str = ""
    """SHA-256 of the weights that wrote both answers."""


class Candidate(Record):
    """One sample of the SFT model's answer.

    If it could not be scored, `score` is null and `unscored` says why. Components of the score with
    weight 0 are null.
    """

    id: str
    prompt: str
    length: int | None
    sample: int
    seed: int = 0
    """The seed that was sent to the server."""
    response: str
    response_length: int
    finish_reason: str
    length_score: float | None = None
    quality_score: float | None = None
    repetition: float | None = None
    """Share of 8-grams that repeat an earlier one."""
    score: float | None = None
    unscored: str | None = None


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdigit() else value


class BenchmarkPrompt(Record):
    """A row of LongBench-Write or a benchmark with the same fields. `type` only groups scores."""

    prompt: Text
    type: Label = ""
    length: Annotated[int, Field(gt=0), BeforeValidator(_as_number)]


class Prediction(BenchmarkPrompt):
    """A row as in the paper's pred.jsonl.

    An empty response is allowed; its S_l and S_q are 0. If the model gave no answer, a field
    `unanswered` says why.
    """

    response: str
    response_length: int = -1
    finish_reason: str = ""


class Judgement(Prediction):
    """A prediction with `scores` (six dimensions, 1 to 5) or `unscored` (why it has none)."""

    length_score: float
    scores: dict[str, int | float] | None = None
    """With several repeats, the means over the usable ones."""
    unscored: str | None = None
    repeats: list[dict[str, int] | str] = []
    """With several repeats, the grades of each, or the reason why it has none."""
    second: "SecondOpinion | None" = None


class SecondOpinion(Record):
    """A second judge's grades of the same text."""

    scores: dict[str, int | float] | None = None
    unscored: str | None = None


def check_ids(rows: Iterable[Instruction]) -> None:
    """Checks that the ids of instructions are unique.

    Raises:
        DataError: two instructions share an id.
    """
    twice = [name for name, number in Counter(row.id for row in rows).items() if number > 1]
    if twice:
        raise DataError(f"instructions: id {twice[0]!r} occurs twice; ids must be unique")
