"""The typed rows that pass between stages, read and written as JSON Lines."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from longwriter.errors import DataError

Text = Annotated[str, Field(min_length=1, pattern=r"\S")]


class Record(BaseModel):
    """A row. Fields it does not name are kept and written back."""

    model_config = ConfigDict(extra="allow")


R = TypeVar("R", bound=Record)


class Message(Record):
    role: Literal["system", "user", "assistant"]
    content: Text


class Instruction(Record):
    """What someone wants written. `length` is the number of words it asks for."""

    prompt: Text
    id: str = ""
    length: Annotated[int, Field(gt=0)] | None = None
    language: Literal["en", "zh"] = "en"
    type: str = ""
    source: str = ""

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
    """Calls and tokens, those answered from the cache included."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    """Of `prompt_tokens`, those that the server took from its prefix cache."""
    completion_tokens: int = 0
    cost_usd: float = 0.0
    """US dollars, by the prices in conf/."""


class Draft(Instruction):
    plan: list[Step]
    paragraphs: list[Text]
    response: Text
    response_length: int
    unseen_words: int = 0
    """Most words of the text so far that a step did not see: the context was too small, or the teacher
    copied what it saw."""
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
    id: str
    source: str = ""
    length: int | None = None
    response_length: int | None = None
    language: str = ""
    type: str = ""
    tokens: int | None = None
    """Of the whole chat by the student's tokenizer, where the filter counted them."""

    @model_validator(mode="after")
    def _ends_with_the_target(self) -> Self:
        if self.messages[-1].role != "assistant":
            raise ValueError("the last message must be the assistant's")
        return self


class PackedRow(Record):
    """Where a training row was trained. A row that was skipped has no pack and 0 epochs."""

    id: str
    pack: int | None
    position: int | None
    """Of its first token in the pack."""
    tokens: int
    epochs: float


class RejectedRow(Record):
    id: str
    rule: str
    detail: str


class Pair(Record):
    """A preference in TRL's format. Scores, samples, seeds and `checkpoint` say how it came about;
    pairs of general chat have none."""

    prompt: Annotated[list[Message], Field(min_length=1)]
    chosen: Annotated[list[Message], Field(min_length=1)]
    rejected: Annotated[list[Message], Field(min_length=1)]
    id: str
    source: str = ""
    length: int | None = None
    """Words asked for."""
    chosen_score: float | None = None
    rejected_score: float | None = None
    chosen_sample: int | None = None
    rejected_sample: int | None = None
    chosen_seed: int | None = None
    rejected_seed: int | None = None
    chosen_length: int | None = None
    rejected_length: int | None = None
    checkpoint: str = ""
    """SHA-256 of the weights that wrote both answers."""


class Candidate(Record):
    """One sample of the SFT model's answer; `score` is null where it could not be scored, and
    `unscored` says why. Parts of the score that weigh nothing are null."""

    id: str
    prompt: str
    length: int | None
    sample: int
    seed: int = 0
    """As it was sent to the server."""
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
    """A row of LongBench-Write or of a benchmark with the same fields."""

    prompt: Text
    type: str
    length: Annotated[int, Field(gt=0), BeforeValidator(_as_number)]


class Prediction(BenchmarkPrompt):
    """As in the paper's pred.jsonl; an empty response is allowed and scores 0 in S_l and S_q."""

    response: str
    response_length: int = -1
    finish_reason: str = ""


class Judgement(Prediction):
    """A scored prediction. Either `scores` (six dimensions, 1 to 5) or `unscored` (the reason)."""

    length_score: float
    scores: dict[str, int | float] | None = None
    """Of several repeats the means of the usable ones."""
    unscored: str | None = None
    repeats: list[dict[str, int] | str] = []
    """Of more than one: the grades of each, or the reason why there are none."""
    second: "SecondOpinion | None" = None


class SecondOpinion(Record):
    """What a second judge says of the same text."""

    scores: dict[str, int | float] | None = None
    unscored: str | None = None


def read_jsonl(path: Path, kind: type[R]) -> list[R]:
    """Reads every row of `path` as `kind`.

    Raises:
        DataError: the file is missing or holds no row, or a line is not UTF-8, not JSON, or
            not a `kind`; the message names file and line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    rows = [
        _parse(line, kind, f"{path}:{number}")
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not rows:
        raise DataError(f"{path}: holds no row; one JSON object a line is needed")
    return rows


def stream_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Numbers and bytes of the lines of `path` that are not blank, one after the other: memory does
    not grow with the file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield number, line.rstrip(b"\r\n")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _parse(line: bytes, kind: type[R], where: str) -> R:
    return checked(parse_line(line, where), kind, where)


def parse_line(line: bytes, where: str) -> Any:
    """The JSON value of a line.

    Raises:
        DataError: it is not UTF-8, not JSON or nested too deeply; the message names `where`.
    """
    try:
        value = json.loads(line)
        if b"\\ud" in line.lower():  # an escape that UTF-8 may not be able to hold
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start} of the line)") from None
    except UnicodeEncodeError:
        raise DataError(f"{where}: holds half of a surrogate pair; mend the row") from None
    except RecursionError:
        raise DataError(f"{where}: is nested too deeply; mend the row") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except ValueError as error:  # a number of thousands of digits
        raise DataError(f"{where}: not JSON: {error}") from None
    return value


def checked(row: Any, kind: type[R], where: str) -> R:
    """`row` as `kind`.

    Raises:
        DataError: it is none; the message names `where` it stands and the field.
    """
    try:
        return kind.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "row"
        raise DataError(f"{where}: {key}: {first['msg']}; mend the row or remove it") from None


def check_ids(rows: Iterable[Instruction]) -> None:
    """Checks that no two instructions share an id.

    Raises:
        DataError: two do.
    """
    twice = [name for name, number in Counter(row.id for row in rows).items() if number > 1]
    if twice:
        raise DataError(f"instructions: id {twice[0]!r} stands twice; ids must differ")


def write_jsonl(path: Path, rows: Iterable[Record]) -> None:
    """Writes `rows` to `path`, whole or not at all."""
    with replacing(path) as (temporary,), temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row.model_dump(), ensure_ascii=False) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Yields a temporary path beside each of `paths`. What the block writes there, files or
    folders, takes their places when it ends well; else all of them are as they were."""
    temporaries = [path.with_name(f".{path.name}.tmp") for path in paths]
    for temporary in temporaries:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        _remove(temporary)  # a kill may have left it
    try:
        yield temporaries
        for temporary, path in zip(temporaries, paths, strict=True):
            if path.is_dir():
                _remove(path)  # a folder takes the place of an empty one only
            temporary.replace(path)
    finally:
        for temporary in temporaries:
            _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
