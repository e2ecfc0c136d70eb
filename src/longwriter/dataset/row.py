"""A row as the rules see it, whatever file it comes from, and what they say of it."""

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
"""Bytes of a line. The longest text of LongWriter-6k has 200 kB: a longer line is no row."""

Record = dict[str, Any]


@dataclass
class Row:
    """One conversation. The last message is the response that is trained on."""

    id: str
    messages: list[dict[str, str]]
    length: int | None
    """Words that the instruction asks for; None: it doesn't say."""
    language: str
    """`en` or `zh`: that of the instruction."""
    source: str
    type: str
    record: Record = field(repr=False)
    """The row as it was read."""
    tokens: int | None = None
    """Of the whole chat by the student's tokenizer; None: there is none."""
    plan: str = ""
    """What SFT reads before the response; the rules read the response only."""
    stripped: dict[str, str] = field(default_factory=dict)
    """Rule → words that were taken off the response."""

    @classmethod
    def read(cls, line: bytes, where: str, source: str) -> Self:
        """Reads a line: a draft (`prompt`, `response`), a chat (`messages`) as in LongWriter-6k, or
        ShareGPT's `conversations` or Alpaca's `instruction`, `input` and `output`.

        Args:
            where: file and line, for the error.
            source: where the row comes from, if it doesn't say.

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
        """The text that the rules are about."""
        return self.messages[-1]["content"]

    @cached_property
    def prompt(self) -> str:
        """All messages of the user."""
        return "\n\n".join(m["content"] for m in self.messages if m["role"] == "user")

    @cached_property
    def plain(self) -> str:
        """The response in simplified characters, without long runs of white space."""
        return squeezed(simplified(self.response))

    @cached_property
    def asked(self) -> str:
        """The prompt likewise."""
        return squeezed(simplified(self.prompt))

    @cached_property
    def hashes(self) -> Hashes:
        """Of the response's tokens."""
        return hashes(tokens(self.response))

    @cached_property
    def words(self) -> int:
        """Words of the response, as the paper counts them."""
        return count_words(self.response)

    @property
    def merit(self) -> float:
        """What the better of two near duplicates has more of: the quality score if the row has one, and S_l,
        0 to 200."""
        score = self.record.get("quality_score")
        quality = float(score) if isinstance(score, int | float) else 0.0
        return quality + (length_score(self.length, self.words) if self.length else 0.0)

    @property
    def trained(self) -> list[dict[str, str]]:
        """The messages as SFT reads them."""
        return [*self.messages[:-1], {"role": "assistant", "content": self.plan + self.response}]

    def strip(self, rule: str, text: str, words: str) -> None:
        """Makes `text` the response, because `rule` took `words` off; before anything is counted."""
        self.stripped[rule] = words
        self.messages[-1]["content"] = text

    def training_row(self) -> TrainingRow:
        """Returns the row of train.jsonl."""
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
    """A row and what the rules say of it. Of a malformed row only its place and the reason are known."""

    id: str
    reason: tuple[str, str] | None
    """(rule, detail) of the first rule that rejects it."""
    line: bytes
    """The row as JSON: its record if it is rejected, else what SFT reads, and its beginnings in further lines."""
    record: bytes
    """The row as it was read; empty if it is malformed."""
    words: int
    language: str
    stripped: tuple[str, ...] = ()
    """Rules whose finding was taken off."""
    merit: float = 0.0
    fingerprint: bytes = b""
    """Of the response; rows with the same one are duplicates."""
    signatures: tuple[Signature, Signature] | None = None
    """MinHashes of prompt and response, if near duplicates are looked for."""


def _messages(record: Record, where: str) -> list[dict[str, str]]:
    """The checked messages: an optional system message, then user and assistant in turn."""
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
            f"{where}: the roles are {', '.join(roles) or 'none'}; an optional system message, then "
            "user and assistant in turn are needed, the assistant last"
        )
    return messages


_SHAREGPT = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "bing": "assistant"}


def _from_sharegpt(turn: Any) -> Any:
    """A turn of a ShareGPT conversation as a message."""
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
        raise DataError(f"{where}: the {role}'s content is empty or no text")
    return {"role": role, "content": content}


def _digest(messages: list[dict[str, str]]) -> str:
    text = json.dumps(messages, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
