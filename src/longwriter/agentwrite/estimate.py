"""Estimates the calls, tokens, cost and time of a run of the agent before any call is made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from longwriter.agentwrite.context import round_to_ten
from longwriter.agentwrite.plan import steps_wanted
from longwriter.agentwrite.prompts import (
    Prompts,
    StepRequest,
    Wording,
    plan_messages,
    step_messages,
)
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction, Step
from longwriter.llm.request import prompt_bytes
from longwriter.llm.settings import ServerSettings, Structured


@dataclass(frozen=True)
class Call:
    """Tokens of one call."""

    prompt: int
    cached: int
    """Part of `prompt` that the previous call had too."""
    completion: int


@dataclass(frozen=True)
class Estimate:
    """What to expect if every call succeeds at the first try."""

    calls: int
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    cost: float
    """US dollars if the server has no prefix cache."""
    cached_cost: float
    """US dollars if it has one that holds all drafts in progress."""
    seconds: float
    """Lower bound: the largest of the times for the longest chain of calls, for all work spread
    over the calls in flight, and for the limits per minute."""
    without_length: int
    """Instructions that state no length. Each is assumed to want the mean of the others, or
    `select.screen_with_teacher` words if none states a length."""

    def __str__(self) -> str:
        guessed = f"; {self.without_length} lengths are guessed" if self.without_length else ""
        return (
            f"{self.calls:,} calls, {self.prompt_tokens:,} prompt tokens, of which a prefix cache "
            f"may serve {self.cached_prompt_tokens:,}, {self.completion_tokens:,} completion "
            f"tokens{guessed}\n"
            f"${self.cost:,.2f}, with a prefix cache ${self.cached_cost:,.2f}\n"
            f"at least {self.seconds / 60:,.1f} minutes"
        )


def estimate(
    instructions: Sequence[Instruction],
    agentwrite: AgentWriteSettings,
    teacher: ServerSettings,
    prompts: Prompts,
) -> Estimate:
    """Adds up the calls of every instruction: one for the plan, and one for each step.

    Four bytes of a prompt count as a token, a word of an answer as `tokens_per_word` tokens.

    Raises:
        DataError: no instruction states a length, and `select.screen_with_teacher` is null.
    """
    stated = [instruction.length for instruction in instructions if instruction.length]
    usual = round(fmean(stated)) if stated else agentwrite.select.screen_with_teacher
    if usual is None:
        raise DataError(
            "cannot estimate: no instruction states a length; add `length` or set "
            "agentwrite.select.screen_with_teacher"
        )
    chains = [
        list(
            _calls(
                instruction,
                instruction.length or usual,
                agentwrite,
                teacher,
                prompts[instruction.language],
            )
        )
        for instruction in instructions
    ]
    calls = [call for chain in chains for call in chain]
    prompt, cached = sum(call.prompt for call in calls), sum(call.cached for call in calls)
    written = sum(call.completion for call in calls)
    longest = max(_in_a_row(chain, agentwrite.parallel) for chain in chains)
    bounds = [max(longest, written / teacher.concurrency) / agentwrite.dry_run_tokens_per_s]
    if teacher.requests_per_minute:
        bounds.append(60 * len(calls) / teacher.requests_per_minute)
    if teacher.tokens_per_minute:
        bounds.append(60 * (prompt + written) / teacher.tokens_per_minute)
    price = teacher.price(chained=not agentwrite.parallel)
    return Estimate(
        calls=len(calls),
        prompt_tokens=prompt,
        cached_prompt_tokens=cached,
        completion_tokens=written,
        cost=teacher.cost(prompt, 0, written) * price,
        cached_cost=teacher.cost(prompt, cached, written) * price,
        seconds=max(bounds),
        without_length=len(instructions) - len(stated),
    )


def _calls(
    instruction: Instruction,
    length: int,
    agentwrite: AgentWriteSettings,
    teacher: ServerSettings,
    wording: Wording,
) -> Iterator[Call]:
    steps = min(steps_wanted(length, agentwrite), agentwrite.max_steps)
    lines = teacher.structured is Structured.text
    point = "x" * (agentwrite.max_point_characters // 2)
    asked = plan_messages(instruction, steps, agentwrite.max_steps, lines, wording)
    yield Call(prompt_bytes(asked) // 4, 0, steps * (len(point) // 4 + 15))
    words = round(length / steps)
    plan = [Step(main_point=point, word_count=words)] * steps
    tokens, so_far, before = round(words * agentwrite.tokens_per_word), 0, 0
    for number in range(steps):
        last = number == steps - 1
        request = StepRequest(
            step=plan[number], number=number, last=last, words=round_to_ten(words), so_far=""
        )
        bare = step_messages(instruction, plan, request, wording)
        prompt = min(prompt_bytes(bare) // 4 + so_far, teacher.context - tokens)
        yield Call(prompt, min(before, prompt), tokens)
        before = prompt
        if not agentwrite.parallel:
            so_far += tokens


def _in_a_row(chain: list[Call], parallel: bool) -> int:
    """Returns the completion tokens of the calls that have to wait for each other."""
    plan, *steps = (call.completion for call in chain)
    return plan + (max(steps) if parallel else sum(steps))
