"""Runs many calls at the same time: order, progress, failures."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from longwriter.core.errors import CallError
from longwriter.core.progress import progress

S = TypeVar("S")
T = TypeVar("T")


async def together(jobs: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Returns the results of `jobs` in their order.

    The first error cancels the remaining jobs and is raised unchanged.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def all_at_once(jobs: Sequence[Coroutine[Any, Any, T]], what: str) -> list[T]:
    """Returns the results of `jobs` in their order; the client limits how many run at a time.

    A bar shows the rate and the time left (see `progress`). Errors are handled as in `together`.
    """
    with progress(what, total=len(jobs)) as bar:

        async def counted(job: Coroutine[Any, Any, T]) -> T:
            result = await job
            bar.update()
            return result

        return await together([counted(job) for job in jobs])


async def each(
    items: Sequence[S], work: Callable[[S], Coroutine[Any, Any, None]], at_once: int, what: str
) -> None:
    """Runs `work` on every item, started in their order, `at_once` of them at a time.

    Waiting items have no coroutine yet: a hundred thousand of them would take too much memory.
    A bar shows the rate and the time left (see `progress`). Errors are handled as in `together`.
    """
    rest = iter(items)
    with progress(what, total=len(items)) as bar:

        async def one_after_the_other() -> None:
            for item in rest:
                await work(item)
                bar.update()

        await together([one_after_the_other() for _ in range(min(at_once, len(items)))])


async def all_or_none(jobs: Sequence[Coroutine[Any, Any, T]], what: str) -> list[T]:
    """Runs jobs as `all_at_once` does, but a job that fails with CallError cancels no other.

    All are tried before the error is raised, so another run repeats only those that failed.

    Raises:
        CallError: a job failed; the error's class is that of the first failure.
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
            f"{type(first).__name__}: {first}. Finished calls are kept: rerunning the same command "
            "makes only the missing calls."
        )
    return [result for result in results if not isinstance(result, CallError)]
