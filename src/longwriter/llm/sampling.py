"""Sampling a call until an answer is usable."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from longwriter.core.errors import Aborted, BadCompletion, Moderated
from longwriter.llm.answers import Completion

T = TypeVar("T")

_QUICKLY_READ = 50_000
"""Characters of an answer that are read within milliseconds; longer ones would hold up all other calls."""

ATTEMPTS = 3
"""Samples of an answer of which only the ending matters: of a benchmark, a candidate, a grade."""

STRIDE = 1000
"""Between the samples of such an answer, larger than the number of answers to one prompt."""


async def first_usable(
    ask: Callable[[int], Awaitable[Completion]],
    read: Callable[[Completion], T],
    attempts: int,
    what: str,
) -> T:
    """Returns what `read` makes of the first sample that it accepts.

    Args:
        ask: makes the call for a sample's index, from 0.
        read: raises BadCompletion, with the reason, where an answer cannot be used.
        attempts: most samples.
        what: what is sampled, such as `plan`, for the error.

    Raises:
        BadCompletion, Aborted: no sample was usable; the class and the message are the last one's.
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
        ask: makes the call for a sample's index.
        sample: index of the answer.

    Raises:
        Moderated, Aborted: all were; CallError: a call failed for good.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return await ask(sample + STRIDE * attempt)
        except (Moderated, Aborted):
            pass
    return await ask(sample + STRIDE * (ATTEMPTS - 1))
