"""Reads chat completions: the text that counts, how it ended, the tokens it used.

Only an answer that ended by itself, or at max_tokens, counts. Thinking is not part of its text.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from longwriter.core.errors import Aborted, Moderated, StillThinking
from longwriter.text.thinking import split_thinking

ENDED = {
    "",
    "stop",
    "end_turn",
    "eos",
    "eos_token",
    "end",
    "complete",
    "completed",
    "stop_sequence",
}
"""Finish reasons of an answer that ended by itself; some servers give none."""

CUT_OFF = {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "model_length"}
"""Finish reasons of an answer that max_tokens or the context cut off."""

MODERATED = {
    *("content_filter", "content_filtered", "sensitive", "safety", "recitation", "refusal"),
    *("prohibited_content", "blocklist", "spii", "guardrail_intervened", "moderation"),
}
"""Finish reasons of an answer that the provider broke off for its content."""

_KNOWN = ENDED | CUT_OFF | MODERATED


@dataclass(frozen=True)
class Reply:
    """An answer as received, which is what the cache stores."""

    text: str
    """Includes the thinking that some servers leave in it."""
    finish_reason: str
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int = 0
    """Those of the completion tokens that are thinking, as counted by the server.

    If it sends the thinking beside the text without a count, they are estimated from the thinking's
    share of the characters."""
    refusal: str = ""
    """The model's refusal to answer, if the server has a field for it."""
    model: str = ""
    """Which model answered, by the server's own name."""
    fingerprint: str = ""
    """Fingerprint of the server's configuration, as the server reports it."""
    price: float = 1.0
    """Price of the call, as a share of the usual one."""

    @property
    def reason(self) -> str:
        """`finish_reason` in lower case."""
        return self.finish_reason.lower()

    @property
    def aborted(self) -> bool:
        """Whether the server broke it off for a reason other than max_tokens or its content."""
        return self.reason not in _KNOWN


@dataclass(frozen=True)
class Completion:
    """A model's answer. Token counts are the server's."""

    text: str
    """Without thinking."""
    finish_reason: str
    """`stop` if the model ended it, `length` if max_tokens cut it off."""
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    """Includes thinking tokens."""
    thinking_tokens: int = 0


def read_reply(reply: Reply, cut_at: Sequence[str] = ()) -> Completion:
    """Converts a reply to a completion.

    Args:
        cut_at: stop strings that were not sent to the server: the text is cut before the first.

    Raises:
        StillThinking: the answer was cut off before its thinking ended.
        Moderated: the provider broke it off for its content, or the model refused in the server's
            field for refusals.
        Aborted: the server broke it off.
    """
    reason = reply.reason
    thinking, text, unclosed = split_thinking(reply.text)
    thought = reply.thinking_tokens or _share(thinking, reply.text, reply.completion_tokens)
    if reason in MODERATED or reply.refusal:
        said = f": {reply.refusal!r:.200}" if reply.refusal else ""
        raise Moderated(f"finish_reason {reply.finish_reason!r} after {len(text)} characters{said}")
    if reply.aborted:
        raise Aborted(
            f"the server broke the answer off: finish_reason {reply.finish_reason!r:.40} after "
            f"{len(text)} characters"
        )
    if unclosed or (reason in CUT_OFF and not text.strip()):
        raise StillThinking(
            f"cut off while thinking, after {reply.completion_tokens} tokens; raise "
            "reasoning_tokens of its server"
            + (", or, where a stop string ended it, set stop=false" if reason in ENDED else "")
        )
    ends = [place for place in map(text.find, cut_at) if place >= 0]
    return Completion(
        text=text[: min(ends)] if ends else text,
        finish_reason="length" if reason in CUT_OFF and not ends else "stop",
        prompt_tokens=reply.prompt_tokens,
        cached_prompt_tokens=reply.cached_prompt_tokens,
        completion_tokens=reply.completion_tokens,
        thinking_tokens=thought,
    )


class _Message(BaseModel):
    content: Any = None
    reasoning_content: str | None = None
    reasoning: Any = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Details(BaseModel):
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


