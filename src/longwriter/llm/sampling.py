"""Samples a call until an answer is usable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from longwriter.core.errors import Aborted, BadCompletion, Moderated
from longwriter.llm.answers import Completion

T = TypeVar("T")

_QUICKLY_READ = 50_000
"""Longest answer, in characters, that is parsed on the event loop, which takes milliseconds.

Longer ones would hold up all other calls, so they are parsed in a thread."""

ATTEMPTS = 3
"""Samples tried where only how the answer ended matters: benchmark answers, candidates, grades."""

STRIDE = 1000
"""Offset between the sample indices of such tries; exceeds the number of answers to one prompt."""


async def first_usable(
    ask: Callable[[int], Awaitable[Completion]],
    read: Callable[[Completion], T],
    attempts: int,
    what: str,
) -> T:
    """Returns the result of `read` for the first sample that it accepts.

    Args:
        ask: makes the call for a sample index, counted from 0.
        read: raises BadCompletion, with the reason, if an answer cannot be used.
        attempts: maximum number of samples.
        what: what is sampled, such as `plan`, for the error message.

    Raises:
        BadCompletion, Aborted: no sample was usable; the error's class is the last one's, and its
            message quotes it.
        CallError: a call failed for good.
    """
    last: BadCompletion | Aborted = BadCompletion("")
    for sample in range(attempts):
        try:
            completion = await ask(sample)
            if len(completion.text) > _QUICKLY_READ:
                return await asyncio.to_thread(read, completion)
            return read(completion)
        except (BadCompletion, Aborted) as error:
            last = error
    raise type(last)(f"no usable {what} in {attempts} samples; the last: {last}")


async def first_ended(ask: Callable[[int], Awaitable[Completion]], sample: int) -> Completion:
    """Returns the first answer to a prompt that the server did not break off.

    Args:
        ask: makes the call for a sample index.
        sample: index of the answer.

    Raises:
        Moderated, Aborted: all ATTEMPTS answers were broken off.
        CallError: a call failed for good.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return await ask(sample + STRIDE * attempt)
        except (Moderated, Aborted):
            pass
    return await ask(sample + STRIDE * (ATTEMPTS - 1))
