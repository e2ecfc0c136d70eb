"""Keeps instructions of the benchmark, and of SFT, out of the preference pairs."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")

_NOT_LETTERS = re.compile(r"[\W\d_]+")


def same_request(prompt: str) -> str:
    """What two prompts share that ask for the same text: their letters, without case, digits,
    spaces and marks. So a request stays itself where it only asks for another length."""
    return _NOT_LETTERS.sub("", prompt.casefold())


def keep_apart(
    rows: Iterable[T], prompt: Callable[[T], str], others: Mapping[str, Iterable[str]]
) -> tuple[list[T], dict[str, int]]:
    """The rows whose prompt asks for nothing that `others` ask for, and how many were dropped.

    Args:
        prompt: the prompt of a row.
        others: name of a set, as `the benchmark` → its prompts.

    Returns:
        Rows in their order; name → number of rows dropped, each under the first name that has it.
    """
    known = {name: set(map(same_request, prompts)) for name, prompts in others.items()}
    kept, dropped = [], Counter[str]()
    for row in rows:
        request = same_request(prompt(row))
        found = next((name for name, requests in known.items() if request in requests), None)
        if found is None:
            kept.append(row)
        else:
            dropped[found] += 1
    return kept, dict(dropped)
