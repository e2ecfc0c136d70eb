"""Plans a text: steps with a main point and a word budget, which add up to the requested length."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import ValidationError

from longwriter.agentwrite.prompts import Wording, plan_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.core.errors import BadCompletion
from longwriter.core.rows import Instruction, Step
from longwriter.llm.answers import Completion, json_object
from longwriter.llm.budget import Account
from longwriter.llm.check import Parameters
from longwriter.llm.client import ChatClient
from longwriter.llm.sampling import first_usable
from longwriter.llm.settings import ServerSettings, Structured
from longwriter.text.markup import squeezed
from longwriter.text.refusals import refusal_in

COARSEST = 2
"""A plan is sampled again if splitting would multiply its number of steps by more than this."""


def steps_wanted(length: int, settings: AgentWriteSettings) -> int:
    """Returns the number of steps for `length` words, which may be above max_steps.

    It is near length / step_words, at least one, and allows budgets in
    [min_step_words, max_step_words].
    """
    fewest = -(-length // settings.max_step_words)
    most = max(fewest, min(settings.max_steps, length // settings.min_step_words))
    return max(fewest, 1, min(most, round(length / settings.step_words)))


def plan_tokens(steps: int, settings: AgentWriteSettings) -> int:
    """Returns the most tokens that a plan of `steps` steps may take."""
    return 60 + (30 + settings.max_point_characters // 2) * steps


def plan_schema(steps: int | None, settings: AgentWriteSettings) -> dict[str, Any]:
    """Returns the JSON schema of a plan of exactly `steps` steps; None: of 1 to max_steps."""
    step = {
        "type": "object",
        "properties": {
            "main_point": {
                "type": "string",
                "minLength": 10,
                "maxLength": settings.max_point_characters,
            },
            "word_count": {
                "type": "integer",
                "minimum": settings.min_step_words,
                "maximum": settings.max_step_words,
            },
        },
        "required": ["main_point", "word_count"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {
            "plan": {
                "type": "array",
                "items": step,
                "minItems": steps or 1,
                "maxItems": steps or settings.max_steps,
            }
        },
        "required": ["plan"],
        "additionalProperties": False,
    }


def call_parameters(settings: AgentWriteSettings, teacher: ServerSettings) -> Parameters:
    """Returns what the agent's calls send besides messages and the teacher's settings."""
    lines = teacher.structured is Structured.text
    return Parameters(None if lines else plan_schema(None, settings), settings.stop)


async def make_plan(
    client: ChatClient,
    instruction: Instruction,
    settings: AgentWriteSettings,
    wording: Wording,
    account: Account,
) -> list[Step]:
    """Samples a plan whose budgets add up to the requested length.

    If no length is requested, they add up to the teacher's own total. The answer must follow a JSON
    schema if the server supports that; else the prompt asks for the paper's lines. An answer that
    is not a plan, or whose budgets cannot be made to fit, goes back to the teacher with its fault.

    Raises:
        BadCompletion: no answer was a usable plan.
        CallError: a call failed for good.
    """
    steps = steps_wanted(instruction.length, settings) if instruction.length else None
    if steps and steps > settings.max_steps:
        raise BadCompletion(
            f"{instruction.length} words need {steps} steps of at most {settings.max_step_words} "
            f"words, and agentwrite.max_steps is {settings.max_steps}; raise one of the two"
        )
    lines = client.settings.structured is Structured.text
    request = plan_messages(instruction, steps, settings.max_steps, lines, wording)
    messages = request

    async def ask(sample: int) -> Completion:
        return await client.complete(
            messages,
            max_tokens=min(
                plan_tokens(steps or settings.max_steps, settings), client.settings.max_tokens
            ),
            schema=None if lines else plan_schema(steps, settings),
            sample=sample,
            account=account,
            step="plan",
            chained=not settings.parallel,
        )

    def read(completion: Completion) -> list[Step]:
        nonlocal messages
        try:
            plan = read_plan(completion)
            if not lines:
                check_points(plan, settings.max_point_characters)
            return fit_budgets(plan, instruction.length, wording, settings)
        except BadCompletion as error:
            account.reject("plan", str(error))
            again = wording.plan_again.format(fault=error)
            messages = [
                *request,
                {"role": "assistant", "content": completion.text or "…"},
                {"role": "user", "content": again},
            ]
            raise

    return await first_usable(ask, read, settings.attempts, "plan")


def read_plan(completion: Completion) -> list[Step]:
    """Returns the steps in an answer, which is a JSON object or lines.

    Steps with the same main point are merged.

    Raises:
        BadCompletion: the answer has no steps or was cut off, or a main point is empty.
    """
    text = completion.text
    if completion.finish_reason == "length":
        raise BadCompletion("cut off by max_tokens")
    value = json_object(text)
    try:
        plan = [Step.model_validate(step) for step in (value or {})["plan"]]
    except (KeyError, TypeError, ValidationError):
        plan = list(steps_in_lines(text)) if value is None else []
    if not plan:
        refused = refusal_in(text)
        raise BadCompletion(f"it refuses: {refused!r}" if refused else f"no plan: {text[:80]!r}")
    once: dict[str, Step] = {}
    for number, step in enumerate(plan, start=1):
        point = step.main_point.strip().lower()
        if not point:
            raise BadCompletion(f"step {number} has no main point")
        words = step.word_count + (once[point].word_count if point in once else 0)
        once[point] = once.get(point, step).model_copy(update={"word_count": words})
    return list(once.values())


def check_points(plan: list[Step], most: int) -> None:
    """Checks the length of main points, because not every server enforces it.

    Args:
        most: most characters of a main point.

    Raises:
        BadCompletion: a main point is longer.
    """
    for number, step in enumerate(plan, start=1):
        if len(step.main_point) > most:
            raise BadCompletion(
                f"the main point of step {number} has {len(step.main_point)} characters, "
                f"{most} at most"
            )


_ABOUT = r"(?:about|around|approximately|approx\.?|roughly|circa|ca\.?|[~≈约大概左右]{0,6})"

_NUMBER = r"(?<!\d)(\d{1,3}(?:[,，]\d{3}){1,3}|\d{1,9})(?!\d)"

_RANGE = rf"{_NUMBER}(?:\s*(?:-|–|—|~|～|to|至|到)\s*{_NUMBER})?"

_UNIT = r"(?:words?|个字|字)"

_KEYED = re.compile(
    rf"(?:word[\s_-]*count|words|length|字\s*数)\s*[:：=]\s*{_ABOUT}\s*{_RANGE}\s*{_UNIT}?", re.I
)

_BARE = re.compile(
    rf"[(（\[【]?\s*{_ABOUT}\s*{_RANGE}\s*{_UNIT}(?![a-z])\s*(?:左右)?\s*[)）\]】]?", re.I
)

_LABEL = re.compile(
    r"(?:^|\n)[^\S\n]*(?:[-•]\s*)?(?:(?:paragraph|section|part|step)\s*\d+|第\s*[\d一二三四五六七八九十百]+\s*[段节部步]分?"
    r"|段落\s*[\d一二三四五六七八九十百]+|\d+\s*[.)、．）])",
    re.I,
)

_KEY = re.compile(r"^(?:main[\s_-]*points?|要点|主要内容|主旨|内容)\s*[:：]\s*", re.I)

_SUM = re.compile(r"^\W*(?:in )?(?:total|sum|overall|合计|总计?|总共|共计|全文)[\s的共约]*$", re.I)

_EDGE = " \t\n-–—:：;；,，.、|•[](（【"


def steps_in_lines(text: str) -> Iterator[Step]:
    """Yields the steps of a plan in free text, in which each step ends with its number of words.

    Reads the paper's lines (`Paragraph 1 - Main Point: … - Word Count: 300 words`) and teachers'
    variants of them: other numbering or none, bold, full-width punctuation, one or several lines
    per step, ranges (the midpoint counts), thousands separators, Chinese. Text before the first
    label and a total at the end are not steps.
    """
    text = squeezed(re.sub(r"[*#`]+", "", text))
    stated = list((_KEYED if _KEYED.search(text) else _BARE).finditer(text))
    start = 0
    for found in stated:
        entry, start = text[start : found.start()], found.end()
        labels = list(_LABEL.finditer(entry))
        point = entry[labels[-1].end() :] if labels else entry
        point = _KEY.sub("", point.strip(_EDGE)).strip(_EDGE + ")）】")
        if _SUM.match(point):
            continue
        low, high = (int(re.sub(r"\D", "", n)) for n in (found[1], found[2] or found[1]))
        if low + high:
            yield Step.model_construct(
                main_point=" ".join(point.split()), word_count=round((low + high) / 2)
            )


def fit_budgets(
    plan: list[Step], length: int | None, wording: Wording, settings: AgentWriteSettings
) -> list[Step]:
    """Returns the plan with budgets that add up to exactly `length` (None: to their own sum).

    Each is within [min_step_words, max_step_words]; a plan of one step may be below. Budgets keep
    their proportions. If a plan has too few or too many steps for such budgets, its largest steps
    are split, or its smallest neighbours merged.

    Raises:
        BadCompletion: the plan would need too many steps, or is too coarse to be split.
    """
    total = length or sum(step.word_count for step in plan)
    fewest = -(-total // settings.max_step_words)
    most = max(1, fewest, total // settings.min_step_words)
    if fewest > settings.max_steps:
        raise BadCompletion(f"{total} words in all, and {settings.max_steps} steps at most")
    if fewest > COARSEST * len(plan):
        raise BadCompletion(f"{len(plan)} steps are too few for {total} words: {fewest} at least")
    plan = list(plan)
    while len(plan) > min(most, settings.max_steps):
        sums = [a.word_count + b.word_count for a, b in pairwise(plan)]
        place = sums.index(min(sums))
        first, second = plan[place : place + 2]
        joint = wording.joint.format(first=first.main_point, second=second.main_point)
        plan[place : place + 2] = [Step(main_point=joint, word_count=sums[place])]
    if len(plan) < fewest:
        plan = _split(plan, fewest, wording)
    lowest = min(settings.min_step_words, total // len(plan))
    budgets = rescale([step.word_count for step in plan], total, lowest, settings.max_step_words)
    return [
        step.model_copy(update={"word_count": budget})
        for step, budget in zip(plan, budgets, strict=True)
    ]


def _split(plan: list[Step], steps: int, wording: Wording) -> list[Step]:
    """Splits the steps with the most words into parts until the plan has `steps` steps."""
    parts = [1] * len(plan)
    while sum(parts) < steps:
        shares = [step.word_count / number for step, number in zip(plan, parts, strict=True)]
        parts[shares.index(max(shares))] += 1
    part = wording.part
    return [
        step.model_copy(
            update={
                "main_point": part.format(point=step.main_point, number=number, parts=count)
                if count > 1
                else step.main_point,
                "word_count": -(-step.word_count // count),
            }
        )
        for step, count in zip(plan, parts, strict=True)
        for number in range(1, count + 1)
    ]


def split_step(step: Step, wording: Wording) -> list[Step]:
    """Returns two steps on the same point, each with half of the step's budget."""
    point, more = step.main_point, wording.more
    points = [point, point if point.endswith(more.format(point="")) else more.format(point=point)]
    half = -(-step.word_count // 2)
    return [step.model_copy(update={"main_point": p, "word_count": half}) for p in points]


def rescale(budgets: list[int], total: int, lowest: int, highest: int) -> list[int]:
    """Scales `budgets` to whole numbers that add up to `total`, each within [lowest, highest].

    They keep their proportions. That a solution exists is not checked.
    """

    def clipped(scale: float) -> list[float]:
        return [min(max(budget * scale, lowest), highest) for budget in budgets]

    low, high = 0.0, highest / min(budgets)
    for _ in range(60):  # a double's fraction has 52 bits
        scale = (low + high) / 2
        low, high = (scale, high) if sum(clipped(scale)) < total else (low, scale)
    exact, rounded, seen = clipped(high), list[int](), 0.0
    for share in exact:
        seen += share
        rounded.append(min(max(round(seen) - sum(rounded), lowest), highest))
    for at in range(len(rounded)):  # what clipping left over
        missing = total - sum(rounded)
        rounded[at] = min(max(rounded[at] + missing, lowest), highest)
    return rounded
