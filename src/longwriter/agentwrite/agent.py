"""AgentWrite: one plan, then one call a paragraph, in order, each seeing all that is written.

Source: LongWriter (arXiv 2408.07055), section 3.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import Any

from longwriter.agentwrite.plan import make_plan
from longwriter.agentwrite.prompts import step_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.calls import all_at_once
from longwriter.chat.client import ChatClient, Completion
from longwriter.errors import BadCompletion, CallError
from longwriter.evaluation.length import length_score
from longwriter.evaluation.repetition import repeated_ngrams
from longwriter.evaluation.statistics import interval
from longwriter.records import Draft, Failure, Instruction, Step, Usage, check_ids
from longwriter.text import count_words


@dataclass(frozen=True)
class Outcome:
    """All drafts and failures, each in the order of the instructions."""

    drafts: list[Draft]
    failures: list[Failure]


async def write_drafts(
    client: ChatClient, instructions: list[Instruction], settings: AgentWriteSettings
) -> Outcome:
    """Writes a draft for every instruction; those that fail for good come back as failures.

    As many drafts are in work as the server has places, the longest first: a long chain of steps
    that starts last would keep one place busy and leave the others idle.

    Raises:
        DataError: two instructions have the same id.
        ServerError: every call would fail; finished calls are in the cache.
    """
    check_ids(instructions)
    places = asyncio.Semaphore(client.settings.concurrency)

    async def one(instruction: Instruction) -> Draft | Failure:
        async with places:
            return await write_draft(client, instruction, settings)

    longest_first = sorted(instructions, key=lambda instruction: -(instruction.length or 0))
    results = await all_at_once([one(instruction) for instruction in longest_first], "drafts")
    place = {instruction.id: number for number, instruction in enumerate(instructions)}
    results.sort(key=lambda result: place[result.id])
    return Outcome(
        drafts=[result for result in results if isinstance(result, Draft)],
        failures=[result for result in results if isinstance(result, Failure)],
    )


async def write_draft(
    client: ChatClient, instruction: Instruction, settings: AgentWriteSettings
) -> Draft | Failure:
    """Plans and writes one text. It is complete, or it is a failure that says at which step."""
    usage, at, paragraphs = Usage(), "plan", list[str]()
    try:
        plan = await make_plan(client, instruction, settings, usage)
        while len(paragraphs) < len(plan):
            at = f"write {len(paragraphs) + 1}"
            paragraphs.append(
                await write_step(client, instruction, plan, paragraphs, settings, usage)
            )
    except CallError as error:
        return Failure(
            id=instruction.id,
            prompt=instruction.prompt,
            step=at,
            error=type(error).__name__,
            detail=str(error),
            attempts=usage.calls,
        )
    response = "\n\n".join(paragraphs)
    written = {
        "plan": plan,
        "paragraphs": paragraphs,
        "response": response,
        "response_length": count_words(response),
        "usage": usage,
    }
    return Draft.model_validate(instruction.model_dump() | written)


async def write_step(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    written: list[str],
    settings: AgentWriteSettings,
    usage: Usage,
) -> str:
    """The next paragraph.

    Raises:
        BadCompletion: no sample was usable.
        CallError: a call failed for good.
    """
    budget = next_budget(plan, written)
    messages = step_messages(instruction, plan, written, _rounded(budget))
    fault = ""
    for sample in range(settings.attempts):
        completion = await client.complete(
            messages,
            max_tokens=min(
                round(budget * settings.tokens_per_word * settings.slack) + 16,
                client.settings.max_tokens,
            ),
            stop=settings.stop,
            sample=sample,
            usage=usage,
        )
        fault = fault_of(completion, plan, written, settings)
        if not fault:
            return completion.text.strip()
    raise BadCompletion(f"no usable paragraph in {settings.attempts} samples; the last: {fault}")


def next_budget(plan: list[Step], written: list[str]) -> int:
    """Words for the next step: its share of what the text still lacks.

    What earlier steps wrote too long or too short is spread over all that are left, each of which
    keeps at least half of its budget in the plan.
    """
    step, left = plan[len(written)], plan[len(written) :]
    lacking = sum(s.word_count for s in plan) - sum(map(count_words, written))
    share = step.word_count / sum(s.word_count for s in left)
    return max(round(lacking * share), -(-step.word_count // 2))


def _rounded(words: int) -> int:
    """To the nearest ten, for people and models ask so; at least ten."""
    return max(10, round(words / 10) * 10)


def fault_of(
    completion: Completion, plan: list[Step], written: list[str], settings: AgentWriteSettings
) -> str:
    """Why the paragraph after `written` cannot be used; empty where it can."""
    text, words = completion.text.strip(), count_words(completion.text)
    budget = next_budget(plan, written)
    if completion.finish_reason == "length":
        return f"cut off by max_tokens after {words} words of {budget}"
    if not text:
        return "empty"
    if words < settings.min_step_share * budget:
        return f"{words} words of {budget}"
    total, planned = sum(map(count_words, written)) + words, sum(step.word_count for step in plan)
    if len(written) == len(plan) - 1 and total < settings.min_text_share * planned:
        return f"{words} words at the end leave the text at {total} of {planned}"
    repeated = repeated_ngrams(text, n=8, before="\n\n".join(written))
    if repeated > settings.max_step_repetition:
        return f"{repeated:.0%} of its 8-grams stand in the text already"
    return ""


def describe(outcome: Outcome, resamples: int, seed: int) -> dict[str, Any]:
    """Counts, and length scores with their interval, for metrics/agentwrite.json."""
    scores = [
        length_score(draft.length, draft.response_length)
        for draft in outcome.drafts
        if draft.length
    ]
    mean = interval(scores, resamples, seed)
    return {
        "instructions": len(outcome.drafts) + len(outcome.failures),
        "drafts": len(outcome.drafts),
        "failures": len(outcome.failures),
        "failures_by_error": dict(Counter(failure.error for failure in outcome.failures)),
        "words": sum(draft.response_length for draft in outcome.drafts),
        "S_l": mean and round(mean.mean, 4),
        "S_l_interval": mean and [round(mean.low, 4), round(mean.high, 4)],
    }