class _Counts(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


class _Body(BaseModel):
    choices: list[_Choice]
    usage: _Counts | None = None
    model: str | None = None
    system_fingerprint: str | None = None


def reply_in(body: bytes) -> Reply | None:
    """Returns the reply in the body of a chat completion; None if the body is not one."""
    try:
        return _reply(_Body.model_validate_json(body))
    except ValidationError:
        return None


def _reply(body: _Body) -> Reply | None:
    if not body.choices:
        return None
    choice, usage = body.choices[0], body.usage or _Counts()
    text, thinking = _parts(choice.message.content)
    thinking += choice.message.reasoning_content or str(choice.message.reasoning or "")
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    tokens = usage.completion_tokens or 0
    return Reply(
        text=text,
        finish_reason=choice.finish_reason or "",
        prompt_tokens=usage.prompt_tokens or 0,
        cached_prompt_tokens=(prompt and prompt.cached_tokens) or 0,
        completion_tokens=tokens,
        thinking_tokens=(completion and completion.reasoning_tokens)
        or _share(thinking, thinking + text, tokens),
        refusal=choice.message.refusal or "",
        model=body.model or "",
        fingerprint=body.system_fingerprint or "",
    )


def _parts(content: Any) -> tuple[str, str]:
    """Returns the text and thinking in a message's content: a string, or a list of parts."""
    if not isinstance(content, list):
        return str(content or ""), ""
    text: list[str] = []
    thinking: list[str] = []
    for part in content:
        if isinstance(part, str):
            text.append(part)
        elif isinstance(part, dict) and part.get("type", "text") in ("text", "output_text"):
            text.append(str(part.get("text") or ""))
        elif isinstance(part, dict):
            thinking += _strings(part.get("thinking") or part.get("reasoning") or part.get("text"))
    return "".join(text), "".join(thinking)


def _strings(value: Any) -> Iterator[str]:
    """Yields the strings in a part's value: the value itself, or those of its nested parts."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part.get("text") if isinstance(part, dict) else part)


def _share(part: str, whole: str, tokens: int) -> int:
    """Estimates the tokens in part of a text from its share of the characters."""
    return round(tokens * len(part) / len(whole)) if part else 0


_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+')
"""The content between the quotes of a JSON string."""

_EVENT = re.compile(rb'(data:.*?"content": ?")' + _STRING.pattern + rb'(".*)')
"""An event that holds a piece of text; the groups are what precedes and what follows the text."""

_TOLD = ("usage", "model", "system_fingerprint")


def chunks_in(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects in the events of a stream."""
    for line in lines:
        with suppress(ValueError):
            value = from_json(line[5:]) if line.startswith(b"data:") else None
            if isinstance(value, dict):
                yield value


def body_of(stream: bytes) -> bytes | None:
    """Returns the body that the server would have sent without streaming.

    That is a chat completion, or the error that came in place of one or in the middle of it.

    Args:
        stream: everything that was sent. If no line begins with `data:`, it is the body itself: an
            error, or the answer of a server that doesn't stream.

    Returns:
        None if the stream broke off: it doesn't end with `[DONE]`, and no event gives a finish
        reason.
    """
    events = [line for line in stream.split(b"\n") if line.startswith(b"data:")]
    if not events:
        return stream
    told: dict[str, Any] = {}
    texts: list[str] = []
    thoughts: list[str] = []
    refusals: list[str] = []
    reason = ""
    for chunk in chunks_in(_joined(events)):
        if chunk.get("error"):
            return json.dumps({"error": chunk["error"]}).encode()
        told |= {name: chunk[name] for name in _TOLD if chunk.get(name)}
        choice = _choice_in(chunk)
        reason = choice.get("finish_reason") or reason
        delta = choice.get("delta") or choice.get("message") or {}
        text, thought = _parts(delta.get("content"))
        texts.append(text)
        thoughts += thought, delta.get("reasoning_content") or str(delta.get("reasoning") or "")
        refusals.append(delta.get("refusal") or "")
    if not reason and events[-1][5:].strip() != b"[DONE]":
        return None
    message = {
        "content": "".join(texts),
        "reasoning_content": "".join(thoughts),
        "refusal": "".join(refusals),
    }
    return json.dumps({**told, "choices": [{"message": message, "finish_reason": reason}]}).encode()


def _joined(events: list[bytes]) -> Iterator[bytes]:
    """Merges neighbouring events that differ only in their text.

    That leaves a few of thousands: parsing them all would take longer than the rest of a call.
    """
    typical = next(filter(None, map(_EVENT.fullmatch, events[len(events) // 2 :])), None)
    before, after = typical.groups() if typical else (b"-", b"-")
    start, end = len(before), -len(after)

    def alike(event: bytes) -> bool:
        return event.startswith(before) and event.endswith(after)

    for are_alike, neighbours in groupby(events, alike):
        run = list(neighbours)
        text = b"".join([event[start:end] for event in run]) if are_alike else b'"'
        if _STRING.fullmatch(text):
            yield before + text + after
        else:  # they differ otherwise, or hold more than text
            yield from run


def piece_in(chunk: dict[str, Any]) -> str:
    """Returns the text in a chunk of a stream."""
    return _parts((_choice_in(chunk).get("delta") or {}).get("content"))[0]


def _choice_in(chunk: dict[str, Any]) -> dict[str, Any]:
    choices = chunk.get("choices")
    return choices[0] if choices and isinstance(choices[0], dict) else {}


def json_object(text: str) -> dict[str, Any] | None:
    """Returns the JSON object from the first `{` to the last `}` of `text`; None without one."""
    start, end = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):  # numbers of thousands of digits, deep nesting
        return None
    return value if isinstance(value, dict) else None
