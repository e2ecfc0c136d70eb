"""Has the judge assign quality scores to rows (`filter.judge`)."""

from collections.abc import Callable, Coroutine, Iterable
from itertools import islice
from typing import Any, TypeVar

from longwriter.core.rows import Prediction, TrainingRow
from longwriter.evaluation.judge import JudgePrompt, judge, quality_score
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_or_none

_AT_ONCE = 1000
"""Rows held in memory at a time."""


T = TypeVar("T")


async def asked_of_each(
    rows: Iterable[TrainingRow], ask: Callable[[TrainingRow], Coroutine[Any, Any, T]], what: str
) -> list[T]:
    """Returns the result of `ask` for each row, with only some rows in memory at a time.

    Args:
        what: what is asked for, such as `grades`; labels the progress bar and errors.

    Raises:
        TransientError: the server failed temporarily; finished calls are kept.
        ServerError: every call would fail.
    """
    found: list[T] = []
    rest = iter(rows)
    while batch := list(islice(rest, _AT_ONCE)):
        found += await all_or_none([ask(row) for row in batch], what)
    return found


async def grade(
    client: ChatClient, rows: Iterable[TrainingRow], prompt: JudgePrompt, repeats: int
) -> list[float | None]:
    """Returns S_q of each row, 0 to 100; None if the judge's answer has no grades.

    Args:
        prompt: how the judge is asked.
        repeats: how often each row is graded.

    Raises: as `asked_of_each`.
    """
    judgements = await asked_of_each(
        rows, lambda row: judge(client, _prediction(row), prompt, repeats), "grades"
    )
    return [quality_score(found.scores) if found.scores else None for found in judgements]


def _prediction(row: TrainingRow) -> Prediction:
    return Prediction(
        prompt="\n\n".join(m.content for m in row.messages if m.role == "user"),
        type=row.type,
        length=row.length or row.response_length or 1,
        response=row.messages[-1].content,
        response_length=row.response_length or 0,
    )
