"""Short requests, answered by the teacher in one call each (stage `general`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longwriter.chat.calls import all_at_once
from longwriter.chat.client import ChatClient
from longwriter.dataset.settings import ShortSettings
from longwriter.errors import BadCompletion, CallError
from longwriter.records import Failure, Instruction, Message, TrainingRow
from longwriter.text import count_words, refusal_in


@dataclass(frozen=True)
class Answers:
    """Answered requests, and those that were not, in the order of the requests."""

    rows: list[TrainingRow]
    failures: list[Failure]

    def describe(self) -> dict[str, Any]:
        """Counts for metrics/general.json."""
        return {
            "requests": len(self.rows) + len(self.failures),
            "answered": len(self.rows),
            "failures": len(self.failures),
            "failures_by_error": dict(Counter(failure.error for failure in self.failures)),
            "words": sum(row.response_length or 0 for row in self.rows),
        }


async def answer(
    client: ChatClient, requests: Sequence[Instruction], settings: ShortSettings
) -> Answers:
    """Answers every request.

    Raises:
        ServerError: every call would fail; finished calls are kept.
    """
    done = await all_at_once([_answer(client, row, settings) for row in requests], "answers")
    return Answers(
        [row for row in done if isinstance(row, TrainingRow)],
        [row for row in done if isinstance(row, Failure)],
    )


async def _answer(
    client: ChatClient, request: Instruction, settings: ShortSettings
) -> TrainingRow | Failure:
    """The first sample that ends by itself, is short enough and does not refuse."""
    user = {"role": "user", "content": request.prompt}
    sample, fault = 0, ""
    try:
        for sample in range(settings.attempts):
            completion = await client.complete(
                [user], max_tokens=settings.max_tokens, sample=sample
            )
            text = completion.text.strip()
            fault = _fault(text, completion.finish_reason, settings)
            if not fault:
                return TrainingRow(
                    messages=[
                        Message(role="user", content=request.prompt),
                        Message(role="assistant", content=text),
                    ],
                    id=request.id,
                    source=request.source or "own",
                    response_length=count_words(text),
                    language=request.language,
                    type=request.type,
                )
        raise BadCompletion(fault)
    except CallError as error:
        return Failure(
            id=request.id,
            prompt=request.prompt,
            step="answer",
            error=type(error).__name__,
            detail=str(error),
            attempts=sample + 1,
        )


def _fault(text: str, finish_reason: str, settings: ShortSettings) -> str:
    if finish_reason == "length":
        return f"does not end within {settings.max_tokens} tokens"
    words = count_words(text)
    if not 0 < words <= settings.max_words:
        return f"{words} words; 1 to {settings.max_words} are wanted"
    refused = refusal_in(text)
    return f"refuses: {refused!r}" if refused else ""
