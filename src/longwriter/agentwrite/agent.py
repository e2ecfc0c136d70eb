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
from longwriter.agentwrite.plan import in_two, make_plan
from longwriter.agentwrite.prompts import step_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.calls import all_at_once, together
from longwriter.chat.client import ChatClient, Messages, prompt_bytes
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

    def repeated(self, text: "Text") -> float:
        """Share (0 to 1) of its n-grams that stand in `text`, or earlier in it."""
        return share_seen(self.ngrams, text.ngrams)


@dataclass
class Text:
    """The text so far, with what the next paragraph is measured by."""

    paragraphs: list[str] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    """Of each paragraph."""
    ngrams: set[Ngram] = field(default_factory=set)
    unseen: int = 0
    """Words of it that a step did not see, at most: the teacher's context was too small, or it copied
    what it saw."""

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

    A step that has to make up for more than it may be asked for becomes several steps of `plan`.

    Raises:
        StepFailed: a paragraph failed for good; `text` holds those before it that were done.
    """
    writer = _Writer(client, instruction, tuple(plan), plan, text, settings, usage)
    await (writer.write_apart() if settings.parallel else writer.write_in_order())


@dataclass
class _Writer:
    """One text in work."""

    client: ChatClient
    instruction: Instruction
    outline: Sequence[Step]
    """The plan as it was made, which the teacher sees: were it to change, no prefix cache would
    serve the text that stands after it."""
    plan: list[Step]
    text: Text
    settings: AgentWriteSettings
    usage: Usage

    async def write_in_order(self) -> None:
        """Paragraph after paragraph, each seeing all that is written.

        A step whose budget has grown past `max_step_words` is written in two, while the plan may
        have one more: a teacher that writes short, whatever it is asked for, needs more paragraphs.
        """
        largest, number = self.settings.max_step_words, 0
        while number < len(self.plan):
            budget = next_budget(self.plan, self.text.words)
            if budget > largest and len(self.plan) < self.settings.max_steps:
                self.plan[number : number + 1] = in_two(
                    self.plan[number], self.instruction.language
                )
                continue
            self.text.add(await self.write_step(number, min(budget, largest), self.text))
            number += 1

    async def write_apart(self) -> None:
        """All paragraphs at once, each seeing the plan only."""
        done: dict[int, Paragraph] = {}

        async def one(number: int) -> None:
            done[number] = await self.write_step(number, self.plan[number].word_count, Text())
            while (following := len(self.text.paragraphs)) in done:
                self.text.add(done[following])

        await together([one(number) for number in range(len(self.plan))])

    async def write_step(self, number: int, budget: int, text: Text) -> Paragraph:
        """Paragraph `number` (from 0) of the plan in about `budget` words, to stand after `text`.

        Where half of the samples repeated the text, the rest see no more of it than its newest
        paragraph: small teachers copy what they are shown.

        Raises:
            StepFailed: no sample was usable, or a call failed for good.
        """
        settings, client = self.settings, self.client
        tokens = round(budget * settings.tokens_per_word * settings.slack) + 16
        tokens = min(tokens, client.settings.max_tokens)
        room = client.settings.context - tokens - 64
        room -= prompt_bytes(self._messages(number, "", budget)) // 3
        messages = self._messages(number, text.within(int(room / settings.tokens_per_word)), budget)
        ask = messages[-1]["content"].rsplit("\n\n", 1)[-1]
        asked = [self.instruction.prompt, self.plan[number].main_point, ask]
        repeats, fault = 0, ""
        with at(f"write {number + 1}"):
            for sample in range(settings.attempts):
                if 2 * repeats >= settings.attempts:
                    messages = self._messages(number, text.within(0), budget)
                completion = await client.complete(
                    messages,
                    max_tokens=tokens,
                    stop=settings.stop,
                    sample=sample,
                    usage=self.usage,
                )
                paragraph = Paragraph(clean(completion.text, asked))
                cut_off = completion.finish_reason == "length"
                fault = fault_of(paragraph, cut_off, budget, self.plan, text, settings)
                if not fault:
                    return paragraph
                repeats += paragraph.repeated(text) > settings.max_step_repetition
            raise BadCompletion(
                f"no usable paragraph in {settings.attempts} samples; the last: {fault}"
            )

    def _messages(self, number: int, so_far: str, budget: int) -> Messages:
        """What asks for one paragraph."""
        last = number == len(self.plan) - 1
        return step_messages(
            self.instruction, self.outline, self.plan[number], number, last, so_far, rounded(budget)
        )


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
    if (repeated := paragraph.repeated(text)) > settings.max_step_repetition:
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
