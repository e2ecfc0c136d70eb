"""Asks the judge for the quality scores of rows (`filter.judge`)."""

from collections.abc import Iterable
from itertools import islice

from longwriter.core.rows import Prediction, TrainingRow
from longwriter.evaluation.judge import JudgePrompt, judge, quality_score
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_or_none

_AT_ONCE = 1000
"""Rows that are in memory at a time."""


async def grade(
    client: ChatClient, rows: Iterable[TrainingRow], prompt: JudgePrompt, repeats: int
) -> list[float | None]:
    """Returns S_q of each row, 0 to 100; None if the judge's answer has no grades.

    Args:
        prompt: how the judge is asked.
        repeats: times that each row is graded.

    Raises:
        TransientError: the server failed for a while; finished calls are kept.
        ServerError: every call would fail.
    """
    scores: list[float | None] = []
    rest = iter(rows)
    while batch := list(islice(rest, _AT_ONCE)):
        jobs = [judge(client, _prediction(row), prompt, repeats) for row in batch]
        scores += [
            quality_score(judgement.scores) if judgement.scores else None
            for judgement in await all_or_none(jobs, "grades")
        ]
    return scores


def _prediction(row: TrainingRow) -> Prediction:
    return Prediction(
        prompt="\n\n".join(m.content for m in row.messages if m.role == "user"),
        type=row.type,
        length=row.length or row.response_length or 1,
        response=row.messages[-1].content,
        response_length=row.response_length or 0,
    )
