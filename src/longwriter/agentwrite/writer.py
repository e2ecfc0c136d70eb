"""AgentWrite: a plan, then a call for each paragraph, in order or in parallel.

Source: LongWriter (arXiv 2408.07055), section 3.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from longwriter.agentwrite.context import (
    Paragraph,
    TextSoFar,
    next_budget,
    rejection_reason,
    round_to_ten,
)
from longwriter.agentwrite.plan import make_plan, split_step
from longwriter.agentwrite.prompts import Prompts, StepRequest, Wording, step_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import BadCompletion, CallError
from longwriter.core.rows import Draft, Failure, Instruction, Step, Usage, check_ids
from longwriter.llm.client import ChatClient, Completion, Messages, prompt_bytes
from longwriter.llm.fanout import all_at_once, together
from longwriter.llm.sampling import first_usable
from longwriter.text.lengths import length_score
from longwriter.text.scaffolding import clean


@dataclass(frozen=True)
class Outcome:
    """All drafts and failures, each in the order of the instructions."""

    drafts: list[Draft]
    failures: list[Failure]


async def write_drafts(
    client: ChatClient,
    instructions: list[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
) -> Outcome:
    """Writes a draft for every instruction; those that fail for good are returned as failures.

    As many drafts are in progress as the server takes calls, the longest first: a long chain of steps
    that starts last would keep one of the server's places busy and leave the others idle.

    Raises:
        DataError: two instructions have the same id.
        ServerError: every call would fail; finished calls are in the cache.
    """
    check_ids(instructions)
    places = asyncio.Semaphore(client.settings.concurrency)

    async def one(instruction: Instruction) -> Draft | Failure:
        async with places:
            wording = prompts[instruction.language]
            return await write_draft(client, instruction, settings, wording)

    longest_first = sorted(instructions, key=lambda instruction: -(instruction.length or 0))
    results = await all_at_once([one(instruction) for instruction in longest_first], "drafts")
    place = {instruction.id: number for number, instruction in enumerate(instructions)}
    results.sort(key=lambda result: place[result.id])
    return Outcome(
        drafts=[result for result in results if isinstance(result, Draft)],
        failures=[result for result in results if isinstance(result, Failure)],
    )


async def write_draft(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    wording: Wording,
) -> Draft | Failure:
    """Plans and writes one text. Returns it complete, or a failure that says at which step."""
    usage, text = Usage(), TextSoFar()
    try:
        with failing_at("plan"):
            plan = await make_plan(client, instruction, settings, wording, usage)
        await write_paragraphs(client, instruction, plan, text, settings, wording, usage)
    except StepFailed as failed:
        return Failure(
            id=instruction.id,
            prompt=instruction.prompt,
            step=failed.step,
            error=type(failed.error).__name__,
            detail=str(failed.error),
            attempts=usage.calls,
        )
    usage.cost_usd = round(usage.cost_usd, 6)
    written = {
        "plan": plan,
        "paragraphs": text.paragraphs,
        "response": "\n\n".join(text.paragraphs),
        "response_length": sum(text.words),
        "hidden_words": text.hidden_words,
        "usage": usage,
    }
    return Draft.model_validate(instruction.model_dump() | written)


class StepFailed(Exception):
    """A step of a draft failed for good."""

    def __init__(self, step: str, error: CallError) -> None:
        super().__init__(step, error)
        self.step, self.error = step, error


@contextmanager
def failing_at(step: str) -> Iterator[None]:
    """Turns a CallError in the block into StepFailed, which says at which step it happened."""
    try:
        yield
    except CallError as error:
        raise StepFailed(step, error) from None


async def write_paragraphs(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    text: TextSoFar,
    settings: AgentWriteSettings,
    wording: Wording,
    usage: Usage,
) -> None:
    """Adds every paragraph of the plan to `text`, in order, each as soon as those before it are there.

    A step whose budget grows past `max_step_words` becomes several steps of `plan`.

    Raises:
        StepFailed: a paragraph failed for good; `text` holds those before it.
    """
    writer = _Writer(client, instruction, tuple(plan), plan, text, settings, wording, usage)
    await (writer.write_in_parallel() if settings.parallel else writer.write_in_order())


@dataclass
class _Writer:
    """Writes one text."""

    client: ChatClient
    instruction: Instruction
    outline: Sequence[Step]
    """The plan as it was made, which the teacher sees in every step. It must not change, or no prefix
    cache would serve the text that comes after it in the prompt."""
    plan: list[Step]
    text: TextSoFar
    settings: AgentWriteSettings
    wording: Wording
    usage: Usage

    async def write_in_order(self) -> None:
        """Writes paragraph after paragraph; each step sees the text so far.

        A step whose budget has grown past `max_step_words` is split in two, while the plan has fewer
        than `max_steps`: a teacher that always writes too little needs more paragraphs.
        """
        largest, number = self.settings.max_step_words, 0
        while number < len(self.plan):
            budget = next_budget(self.plan, self.text.words)
            if budget > largest and len(self.plan) < self.settings.max_steps:
                self.plan[number : number + 1] = split_step(self.plan[number], self.wording)
                continue
            self.text.add(await self.write_step(number, min(budget, largest), self.text))
            number += 1

    async def write_in_parallel(self) -> None:
        """Writes all paragraphs at the same time; each step sees the plan and no text."""
        done: dict[int, Paragraph] = {}

        async def one(number: int) -> None:
            done[number] = await self.write_step(number, self.plan[number].word_count, TextSoFar())
            while (following := len(self.text.paragraphs)) in done:
                self.text.add(done[following])

        await together([one(number) for number in range(len(self.plan))])

    async def write_step(self, number: int, budget: int, text: TextSoFar) -> Paragraph:
        """Paragraph `number` (from 0) of the plan in about `budget` words, to follow `text`.

        Once half of the samples repeated the text, the others see only its newest paragraph: small
        teachers copy what they are shown.

        Raises:
            StepFailed: no sample was usable, or a call failed for good.
        """
        settings, client = self.settings, self.client
        tokens = round(budget * settings.tokens_per_word * settings.slack) + 16
        tokens = min(tokens, client.settings.max_tokens)
        room = client.settings.context - tokens - 64
        room -= prompt_bytes(self._messages(number, "", budget)) // 3
        shown = text.excerpt(int(room / settings.tokens_per_word))
        messages = self._messages(number, shown, budget)
        request = messages[-1]["content"].rsplit("\n\n", 1)[-1]
        asked = [self.instruction.prompt, self.plan[number].main_point, request]
        prompt, repeats = self.instruction.prompt, 0

        async def ask(sample: int) -> Completion:
            nonlocal messages
            if 2 * repeats >= settings.attempts:
                messages = self._messages(number, text.excerpt(0), budget)
            return await client.complete(
                messages, max_tokens=tokens, stop=settings.stop, sample=sample, usage=self.usage
            )

        def read(completion: Completion) -> Paragraph:
            nonlocal repeats
            paragraph = Paragraph(clean(completion.text, asked))
            cut_off = completion.finish_reason == "length"
            reason = rejection_reason(paragraph, prompt, cut_off, budget, self.plan, text, settings)
            if reason:
                repeats += paragraph.repeated(text) > settings.max_step_repetition
                raise BadCompletion(reason)
            return paragraph

        with failing_at(f"write {number + 1}"):
            return await first_usable(ask, read, settings.attempts, "paragraph")

    def _messages(self, number: int, so_far: str, budget: int) -> Messages:
        request = StepRequest(
            step=self.plan[number],
            number=number,
            last=number == len(self.plan) - 1,
            words=round_to_ten(budget),
            so_far=so_far,
        )
        return step_messages(self.instruction, self.outline, request, self.wording)


def describe(outcome: Outcome) -> dict[str, Any]:
    """Counts, and the mean length score of the drafts whose request states a length, for
    metrics/agentwrite.json. The report adds its interval, from the drafts themselves."""
    scores = [
        length_score(draft.length, draft.response_length)
        for draft in outcome.drafts
        if draft.length
    ]
    return {
        "instructions": len(outcome.drafts) + len(outcome.failures),
        "planned": len(outcome.drafts)
        + sum(failure.step.startswith("write") for failure in outcome.failures),
        "drafts": len(outcome.drafts),
        "failures": len(outcome.failures),
        "failures_by_error": dict(Counter(failure.error for failure in outcome.failures)),
        "shortened": sum(draft.hidden_words > 0 for draft in outcome.drafts),
        "words": sum(draft.response_length for draft in outcome.drafts),
        "with_length": len(scores),
        "S_l": round(fmean(scores), 4) if scores else None,
    }
