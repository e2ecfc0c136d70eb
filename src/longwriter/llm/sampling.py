"""Sampling a call until an answer is usable."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from longwriter.core.errors import BadCompletion
from longwriter.llm.client import Completion

T = TypeVar("T")


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
        BadCompletion: no sample was usable; the message holds the last one's reason.
        CallError: a call failed for good.
    """
    reason = ""
    for sample in range(attempts):
        completion = await ask(sample)
        try:
            return read(completion)
        except BadCompletion as error:
            reason = str(error)
    raise BadCompletion(f"no usable {what} in {attempts} samples; the last: {reason}")
