"""Many calls to one model at the same time: the server that they need, progress, failures."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from longwriter.core.errors import CallError, SettingsError
from longwriter.core.files import locate
from longwriter.llm.cache import call_key
from longwriter.llm.check import Parameters, ask_first
from longwriter.llm.client import ChatClient, Spending
from longwriter.llm.prices import priced
from longwriter.llm.servers import serve
from longwriter.llm.settings import Address, ServerKind, ServerSettings

T = TypeVar("T")


async def together(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of `jobs` in their order. The first error cancels the jobs that are left and is
    raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def all_at_once(jobs: Sequence[Coroutine[Any, Any, T]], what: str) -> list[T]:
    """The results of `jobs` in their order; the client limits how many run at a time.

    On a terminal a bar shows rate and time left. Errors as in `together`.
    """
    with tqdm(total=len(jobs), desc=what, unit="", disable=None) as bar:

        async def counted(job: Coroutine[Any, Any, T]) -> T:
            result = await job
            bar.update()
            return result

        return await together([counted(job) for job in jobs])


async def all_or_none(jobs: Sequence[Coroutine[Any, Any, T]], what: str) -> list[T]:
    """`all_at_once`, but a job that fails with CallError cancels no other. All are tried before the
    error is raised, so another run repeats only those that failed.

    Raises:
        CallError: a job failed. Its class is that of the first failure.
        ServerError: every call would fail; finished calls are kept.
    """

    async def tried(job: Coroutine[Any, Any, T]) -> T | CallError:
        try:
            return await job
        except CallError as error:
            return error

    results = await all_at_once([tried(job) for job in jobs], what)
    failures = [result for result in results if isinstance(result, CallError)]
    if failures:
        first = failures[0]
        raise type(first)(
            f"{len(failures)} of {len(results)} calls of {what} failed; the first: "
            f"{type(first).__name__}: {first}. Finished calls are kept: the same command asks for "
            "the missing ones only."
        )
    return [result for result in results if not isinstance(result, CallError)]


@dataclass(frozen=True)
class CallContext:
    """What all calls of a stage to one model have in common."""

    cache: Path
    """Folder of finished calls."""
    seed: int
    """Shifts the seed that is sent with every call, so another one gives other samples."""
    threads: int | None
    """Of an embedded server; None: every core."""
    spending: Spending = field(default_factory=Spending)
    parameters: Parameters = field(default_factory=Parameters)
    """What its calls send beyond messages and settings, for the question that goes before them."""


def spending(max_cost: float | None, stage: str, *what: Any) -> Spending:
    """The money of a stage: runs that do the same share it, whatever `max_cost` each has.

    Args:
        what: groups of settings, names and numbers that say what the stage does.
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
    """Serves the model that `settings` name (or `checkpoint`), runs `work` on it and ends the server.

    Args:
        name: of the server in the settings, such as `teacher`.
        checkpoint, version: as for `serve`.

    Returns:
        What `work` returned, and the calls, tokens and US dollars it took (`ChatClient.spent`).

    Raises:
        SettingsError: there is a limit of cost, and no price.
    """
    settings = priced(settings)
    if calls.spending.max_cost is not None and not settings.cost(1, 0, 1):
        raise SettingsError(
            f"max_cost={calls.spending.max_cost:g}: {name}.model={settings.model} has no price here, so "
            f"no limit could hold; set {name}.price_prompt and {name}.price_completion (US dollars a "
            "million tokens), or max_cost=null"
        )

    async def open_and_work(address: Address) -> tuple[T, dict[str, float]]:
        own = settings.kind is ServerKind.llama_cpp
        check = None if own else partial(ask_first, parameters=calls.parameters)
        async with ChatClient.open(
            settings, address, calls.cache, calls.seed, calls.spending, name, check
        ) as client:
            return await work(client), client.spent

    checkpoint = checkpoint or _embedded(settings, calls.cache)
    # Around the event loop: inside, a Ctrl-C would wait until the server has started.
    with serve(settings, checkpoint=checkpoint, threads=calls.threads, version=version) as address:
        return asyncio.run(open_and_work(address))


def _embedded(settings: ServerSettings, cache: Path) -> Path | None:
    if settings.kind is ServerKind.llama_cpp and settings.model:
        from longwriter.llm.gguf import requantised  # numpy, for this kind only

        return requantised(locate(settings.model), cache)
    return None
