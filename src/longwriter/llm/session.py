"""Runs work with a model: starts its server, opens a client and reports the cost."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from longwriter.core.errors import SettingsError
from longwriter.core.files import locate
from longwriter.llm.cache import call_key
from longwriter.llm.check import Parameters, ask_first
from longwriter.llm.client import ChatClient, Spending
from longwriter.llm.prices import priced, table_name
from longwriter.llm.servers import serve
from longwriter.llm.settings import Address, ServerKind, ServerSettings

T = TypeVar("T")


@dataclass(frozen=True)
class CallContext:
    """What all calls of a stage to one model have in common."""

    cache: Path
    """Folder of finished calls."""
    seed: int
    """Shifts the seed sent with every call; change it to get different samples."""
    threads: int | None
    """Threads of an embedded server; None: every core."""
    spending: Spending = field(default_factory=Spending)
    parameters: Parameters = field(default_factory=Parameters)
    """What the calls send in addition to messages and settings; the test request sends it too."""


def spending(max_cost: float | None, stage: str, *what: Any) -> Spending:
    """Returns the budget of a stage, shared by all runs that do the same work.

    Their `max_cost` may differ.

    Args:
        what: groups of settings, names and numbers that identify the work.
    """
    shapes = [
        {k: v for k, v in asdict(part).items() if k != "max_cost"}
        if is_dataclass(part) and not isinstance(part, type)
        else part
        for part in what
    ]
    return Spending(f"{stage} {call_key(what=shapes)}", max_cost)


def with_client(
    work: Callable[[ChatClient], Awaitable[T]],
    settings: ServerSettings,
    calls: CallContext,
    *,
    name: str,
    checkpoint: Path | None = None,
    version: str = "",
) -> tuple[T, dict[str, float]]:
    """Serves the model in `settings` (or `checkpoint`), runs `work` with it and ends the server.

    Args:
        name: of the server in the settings, such as `teacher`.
        checkpoint, version: as for `serve`.

    Returns:
        What `work` returned, and the calls, tokens and US dollars it took (`ChatClient.spent`).

    Raises:
        SettingsError: max_cost is set, but the model has no price.
    """
    given, settings = settings, priced(settings)
    if settings != given:
        print(
            f"{settings.model}: ${settings.price_prompt:g} a million prompt tokens, "
            f"${settings.price_completion:g} a million completion tokens ({table_name()})",
            file=sys.stderr,
        )
    if calls.spending.max_cost is not None and not settings.cost(1, 0, 1):
        raise SettingsError(
            f"max_cost={calls.spending.max_cost:g}: {name}.model={settings.model} has no price here, so "
            f"no limit could hold; set {name}.price_prompt and {name}.price_completion (US dollars a "
            "million tokens), or max_cost=null"
        )

    async def open_and_work(address: Address) -> tuple[T, dict[str, float]]:
        # Servers that we start accept what we send; and with transformers, the first call fixes how
        # all are sampled.
        own = settings.kind in (ServerKind.llama_cpp, ServerKind.transformers)
        check = None if own else partial(ask_first, parameters=calls.parameters)
        async with ChatClient.open(
            settings, address, calls.cache, calls.seed, calls.spending, name, check
        ) as client:
            return await work(client), client.spent

    checkpoint = checkpoint or _embedded(settings, calls.cache)
    # Outside the event loop: inside, a Ctrl-C would wait until the server has started.
    with serve(settings, checkpoint=checkpoint, threads=calls.threads, version=version) as address:
        return asyncio.run(open_and_work(address))


def _embedded(settings: ServerSettings, cache: Path) -> Path | None:
    if settings.kind is ServerKind.llama_cpp and settings.model:
        from longwriter.llm.gguf import requantised  # needs numpy, so for this kind only

        return requantised(locate(settings.model), cache)
    return None
