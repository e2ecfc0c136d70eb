"""Short requests that the teacher answers in one call each (stage `short_answers`)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longwriter.agentwrite.failures import check_failures, failures_by_side
from longwriter.agentwrite.settings import ShortAnswersSettings
from longwriter.core.errors import BadCompletion, CallError
from longwriter.core.rows import Failure, Instruction, Message, TrainingRow
from longwriter.llm.answers import Completion
from longwriter.llm.budget import Account
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_at_once
from longwriter.llm.sampling import first_usable
from longwriter.text.refusals import refusal_in
from longwriter.text.words import count_words


@dataclass(frozen=True)
class Answers:
    """Answers and failures, both in the order of the requests."""

    rows: list[TrainingRow]
    failures: list[Failure]

    def describe(self) -> dict[str, Any]:
        """Returns the counts for metrics/short_answers.json."""
        return {
            "requests": len(self.rows) + len(self.failures),
            "answered": len(self.rows),
            "failures": len(self.failures),
            "failures_by_error": dict(Counter(failure.error for failure in self.failures)),
            "failures_by_side": failures_by_side(self.failures),
            "words": sum(row.response_length or 0 for row in self.rows),
        }


async def answer(
    client: ChatClient, requests: Sequence[Instruction], settings: ShortAnswersSettings
) -> Answers:
    """Answers every request.

    Raises:
        TooManyFailures: more than `max_failed` of the requests failed.
        ServerError: every call would fail; finished calls are kept.
    """
    failures: list[Failure] = []

    async def one(request: Instruction) -> TrainingRow | Failure:
        result = await _answer(client, request, settings)
        if isinstance(result, Failure):
            failures.append(result)
            most = settings.max_failed
            check_failures(failures, len(requests), most, "short_answers", "answers")
        return result

    done = await all_at_once([one(row) for row in requests], "answers")
    return Answers(
        [row for row in done if isinstance(row, TrainingRow)],
        [row for row in done if isinstance(row, Failure)],
    )


async def _answer(
    client: ChatClient, request: Instruction, settings: ShortAnswersSettings
) -> TrainingRow | Failure:
    """Returns the first sample that is complete, short enough and no refusal, or a failure."""
    messages, account = [{"role": "user", "content": request.prompt}], Account()

    async def ask(sample: int) -> Completion:
        return await client.complete(
            messages, max_tokens=settings.max_tokens, sample=sample, account=account
        )

    def read(completion: Completion) -> str:
        text = completion.text.strip()
        if reason := rejection_reason(text, request.prompt, completion.finish_reason, settings):
            raise BadCompletion(reason)
        return text

    try:
        text = await first_usable(ask, read, settings.attempts, "answer")
    except CallError as error:
        return Failure(
            id=request.id,
            prompt=request.prompt,
            step="answer",
            error=type(error).__name__,
            detail=str(error),
            attempts=account.usage.calls,
        )
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
        writer=client.settings.model or client.address.model,
    )


def rejection_reason(
    text: str, prompt: str, finish_reason: str, settings: ShortAnswersSettings
) -> str:
    """Returns why an answer cannot be used; empty if it can."""
    if finish_reason == "length":
        return f"cut off after {settings.max_tokens} tokens"
    words = count_words(text)
    if not 0 < words <= settings.max_words:
        return f"{words} words instead of 1 to {settings.max_words}"
    refused = refusal_in(text, prompt)
    return f"refuses: {refused!r}" if refused else ""
