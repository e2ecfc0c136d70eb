"""AgentWrite: a plan, then one call per paragraph, in order or in parallel.

Source: LongWriter (arXiv 2408.07055), section 3.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

from longwriter.agentwrite.context import (
    Paragraph,
    TextSoFar,
    next_budget,
    rejection_reason,
    round_to_ten,
)
from longwriter.agentwrite.failures import check_failures, failures_by_side
from longwriter.agentwrite.plan import make_plan, plan_tokens, split_step, steps_wanted
from longwriter.agentwrite.prompts import Prompts, StepRequest, Wording, step_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import BadCompletion, CallError
from longwriter.core.rows import Draft, Failure, Instruction, Step, check_ids
from longwriter.core.spool import Spool
from longwriter.llm.answers import Completion
from longwriter.llm.budget import Account, CallRecord
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import each, together
from longwriter.llm.request import Messages, prompt_bytes
from longwriter.llm.sampling import first_usable
from longwriter.text.lengths import length_score
from longwriter.text.scaffolding import clean


class Traces(Protocol):
    """Records the calls behind drafts."""

    number: int
    """Number of drafts, from the first, whose calls are recorded."""

    def keep(self, result: Draft | Failure, calls: list[CallRecord]) -> None:
        """Records a draft or failure with all its calls."""


class Results(Protocol):
    """Receives drafts and failures as they finish."""

    def add(self, number: int, result: Draft | Failure) -> None:
        """Takes the draft or the failure of instruction `number`."""


@dataclass(frozen=True)
class Outcome:
    """All drafts and failures, each in the order of the instructions."""

    drafts: Sequence[Draft]
    failures: list[Failure]


async def write_drafts(
    client: ChatClient,
    instructions: Sequence[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
    traces: Traces | None = None,
) -> Outcome:
    """Writes a draft for every instruction; those that fail for good are returned as failures.

    Finished drafts go straight to a temporary file beside the cache, so only those in progress are
    in memory. Arguments and errors are those of `write_each`.
    """
    results = Kept(client.cache.path.parent)
    await write_each(client, instructions, settings, prompts, results, traces)
    return results.outcome()


class Kept:
    """Results that keep drafts in a temporary file in `folder`, and failures in memory."""

    def __init__(self, folder: Path) -> None:
        self._drafts, self._failures = Spool(Draft, folder), dict[int, Failure]()

    def add(self, number: int, result: Draft | Failure) -> None:
        """Takes the draft or the failure of instruction `number`."""
        if isinstance(result, Draft):
            self._drafts.add(number, result)
        else:
            self._failures[number] = result

    def outcome(self) -> Outcome:
        """Returns all drafts and failures."""
        return Outcome(self._drafts, [self._failures[number] for number in sorted(self._failures)])


async def write_each(
    client: ChatClient,
    instructions: Sequence[Instruction],
    settings: AgentWriteSettings,
    prompts: Prompts,
    results: Results,
    traces: Traces | None = None,
) -> None:
    """Writes a draft for every instruction, and adds each to `results` as it finishes.

    As many drafts are in progress as the server takes calls at once (with batches all of them), the
    longest first: a long chain of steps started last would keep one slot busy and the others idle.

    Args:
        traces: records the calls of the first drafts.

    Raises:
        DataError: two instructions have the same id.
        TooManyFailures: more than `max_failed` of the drafts failed.
        ServerError: every call would fail; finished calls are in the cache.
    """
    check_ids(instructions)
    total = len(instructions)
    at_once = total if client.settings.batch else client.settings.concurrency
    failures: list[Failure] = []

    async def one(number: int) -> None:
        instruction = instructions[number]
        account = Account(records=[] if traces and number < traces.number else None)
        account.rest = text_cost(client, instruction, settings)
        wording = prompts[instruction.language]
        result = await write_draft(client, instruction, settings, wording, account)
        await client.budget.close(account, isinstance(result, Draft))
        if traces and account.records:
            traces.keep(result, account.records)
        results.add(number, result)
        if isinstance(result, Failure):
            failures.append(result)
            check_failures(failures, total, settings.max_failed, "agentwrite", "drafts")

    lengths = [instruction.length or 0 for instruction in instructions]
    longest_first = sorted(range(total), key=lambda number: -lengths[number])
    await each(longest_first, one, at_once, "drafts")


async def write_draft(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    wording: Wording,
    account: Account | None = None,
) -> Draft | Failure:
    """Plans and writes one text; returns the complete draft, or a failure that names the step.

    Args:
        account: where its calls are counted.
    """
    account, text = account or Account(), TextSoFar()
    usage = account.usage
    try:
        with failing_at("plan"):
            plan = await make_plan(client, instruction, settings, wording, account)
        await write_paragraphs(client, instruction, plan, text, settings, wording, account)
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
        "writer": client.settings.model or client.address.model,
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
    """Turns a CallError in the block into StepFailed, which names the step."""
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
    account: Account,
    on_text: Callable[[str], None] | None = None,
) -> None:
    """Writes the paragraphs of the plan; each is added to `text` once those before it are there.

    A step whose budget grows past `max_step_words` becomes several steps of `plan`.

    Args:
        account: where its calls are counted.
        on_text: called with each piece of an answer as it arrives, if the teacher streams.

    Raises:
        StepFailed: a paragraph failed for good; `text` holds those before it.
    """
    writer = _Writer(
        client, instruction, tuple(plan), plan, text, settings, wording, account, on_text
    )
    await (writer.write_in_parallel() if settings.parallel else writer.write_in_order())


@dataclass
class _Writer:
    """Writes one text."""

    client: ChatClient
    instruction: Instruction
    outline: Sequence[Step]
    """The original plan, which the teacher sees in every step. It must not change, or no prefix
    cache could serve the text that follows it in the prompt."""
    plan: list[Step]
    text: TextSoFar
    settings: AgentWriteSettings
    wording: Wording
    account: Account
    on_text: Callable[[str], None] | None

    async def write_in_order(self) -> None:
        """Writes one paragraph after the other; each step sees the text so far.

        A step whose budget has grown past `max_step_words` is split in two while the plan has fewer
        than `max_steps` steps: a teacher that always writes too little needs more paragraphs.
        """
        largest, number = self.settings.max_step_words, 0
        while number < len(self.plan):
            budget = next_budget(self.plan, self.text.words)
            if budget > largest and len(self.plan) < self.settings.max_steps:
                self.plan[number : number + 1] = split_step(self.plan[number], self.wording)
                continue
            self.account.rest = self._cost_of_rest()
            self.text.add(await self.write_step(number, min(budget, largest), self.text))
            number += 1

    async def write_in_parallel(self) -> None:
        """Writes all paragraphs at the same time; each step sees the plan but no text."""
        done: dict[int, Paragraph] = {}
        rest = self.account.rest = self._cost_of_rest()

        async def one(number: int) -> None:
            done[number] = await self.write_step(number, self.plan[number].word_count, TextSoFar())
            self.account.rest = rest * (1 - len(done) / len(self.plan))
            while (following := len(self.text.paragraphs)) in done:
                self.text.add(done[following])

        await together([one(number) for number in range(len(self.plan))])

    async def write_step(self, number: int, budget: int, text: TextSoFar) -> Paragraph:
        """Writes paragraph `number` (from 0) of the plan in about `budget` words, to follow `text`.

        Once half of the attempts have repeated the text, the others see only its newest paragraph:
        small teachers copy what they are shown.

        Raises:
            StepFailed: no sample was usable, or a call failed for good.
        """
        settings, client = self.settings, self.client
        tokens = step_tokens(budget, client, settings)
        room = client.settings.context - tokens - 64
        room -= prompt_bytes(self._messages(number, "", budget)) // 3
        shown = text.excerpt(int(room / settings.tokens_per_word))
        messages = self._messages(number, shown, budget)
        request = messages[-1]["content"].rsplit("\n\n", 1)[-1]
        asked = [self.instruction.prompt, self.plan[number].main_point, request]
        prompt, repeats, step = self.instruction.prompt, 0, f"write {number + 1}"

        async def ask(sample: int) -> Completion:
            nonlocal messages
            if 2 * repeats >= settings.attempts:
                messages = self._messages(number, text.excerpt(0), budget)
            return await client.complete(
                messages,
                max_tokens=tokens,
                stop=settings.stop,
                sample=sample,
                account=self.account,
                step=step,
                on_text=self.on_text,
                chained=not settings.parallel,
            )

        def read(completion: Completion) -> Paragraph:
            nonlocal repeats
            paragraph = Paragraph(clean(completion.text, asked))
            cut_off = completion.finish_reason == "length"
            reason = rejection_reason(paragraph, prompt, cut_off, budget, self.plan, text, settings)
            if reason:
                repeats += paragraph.repeated(text) > settings.max_step_repetition
                self.account.reject(step, reason)
                raise BadCompletion(reason)
            return paragraph

        with failing_at(step):
            return await first_usable(ask, read, settings.attempts, "paragraph")

    def _cost_of_rest(self) -> float:
        """Returns the most US dollars that the remaining steps can cost; 0 if there is no limit."""
        if self.client.budget.most is None:
            return 0.0
        done = len(self.text.words)
        bare = prompt_bytes(self._messages(done, "", self.plan[done].word_count))
        so_far = 0 if self.settings.parallel else sum(self.text.words)
        cost = 0.0
        for step in self.plan[done:]:
            cost += step_cost(self.client, bare, so_far, step.word_count, self.settings)
            so_far += 0 if self.settings.parallel else step.word_count
        return cost

    def _messages(self, number: int, so_far: str, budget: int) -> Messages:
        request = StepRequest(
            step=self.plan[number],
            number=number,
            last=number == len(self.plan) - 1,
            words=round_to_ten(budget),
            so_far=so_far,
        )
        return step_messages(self.instruction, self.outline, request, self.wording)


def step_tokens(words: int, client: ChatClient, settings: AgentWriteSettings) -> int:
    """Returns the most tokens of a paragraph with a budget of `words` words."""
    tokens = round(words * settings.tokens_per_word * settings.slack) + 16
    return min(tokens, client.settings.max_tokens)


_BYTES_PER_WORD = 6
"""Bytes of an English word with its space; a Chinese character counts as a word and has three."""

_USUAL_STEPS = 10
"""Steps assumed for a text of unknown length."""


def step_cost(
    client: ChatClient, bare: int, so_far: int, words: int, settings: AgentWriteSettings
) -> float:
    """Returns the most US dollars that a paragraph can cost.

    Args:
        bare: bytes of its prompt without the text so far.
        so_far: words of the text that the teacher sees.
        words: its word budget.
    """
    most = client.most(bare + _BYTES_PER_WORD * so_far, step_tokens(words, client, settings))
    return most * client.settings.price(chained=not settings.parallel)


def text_cost(client: ChatClient, instruction: Instruction, settings: AgentWriteSettings) -> float:
    """Returns the most US dollars that a text and its plan can cost; 0 if there is no limit."""
    if client.budget.most is None:
        return 0.0
    length = instruction.length or _USUAL_STEPS * settings.step_words
    steps = min(steps_wanted(length, settings), settings.max_steps)
    words, points = round(length / steps), steps * settings.max_point_characters // 2
    bare = len(instruction.prompt.encode()) + points + 200
    plan = client.most(bare, plan_tokens(steps, settings))
    cost = plan * client.settings.price(chained=not settings.parallel)
    for number in range(steps):
        so_far = 0 if settings.parallel else number * words
        cost += step_cost(client, bare, so_far, words, settings)
    return cost


def describe(outcome: Outcome) -> dict[str, Any]:
    """Returns counts and the mean length score for metrics/agentwrite.json.

    The mean is over drafts whose instruction states a length. The report adds its interval, from
    the drafts themselves.
    """
    scores, words, shortened = [], 0, 0
    for draft in outcome.drafts:
        words += draft.response_length
        shortened += draft.hidden_words > 0
        if draft.length:
            scores.append(length_score(draft.length, draft.response_length))
    return {
        "instructions": len(outcome.drafts) + len(outcome.failures),
        "planned": len(outcome.drafts)
        + sum(failure.step.startswith("write") for failure in outcome.failures),
        "drafts": len(outcome.drafts),
        "failures": len(outcome.failures),
        "failures_by_error": dict(Counter(failure.error for failure in outcome.failures)),
        "failures_by_side": failures_by_side(outcome.failures),
        "shortened": shortened,
        "words": words,
        "with_length": len(scores),
        "S_l": round(fmean(scores), 4) if scores else None,
    }
