"""Builds chat requests: what is asked, in the form that the server expects."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from longwriter.core.errors import ServerError, SettingsError
from longwriter.llm.settings import ServerKind, ServerSettings, Structured
from longwriter.text.control_tokens import defused

Messages = list[dict[str, str]]

SHAPES_NOTHING = {
    "service_tier",
    "user",
    "metadata",
    "store",
    "prompt_cache_key",
    "safety_identifier",
}
"""Fields of `extra_body` that affect price or accounting but not answers: not in cache keys."""

_LENGTHS = {
    *("minLength", "maxLength", "pattern", "format", "default", "minimum", "maximum", "multipleOf"),
    *("exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems"),
}
"""JSON schema keywords that servers with strict schemas refuse."""

_SECRET = re.compile(
    r"(?:^|[-_.])(?:x?api)?[-_]?(?:key|token|secret|password|passwd|authorization|auth|cookie|"
    r"credentials?|signature|sig)$",
    re.IGNORECASE,
)
"""Matches names of headers and fields that hold a key."""


@dataclass(frozen=True)
class Asked:
    """What a call asks for, whichever server answers."""

    messages: Messages
    max_tokens: int
    """Most tokens of the answer, not counting its thinking."""
    temperature: float | None
    seed: int
    schema: Mapping[str, Any] | None = None
    stop: Sequence[str] = ()
    sample: int = 0


@dataclass(frozen=True)
class Extras:
    """The `extra_*` settings, with keys filled in from the environment."""

    body: dict[str, Any]
    headers: dict[str, str]
    query: dict[str, str]
    secrets: list[tuple[str, str]] = field(repr=False)
    """(secret, the environment variable that it came from)."""


def shape(asked: Asked, settings: ServerSettings, model: str) -> dict[str, Any]:
    """Returns everything that determines an answer, in OpenAI's terms, for the cache's key."""
    shaped: dict[str, Any] = {
        "model": model,
        "messages": asked.messages,
        "max_tokens": asked.max_tokens + settings.reasoning_tokens,
        "temperature": asked.temperature,
        "top_p": settings.top_p,
        "seed": asked.seed,
    }
    shaped = {name: value for name, value in shaped.items() if value is not None}
    if asked.stop and settings.stop:
        shaped["stop"] = list(asked.stop)
    schema = asked.schema
    if schema is None:
        return shaped
    if settings.kind is ServerKind.endpoint:
        schema = _portable(schema)
    match settings.structured:
        case Structured.json_schema:
            shaped["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
            return shaped
        case Structured.json_object:
            shaped["response_format"] = {"type": "json_object"}
        case Structured.text:
            pass
    last = asked.messages[-1]
    form = f"Answer with one JSON object and nothing else. Its schema: {json.dumps(schema)}"
    shaped["messages"] = [
        *asked.messages[:-1],
        last | {"content": f"{last['content']}\n\n{form}"},
    ]
    return shaped


def _portable(schema: Any) -> Any:
    """Returns a JSON schema without the keywords that strict servers refuse.

    The constraints that they express are checked when the answer is read.
    """
    if isinstance(schema, Mapping):
        names = schema.get("properties")
        return {
            key: {name: _portable(value) for name, value in names.items()}
            if key == "properties" and isinstance(names, Mapping)
            else _portable(value)
            for key, value in schema.items()
            if key not in _LENGTHS
        }
    return [_portable(value) for value in schema] if isinstance(schema, list) else schema


def cache_shape(shaped: Mapping[str, Any], settings: ServerSettings) -> dict[str, Any]:
    """Returns the shape with the extra fields that may affect the answer; API keys by name only."""
    body = {k: v for k, v in settings.extra_body.items() if k not in SHAPES_NOTHING}
    extras = {"body": body, "headers": settings.extra_headers, "query": settings.extra_query}
    given = {name: value for name, value in extras.items() if value}
    return {**shaped, **({"extra": given} if given else {})}


def wire(shaped: Mapping[str, Any], settings: ServerSettings, extras: Extras) -> dict[str, Any]:
    """Returns the request's body in the form that its server expects."""
    body = dict(shaped)
    if settings.kind is ServerKind.llama_cpp:  # it would obey control tokens in a message
        body["messages"] = [
            message | {"content": defused(message["content"])} for message in body["messages"]
        ]
    body[settings.max_tokens_field] = body.pop("max_tokens")
    seed = body.pop("seed")
    if settings.seed:
        body[settings.seed] = seed
    if settings.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body | extras.body


def extras_of(settings: ServerSettings, name: str) -> Extras:
    """Returns the `extra_*` settings, with each `$NAME` replaced by the environment variable NAME.

    Args:
        name: of the server in the settings, such as `teacher`.

    Raises:
        SettingsError: a field whose name says that it holds a key has one in plain text.
        ServerError: an environment variable is not set.
    """
    secrets: list[tuple[str, str]] = []

    def filled(value: Any, where: str) -> Any:
        if isinstance(value, Mapping):
            return {key: filled(inner, f"{where}.{key}") for key, inner in value.items()}
        if isinstance(value, list):
            return [filled(inner, where) for inner in value]
        if not isinstance(value, str):
            return value
        found = re.fullmatch(r"((?:Bearer |Basic )?)\$(\w+)", value)
        if found:
            secret = os.environ.get(found[2], "")
            if not secret:
                raise ServerError(
                    f"the environment variable {found[2]}, named by {where}, is not set"
                )
            secrets.append((secret, found[2]))
            return found[1] + secret
        if _SECRET.search(where.rpartition(".")[2]):
            raise SettingsError(
                f"{where}: holds a key in plain text, which would reach files and MLflow; put the "
                "key into an environment variable, say MY_KEY, and set the value to $MY_KEY"
            )
        return value

    body, headers, query = (
        filled(getattr(settings, field), f"{name}.{field}")
        for field in ("extra_body", "extra_headers", "extra_query")
    )
    return Extras(body, headers, query, secrets)


def prompt_bytes(messages: Messages) -> int:
    """Returns the UTF-8 bytes of a prompt, plus 16 per message.

    A quarter of that is a fair estimate of its tokens, in English and in Chinese; half is more than
    any tokenizer in use produces for natural text.
    """
    return sum(len(message["content"].encode()) + 16 for message in messages)
