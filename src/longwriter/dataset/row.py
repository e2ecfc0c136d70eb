"""A row to judge, whatever file it comes from, and how its line is read."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from pydantic import ValidationError

from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Message, TrainingRow
from longwriter.core.sources import parse_line
from longwriter.text.lengths import length_in
from longwriter.text.spelled_lengths import plain_lengths
from longwriter.text.words import count_words, language

LARGEST_ROW = 10_000_000
"""Bytes of a line. The longest text of LongWriter-6k has 200 kB: a longer row is no row."""


Record = dict[str, Any]


@dataclass
class Row:
    """One conversation and what the rules ask about it. The last message is the target."""

    id: str
    messages: list[dict[str, str]]
    length: int | None
    """Words that the instruction asks for; None: it does not say."""
    language: str
    """`en` or `zh`: that of the instruction."""
    source: str
    type: str
    record: Record = field(repr=False)
    """The row as it was read."""
    tokens: int | None = None
    """Of the whole chat by the student's tokenizer; None: there is none."""
    plan: str = ""
    """What SFT reads before the response; rules read the response alone."""

    @classmethod
    def read(cls, line: bytes, where: str, source: str) -> Self:
        """Reads a line: a draft (`prompt`, `response`) or a chat (`messages`), as LongWriter-6k has.

        Args:
            where: file and line, for the error.
            source: where a row comes from that does not say so.

        Raises:
            DataError: it is neither, is too large, or is not UTF-8 or JSON.
        """
        if len(line) > LARGEST_ROW:
            raise DataError(
                f"{where}: {len(line) / 1e6:.1f} MB; a row has {LARGEST_ROW / 1e6:.0f} MB at most"
            )
        record = parse_line(line, where)
        if not isinstance(record, dict):
            raise DataError(f"{where}: a JSON object is needed, not {type(record).__name__}")
        messages = _messages(record, where)
        prompt = "\n\n".join(m["content"] for m in messages if m["role"] == "user")
        if any("\ufffd" in message["content"] for message in messages):
            raise DataError(f"{where}: holds U+FFFD, where a character was lost")
        given = {key: record.get(key) for key in ("id", "length", "type", "source")}
        try:
            checked = Instruction(
                prompt=prompt, **{key: value for key, value in given.items() if value is not None}
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{where}: {first['loc'][0]}: {first['msg']}") from None
        return cls(
            id=checked.id if given["id"] else _digest(messages),
            messages=messages,
            length=checked.length or length_in(plain_lengths(messages[-2]["content"])),
            language=record.get("language") or language(prompt),
            source=checked.source or source,
            type=checked.type,
            record=record,
        )

    @property
    def response(self) -> str:
        return self.messages[-1]["content"]

    @cached_property
    def prompt(self) -> str:
        """All that the user says."""
        return "\n\n".join(m["content"] for m in self.messages if m["role"] == "user")

    @cached_property
    def words(self) -> int:
        """Of the response, as the paper counts them."""
        return count_words(self.response)

    @property
    def trained(self) -> list[dict[str, str]]:
        """The messages as SFT reads them."""
        return [*self.messages[:-1], {"role": "assistant", "content": self.plan + self.response}]

    def training_row(self) -> TrainingRow:
        """The row as SFT reads it."""
        return TrainingRow(
            messages=[Message.model_validate(message) for message in self.trained],
            id=self.id,
            source=self.source,
            length=self.length,
            response_length=self.words,
            language=self.language,
            type=self.type,
            tokens=self.tokens,
        )


def _messages(record: Record, where: str) -> list[dict[str, str]]:
    """The checked messages: perhaps a system message, then user and assistant by turns."""
    if "messages" in record:
        given = record["messages"]
    elif "prompt" in record and "response" in record:
        given = [
            {"role": "user", "content": record["prompt"]},
            {"role": "assistant", "content": record["response"]},
        ]
    else:
        raise DataError(f"{where}: needs `messages`, or `prompt` and `response`")
    if not isinstance(given, list):
        raise DataError(f"{where}: messages: a list is needed")
    messages = [_message(message, f"{where}: message {n}") for n, message in enumerate(given, 1)]
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        raise DataError(
            f"{where}: the roles are {', '.join(roles) or 'none'}; perhaps system, then user and "
            "assistant by turns, the assistant last"
        )
    return messages


def _message(message: Any, where: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise DataError(f"{where}: an object with `role` and `content` is needed")
    role, content = message.get("role"), message.get("content")
    if role not in ("system", "user", "assistant"):
        raise DataError(f"{where}: the role is {role!r}; system, user or assistant is needed")
    if not isinstance(content, str) or not content.strip():
        raise DataError(f"{where}: the {role}'s content is empty or no text")
    return {"role": role, "content": content}


def _digest(messages: list[dict[str, str]]) -> str:
    text = json.dumps(messages, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
