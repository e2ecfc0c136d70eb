"""Many calls to one model at the same time: the server that they need, progress, failures."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from longwriter.core.errors import CallError
from longwriter.core.files import locate
from longwriter.llm.client import ChatClient
from longwriter.llm.servers import serve
from longwriter.llm.settings import Address, ServerKind, ServerSettings

T = TypeVar("T")

GRACE_S = 5
"""Seconds that calls in flight have after Ctrl-C."""


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
    """What all calls of a stage have in common, whichever model they go to."""

    cache: Path
    """Folder of finished calls."""
    seed: int
    """Shifts the seed that is sent with every call, so another one gives other samples."""
    threads: int | None
    """Of an embedded server; None: every core."""
    max_cost: float | None = None
    """US dollars that all calls together may cost, those from the cache included; None: no limit."""


def with_client(
    work: Callable[[ChatClient], Awaitable[T]],
    settings: ServerSettings,
    calls: CallContext,
    *,
    checkpoint: Path | None = None,
    version: str = "",
) -> tuple[T, dict[str, float]]:
    """Serves the model that `settings` name (or `checkpoint`), runs `work` on it and ends the server.

    After Ctrl-C no new call is made, and those in flight, which are paid for, have GRACE_S seconds to
    finish and be kept; a second Ctrl-C ends at once.

    Args:
        checkpoint, version: as for `serve`.

    Returns:
        What `work` returned, and the calls, tokens and US dollars it took (`ChatClient.spent`).
    """

    async def open_and_work(address: Address) -> tuple[T, dict[str, float]]:
        async with ChatClient.open(
            settings, address, calls.cache, calls.seed, calls.max_cost
        ) as client:
            task = asyncio.ensure_future(work(client))
            try:
                return await asyncio.shield(task), client.spent
            except asyncio.CancelledError:
                print("\nstopping: calls in flight may end …", file=sys.stderr, flush=True)
                await client.rate_limiter.drain(GRACE_S)
                task.cancel()
                await asyncio.wait([task])
                raise

    checkpoint = checkpoint or _embedded(settings, calls.cache)
    # Around the event loop: inside, a Ctrl-C would wait until the server has started.
    with serve(settings, checkpoint=checkpoint, threads=calls.threads, version=version) as address:
        return asyncio.run(open_and_work(address))


def _embedded(settings: ServerSettings, cache: Path) -> Path | None:
    if settings.kind is ServerKind.llama_cpp and settings.model:
        from longwriter.llm.gguf import requantised  # numpy, for this kind only

        return requantised(locate(settings.model), cache)
    return None
