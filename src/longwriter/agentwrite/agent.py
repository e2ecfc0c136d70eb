"""AgentWrite: one plan, then one call a paragraph, in order or all at once.

Source: LongWriter (arXiv 2408.07055), section 3.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from longwriter.agentwrite.clean import clean
from longwriter.agentwrite.plan import make_plan
from longwriter.agentwrite.prompts import step_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.calls import all_at_once, together
from longwriter.chat.client import ChatClient, prompt_bytes
from longwriter.errors import BadCompletion, CallError
from longwriter.evaluation.length import length_score
from longwriter.evaluation.repetition import Ngram, ngrams, share_seen
from longwriter.evaluation.statistics import interval
from longwriter.records import Draft, Failure, Instruction, Step, Usage, check_ids
from longwriter.text import count_words, refusal_in


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
    usage, text = Usage(), Text()
    try:
        with at("plan"):
            plan = await make_plan(client, instruction, settings, usage)
        await write_paragraphs(client, instruction, plan, text, settings, usage)
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
        "unseen_words": text.unseen,
        "usage": usage,
    }
    return Draft.model_validate(instruction.model_dump() | written)


class StepFailed(Exception):
    """A step of a draft failed for good."""

    def __init__(self, step: str, error: CallError) -> None:
        super().__init__(step, error)
        self.step, self.error = step, error


@contextmanager
def at(step: str) -> Iterator[None]:
    """Says with StepFailed at which step a call failed for good."""
    try:
        yield
    except CallError as error:
        raise StepFailed(step, error) from None


NGRAM = 8
"""Words of a sequence that counts as repeated."""


class Paragraph:
    """A paragraph, with what it is measured by."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.words = count_words(text)
        self.ngrams = ngrams(text, NGRAM)


@dataclass
class Text:
    """The text so far, with what the next paragraph is measured by."""

    paragraphs: list[str] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    """Of each paragraph."""
    ngrams: set[Ngram] = field(default_factory=set)
    unseen: int = 0
    """Words of it that a step did not see, at most, for the teacher's context was too small."""

    def add(self, paragraph: Paragraph) -> None:
        """Puts a paragraph at the end."""
        self.paragraphs.append(paragraph.text)
        self.words.append(paragraph.words)
        self.ngrams.update(paragraph.ngrams)

    def within(self, room: int) -> str:
        """The text in at most `room` words, its newest paragraph in any case: all of it, or its
        beginning and its newest part."""
        head, newest = window(self.words, room)
        self.unseen = max(self.unseen, sum(self.words[head:newest]))
        gap = ["[…]"] if newest > head else []
        return "\n\n".join(self.paragraphs[:head] + gap + self.paragraphs[newest:])


def window(words: Sequence[int], room: int) -> tuple[int, int]:
    """(a, b) where the paragraphs [:a] and [b:] are those to show in `room` words; a = b: all.

    The beginning takes up to a quarter. Whenever the rest is full, its older half goes, so that
    one prompt begins as the one before it, and a prefix cache serves it, but for these times.

    Args:
        words: of each paragraph.
    """
    if sum(words) <= room:
        return len(words), len(words)
    head = 0
    while sum(words[: head + 1]) <= room / 4:
        head += 1
    rest, newest = room - sum(words[:head]), head
    for end in range(head + 1, len(words) + 1):
        if sum(words[newest:end]) > rest:
            while newest < end - 1 and sum(words[newest:end]) > rest / 2:
                newest += 1
    return head, newest


async def write_paragraphs(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    text: Text,
    settings: AgentWriteSettings,
    usage: Usage,
) -> None:
    """Adds every paragraph of the plan to `text`, in order, each as soon as it can stand there.

    Raises:
        StepFailed: a paragraph failed for good; `text` holds those before it that were done.
    """
    write = write_apart if settings.parallel else write_in_order
    await write(client, instruction, plan, text, settings, usage)


async def write_in_order(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    text: Text,
    settings: AgentWriteSettings,
    usage: Usage,
) -> None:
    """Paragraph after paragraph, each seeing all that is written."""
    for number in range(len(plan)):
        with at(f"write {number + 1}"):
            budget = min(next_budget(plan, text.words), settings.max_step_words)
            paragraph = await write_step(
                client, instruction, plan, text, number, budget, settings, usage
            )
        text.add(paragraph)


