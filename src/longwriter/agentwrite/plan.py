"""The plan: so many steps, each with a main point and a budget, that add up to the request."""

import json
from typing import Any

from pydantic import ValidationError

from longwriter.agentwrite.prompts import plan_messages
from longwriter.agentwrite.settings import AgentWriteSettings
from longwriter.chat.client import ChatClient, Completion, json_object
from longwriter.errors import BadCompletion
from longwriter.records import Instruction, Step, Usage


def steps_wanted(length: int, settings: AgentWriteSettings) -> int:
    """Number of steps for `length` words: near length / step_words, at least one, and never so few
    or many that a step would leave [min_step_words, max_step_words]. It may be above max_steps."""
    fewest = -(-length // settings.max_step_words)
    most = max(fewest, min(settings.max_steps, length // settings.min_step_words))
    return max(fewest, 1, min(most, round(length / settings.step_words)))


def plan_schema(steps: int | None, settings: AgentWriteSettings) -> dict[str, Any]:
    """JSON schema of a plan of exactly `steps` steps; None: of 1 to max_steps."""
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


async def make_plan(
    client: ChatClient, instruction: Instruction, settings: AgentWriteSettings, usage: Usage
) -> list[Step]:
    """A plan whose budgets add up to the requested length.

    Without a requested length the teacher's own budgets stand.

    Raises:
        BadCompletion: no sample was a usable plan.
        CallError: a call failed for good.
    """
    steps = steps_wanted(instruction.length, settings) if instruction.length else None
    if steps and steps > settings.max_steps:
        raise BadCompletion(
            f"{instruction.length} words need {steps} steps of at most {settings.max_step_words} "
            f"words, and agentwrite.max_steps is {settings.max_steps}; raise one of the two"
        )
    fault = ""
    for sample in range(settings.attempts):
        completion = await client.complete(
            plan_messages(instruction, steps, settings.max_steps),
            max_tokens=min(
                60 + (30 + settings.max_point_characters // 2) * (steps or settings.max_steps),
                client.settings.max_tokens,
            ),
            schema=plan_schema(steps, settings),
            sample=sample,
            usage=usage,
        )
        plan, fault = read_plan(completion, steps, settings)
        if plan:
            return rescale(plan, instruction.length) if instruction.length else plan
    raise BadCompletion(f"no usable plan in {settings.attempts} samples; the last: {fault}")


def read_plan(
    completion: Completion, steps: int | None, settings: AgentWriteSettings
) -> tuple[list[Step], str]:
    """The steps of an answer, or none and what is wrong with it.

    Args:
        steps: how many were asked for; None: 1 to max_steps.
    """
    if completion.finish_reason == "length":
        return [], "cut off by max_tokens"
    value = json_object(completion.text)
    try:
        plan = [Step.model_validate(step) for step in (value or {})["plan"]]
    except (KeyError, TypeError, ValidationError):
        return [], f"not the JSON asked for: {json.dumps(completion.text[:80], ensure_ascii=False)}"
    points = [step.main_point.strip().lower() for step in plan]
    if not plan or len(plan) > settings.max_steps or len(plan) != (steps or len(plan)):
        return [], f"{len(plan)} steps" + (f" for {steps}" if steps else "")
    if len(set(points)) < len(points):
        return [], "a main point stands twice"
    return plan, ""


def rescale(plan: list[Step], length: int) -> list[Step]:
    """The same steps with budgets in the same proportions that add up to `length` exactly."""
    total = sum(step.word_count for step in plan)
    budgets, given, seen = [], 0, 0
    for step in plan:
        seen += step.word_count
        budgets.append(max(1, round(length * seen / total) - given))
        given += budgets[-1]
    budgets[budgets.index(max(budgets))] -= given - length
    return [
        step.model_copy(update={"word_count": budget})
        for step, budget in zip(plan, budgets, strict=True)
    ]
