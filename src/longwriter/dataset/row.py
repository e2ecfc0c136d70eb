"""A row as the rules see it, whatever file format it comes from, and the rules' verdict on it."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from pydantic import ValidationError

from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Message, TrainingRow
from longwriter.core.sources import parse_line
from longwriter.text.chinese import simplified
from longwriter.text.demands import words_asked
from longwriter.text.lengths import length_score
from longwriter.text.markup import squeezed
from longwriter.text.minhash import Signature
from longwriter.text.similarity import Hashes, hashes
from longwriter.text.words import count_words, language, tokens

LARGEST_ROW = 10_000_000
"""Maximum bytes of a line; a longer one is malformed. LongWriter-6k's longest text has 200 kB."""

Record = dict[str, Any]


@dataclass
class Row:
    """One conversation, whose last message is the response to train on."""

    id: str
    messages: list[dict[str, str]]
    length: int | None
    """Number of words that the instruction asks for; None if it doesn't say."""
    language: str
    """Language of the instruction: `en` or `zh`."""
    source: str
    type: str
    record: Record = field(repr=False)
    """The row as it was read."""
    tokens: int | None = None
    """Tokens of the whole chat, by the student's tokenizer; None if they are not counted."""
    plan: str = ""
    """Plan that precedes the response in the training row; the rules see only the response."""
    stripped: dict[str, str] = field(default_factory=dict)
    """Rule → text that it stripped from the response."""

    @classmethod
    def read(cls, line: bytes, where: str, source: str) -> Self:
        """Parses a line in one of the supported formats.

        These are drafts (`prompt`, `response`), chats (`messages`) as in LongWriter-6k, ShareGPT
        (`conversations`) and Alpaca (`instruction`, `input`, `output`).

        Args:
            where: file and line, for error messages.
            source: where the row comes from, if it doesn't say.

        Raises:
            DataError: the line is too large, is not UTF-8 or JSON, or is not a valid row in one of
                these formats.
        """
        if len(line) > LARGEST_ROW:
            raise DataError(
                f"{where}: {len(line) / 1e6:.1f} MB; a row has {LARGEST_ROW / 1e6:.0f} MB at most"
            )
        record = parse_line(line, where)
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected a JSON object, got {type(record).__name__}")
        messages = _messages(record, where)
        prompt = "\n\n".join(m["content"] for m in messages if m["role"] == "user")
        if any("\ufffd" in message["content"] for message in messages):
            raise DataError(f"{where}: contains U+FFFD: a character was lost in decoding")
        given = {key: record.get(key) for key in ("id", "length", "type", "source")}
        try:
            checked = Instruction(
                prompt=prompt, **{key: value for key, value in given.items() if value is not None}
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{where}: {first['loc'][0]}: {first['msg']}") from None
        return cls(
            id=checked.id if given["id"] not in (None, "") else _digest(messages),
            messages=messages,
            length=checked.length or words_asked(messages[-2]["content"]),
            language=str(record.get("language") or language(prompt)),
            source=checked.source or source,
            type=checked.type,
            record=record,
        )

    @property
    def response(self) -> str:
        """The text that the rules check."""
        return self.messages[-1]["content"]

    @cached_property
    def prompt(self) -> str:
        """All user messages, joined by blank lines."""
        return "\n\n".join(m["content"] for m in self.messages if m["role"] == "user")

    @cached_property
    def plain(self) -> str:
        """The response in simplified characters, with long runs of white space shortened."""
        return squeezed(simplified(self.response))

    @cached_property
    def asked(self) -> str:
        """The prompt, normalised as in `plain`."""
        return squeezed(simplified(self.prompt))

    @cached_property
    def hashes(self) -> Hashes:
        """Hashes of the response's tokens."""
        return hashes(tokens(self.response))

    @cached_property
    def words(self) -> int:
        """Number of words in the response, counted as in the paper."""
        return count_words(self.response)

    @property
    def merit(self) -> float:
        """Score by which the better of two duplicates is kept, 0 to 200.

        The sum of the quality score and S_l, each 0 if the row has none.
        """
        score = self.record.get("quality_score")
        quality = float(score) if isinstance(score, int | float) else 0.0
        return quality + (length_score(self.length, self.words) if self.length else 0.0)

    @property
    def trained(self) -> list[dict[str, str]]:
        """The messages as SFT reads them."""
        return [*self.messages[:-1], {"role": "assistant", "content": self.plan + self.response}]

    def strip(self, rule: str, text: str, words: str) -> None:
        """Sets the response to `text` and records the `words` that `rule` stripped from it.

        Must be called before the properties of the response are read, since they are cached.
        """
        self.stripped[rule] = words
        self.messages[-1]["content"] = text

    def training_row(self) -> TrainingRow:
        """Returns the row as it is written to train.jsonl."""
        noted = {"stripped": self.stripped} if self.stripped else {}
        return TrainingRow(
            messages=[Message.model_validate(message) for message in self.trained],
            id=self.id,
            source=self.source,
            length=self.length,
            response_length=self.words,
            language=self.language,
            type=self.type,
            writer=str(self.record.get("writer") or ""),
            tokens=self.tokens,
            **noted,
        )


@dataclass(frozen=True)
class RowVerdict:
    """The rules' verdict on a row; the id of a malformed row is its file and row number."""

    id: str
    reason: tuple[str, str] | None
    """(rule, detail) of the first rule that rejects the row; None if it passes."""
    line: bytes
    """JSON: the record if the row is rejected, else the training row.

    Training rows made from beginnings of its text follow, one per line.
    """
    record: bytes
    """The row as it was read; `{}` if it could not be read as a JSON object."""
    words: int
    language: str
    stripped: tuple[str, ...] = ()
    """Rules that stripped something from the response."""
    merit: float = 0.0
    fingerprint: bytes = b""
    """Hash of the response; rows with the same one are duplicates."""
    signatures: tuple[Signature, Signature] | None = None
    """MinHashes of prompt and response; None if near duplicates are not checked."""


def _messages(record: Record, where: str) -> list[dict[str, str]]:
    """Returns the checked messages: an optional system message, then user and assistant in turn."""
    if "messages" in record:
        given = record["messages"]
    elif "prompt" in record and "response" in record:
        given = [
            {"role": "user", "content": record["prompt"]},
            {"role": "assistant", "content": record["response"]},
        ]
    elif isinstance(record.get("conversations"), list):
        given = [_from_sharegpt(turn) for turn in record["conversations"]]
    elif "instruction" in record and "output" in record:
        asked = "\n\n".join(str(record[key]) for key in ("instruction", "input") if record.get(key))
        given = [
            {"role": "user", "content": asked},
            {"role": "assistant", "content": record["output"]},
        ]
    else:
        raise DataError(
            f"{where}: needs `messages`, or `prompt` and `response`; it has "
            f"{', '.join(map(repr, list(record)[:8])) or 'no field'}"
        )
    if not isinstance(given, list):
        raise DataError(f"{where}: messages: a list is needed")
    messages = [_message(message, f"{where}: message {n}") for n, message in enumerate(given, 1)]
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        raise DataError(
            f"{where}: roles are {', '.join(roles) or 'none'}; expected an optional system "
            "message, then alternating user and assistant, ending with assistant"
        )
    return messages


_SHAREGPT = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant"}


def _from_sharegpt(turn: Any) -> Any:
    """Converts a turn of a ShareGPT conversation to a message."""
    if not isinstance(turn, dict) or "from" not in turn:
        return turn
    return {"role": _SHAREGPT.get(turn["from"], turn["from"]), "content": turn.get("value")}


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise DataError(f"{where}: an object with `role` and `content` is needed")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise DataError(f"{where}: the role is {role!r}; system, user or assistant is needed")
    if not isinstance(content, str) or not content.strip():
        raise DataError(f"{where}: the content of the {role} message is empty or not a string")
    return {"role": role, "content": content}


def _digest(messages: list[dict[str, str]]) -> str:
    text = json.dumps(messages, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
