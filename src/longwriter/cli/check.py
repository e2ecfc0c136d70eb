"""`longwriter check`: finds out which request settings a server accepts.

It sends the same small question that stages send before they spend money.
"""

import asyncio
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

from longwriter.config.load import compose
from longwriter.config.schema import Settings
from longwriter.core.errors import BadRequest, CallError, ServerError
from longwriter.core.tables import Table, markdown
from longwriter.llm.check import QUESTION, TOKENS
from longwriter.llm.client import ChatClient
from longwriter.llm.faults import REFUSABLE
from longwriter.llm.prices import priced, table_name
from longwriter.llm.servers import serve
from longwriter.llm.settings import ServerKind, ServerSettings, Structured

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string"}},
    "required": ["colour"],
    "additionalProperties": False,
}

STOP = ["\n\n"]

MOST_QUESTIONS = 8

_WITHOUT: dict[str, dict[str, Any]] = {
    "temperature": {"temperature": None},
    "top_p": {"top_p": None},
    "seed": {"seed": None},
    "stop": {"stop": False},
    "stream": {"stream": True},
}
"""Refused setting → the changes to retry with."""


def check(arguments: Namespace) -> None:
    """Asks the server that the command line names, and prints which settings it accepts.

    Raises:
        ServerError: the server refuses a setting, or does not answer.
    """
    settings = compose(Settings, arguments.overrides)
    name = arguments.server
    server = settings.student.server if name == "student.server" else getattr(settings, name)
    if server.kind is not ServerKind.endpoint:
        print(f"{name}: a stage serves {server.model} itself ({server.kind.value}); nothing to ask")
        return
    check_server(server, name)


def check_server(settings: ServerSettings, name: str) -> None:
    """Asks a server, retries without what it refuses, and prints which settings it accepts.

    Raises:
        ServerError: the server refuses a setting, or does not answer.
    """
    used, refused = priced(settings), dict[str, str]()
    for _ in range(MOST_QUESTIONS):
        begun = time.monotonic()
        try:
            told, model = asyncio.run(_asked(used, name))
            break
        except BadRequest as error:
            changes = _changes(used, error.field)
            if error.field is None or changes is None:
                raise ServerError(f"{name}: {error}") from None
            refused[REFUSABLE[error.field][0]] = str(error).partition("; set ")[0]
            used = replace(used, **changes)
        except CallError as error:
            raise ServerError(f"{name}: {type(error).__name__}: {error}") from None
    else:
        raise ServerError(
            f"{name}: refuses {', '.join(refused)}, and still rejects every request without them"
        )
    seconds = time.monotonic() - begun
    advice = {
        setting: f"{name}.{setting}={_value(getattr(used, setting))}"
        for setting in refused
        if getattr(used, setting) != getattr(settings, setting)
    }
    rows = [["address", ", ".join(settings.base_urls)], ["model", model], *_sent(settings, advice)]
    rows += [["usage", told], ["seconds", f"{seconds:.1f}"], ["price", _price(settings, used)]]
    print(markdown(Table(["", name], rows)))
    if advice:
        said = "\n".join(f"  {setting}: {words}" for setting, words in refused.items())
        raise ServerError(f"{name}: set {' '.join(advice.values())}. The server said:\n{said}")


async def _asked(settings: ServerSettings, name: str) -> tuple[str, str]:
    """Returns the usage that the server reports, and the name of the model that answered."""
    with tempfile.TemporaryDirectory() as folder, serve(settings) as address:
        async with ChatClient.open(settings, address, Path(folder), 0, name=name) as client:
            try:
                await client.complete(
                    QUESTION,
                    max_tokens=min(TOKENS, settings.max_tokens),
                    schema=None if settings.structured is Structured.text else SCHEMA,
                    stop=STOP,
                    chained=True,
                )
                broken = ""
            except CallError as error:
                if not client.usage.calls:
                    raise
                broken = f"; the answer: {error}"  # e.g. cut off while thinking: request accepted
            usage = client.usage
            reported = (
                f"{usage.prompt_tokens} prompt tokens, {usage.completion_tokens} completion tokens, "
                f"{usage.thinking_tokens} of them thinking"
                if usage.prompt_tokens
                else "none, so max_cost cannot be enforced"
            )
            return reported + broken, client.answered_by or str(settings.model)


def _changes(settings: ServerSettings, field: str | None) -> dict[str, Any] | None:
    """Returns the changes to retry with after a request field was refused; None if none is left."""
    setting = REFUSABLE[field][0] if field else None
    if setting == "structured":
        following = {
            Structured.json_schema: Structured.json_object,
            Structured.json_object: Structured.text,
        }
        form = following.get(settings.structured)
        return {"structured": form} if form else None
    if setting == "max_tokens_field":
        other = {"max_tokens": "max_completion_tokens"}.get(settings.max_tokens_field, "max_tokens")
        return {"max_tokens_field": other}
    changes = _WITHOUT.get(setting or "")
    same = changes and all(getattr(settings, key) == value for key, value in changes.items())
    return None if same else changes


def _sent(settings: ServerSettings, advice: dict[str, str]) -> Sequence[list[str]]:
    """Returns a row for each request setting: what is sent, and whether it is accepted.

    Args:
        advice: refused setting → the override that fixes it.
    """
    sent = {
        "max_tokens_field": settings.max_tokens_field,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
        "stop": settings.stop,
        "stream": settings.stream,
        "structured": settings.structured.value,
        "extra_body": settings.extra_body or None,
    }
    return [
        [key, f"refused: set {advice[key]}" if key in advice else _shown(value)]
        for key, value in sent.items()
    ]


def _value(value: object) -> str:
    """Formats a setting's value for Hydra's command line."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value.value) if isinstance(value, Enum) else str(value)


def _shown(value: object) -> str:
    return "not sent" if value is None or value is False else f"{value}: taken"


def _price(given: ServerSettings, used: ServerSettings) -> str:
    if used.price_prompt is None or used.price_completion is None:
        return "unknown: set price_prompt and price_completion"
    source = f", {table_name()}" if given.price_prompt is None else ", by the settings"
    return (
        f"${used.price_prompt:g} a million prompt tokens, ${used.price_completion:g} a million "
        f"completion tokens{source}"
    )