async def write_apart(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    text: Text,
    settings: AgentWriteSettings,
    usage: Usage,
) -> None:
    """All paragraphs at once, each seeing the plan only."""
    done: dict[int, Paragraph] = {}

    async def one(number: int) -> None:
        with at(f"write {number + 1}"):
            budget = plan[number].word_count
            done[number] = await write_step(
                client, instruction, plan, Text(), number, budget, settings, usage
            )
        while (following := len(text.paragraphs)) in done:
            text.add(done[following])

    await together([one(number) for number in range(len(plan))])


async def write_step(
    client: ChatClient,
    instruction: Instruction,
    plan: list[Step],
    text: Text,
    number: int,
    budget: int,
    settings: AgentWriteSettings,
    usage: Usage,
) -> Paragraph:
    """Paragraph `number` (from 0) of the plan in about `budget` words, to stand after `text`.

    Raises:
        BadCompletion: no sample was usable.
        CallError: a call failed for good.
    """
    tokens = round(budget * settings.tokens_per_word * settings.slack) + 16
    tokens = min(tokens, client.settings.max_tokens)
    bare = step_messages(instruction, plan, number, "", rounded(budget))
    room = client.settings.context - tokens - prompt_bytes(bare) // 3 - 64
    so_far = text.within(int(room / settings.tokens_per_word))
    messages = step_messages(instruction, plan, number, so_far, rounded(budget))
    ask = messages[-1]["content"].rsplit("\n\n", 1)[-1]
    fault = ""
    for sample in range(settings.attempts):
        completion = await client.complete(
            messages, max_tokens=tokens, stop=settings.stop, sample=sample, usage=usage
        )
        asked = [instruction.prompt, plan[number].main_point, ask]
        paragraph = Paragraph(clean(completion.text, asked))
        cut_off = completion.finish_reason == "length"
        fault = fault_of(paragraph, cut_off, budget, plan, text, settings)
        if not fault:
            return paragraph
    raise BadCompletion(f"no usable paragraph in {settings.attempts} samples; the last: {fault}")


def next_budget(plan: list[Step], written: list[int]) -> int:
    """Words for the next step: its share of what the text still lacks.

    What earlier steps wrote too long or too short is spread over all that are left, each of which
    keeps at least half of its budget in the plan.

    Args:
        written: words of the paragraphs so far.
    """
    step, left = plan[len(written)], plan[len(written) :]
    lacking = sum(s.word_count for s in plan) - sum(written)
    share = step.word_count / sum(s.word_count for s in left)
    return max(round(lacking * share), -(-step.word_count // 2))


def rounded(words: int) -> int:
    """To the nearest ten, for people and models ask so; at least ten."""
    return max(10, round(words / 10) * 10)


def fault_of(
    paragraph: Paragraph,
    cut_off: bool,
    budget: int,
    plan: list[Step],
    text: Text,
    settings: AgentWriteSettings,
) -> str:
    """Why a paragraph of `budget` words cannot be used after `text`; empty where it can."""
    words = paragraph.words
    if cut_off:
        return f"cut off by max_tokens after {words} words of {budget}"
    if not paragraph.text:
        return "empty"
    if refused := refusal_in(paragraph.text):
        return f"refuses: {refused!r}"
    if words < settings.min_step_share * budget:
        return f"{words} words of {budget}"
    total, planned = sum(text.words) + words, sum(step.word_count for step in plan)
    if len(text.words) == len(plan) - 1 and total < settings.min_text_share * planned:
        return f"{words} words at the end leave the text at {total} of {planned}"
    repeated = share_seen(paragraph.ngrams, text.ngrams)
    if repeated > settings.max_step_repetition:
        return f"{repeated:.0%} of its {NGRAM}-grams stand in the text already"
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
        "planned": len(outcome.drafts)
        + sum(failure.step.startswith("write") for failure in outcome.failures),
        "drafts": len(outcome.drafts),
        "failures": len(outcome.failures),
        "failures_by_error": dict(Counter(failure.error for failure in outcome.failures)),
        "shortened": sum(draft.unseen_words > 0 for draft in outcome.drafts),
        "words": sum(draft.response_length for draft in outcome.drafts),
        "S_l": mean and round(mean.mean, 4),
        "S_l_interval": mean and [round(mean.low, 4), round(mean.high, 4)],
    }
