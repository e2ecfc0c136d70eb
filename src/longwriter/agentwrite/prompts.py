"""Builds the agent's messages to the teacher from the templates in conf/prompts/.

A worked example precedes the request for a plan: teachers as small as the embedded one follow an
example, not a description.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from longwriter.core.errors import SettingsError
from longwriter.core.rows import Instruction, Step
from longwriter.llm.request import Messages


class Wording(BaseModel):
    """The agent's prompt templates in one language; the files say what each is for."""

    model_config = ConfigDict(extra="forbid")

    question: str
    plan: str
    plan_freely: str
    plan_lines: str
    plan_again: str
    example_prompt: str
    example_plan: list[Step]
    line: str
    joint: str
    part: str
    more: str
    outline: str
    so_far: str
    only: str
    first: str
    following: str
    last: str


Prompts = Mapping[str, Wording]
"""Language → the agent's prompt templates."""


@dataclass(frozen=True, kw_only=True)
class StepRequest:
    """The paragraph that a step asks for."""

    step: Step
    number: int
    """Index of the paragraph in the text, from 0."""
    last: bool
    words: int
    """Number of words to ask for."""
    so_far: str
    """The text so far, or the part of it that the teacher sees; empty: none."""


def read_prompts(files: Mapping[str, str], root: Path) -> Prompts:
    """Reads the prompt templates that the setting agentwrite.prompts names.

    Args:
        files: language → file.
        root: the checkout, to which paths are relative.

    Raises:
        SettingsError: a file cannot be read, or lacks a template.
    """
    return {language: _read(root / file, language) for language, file in files.items()}


def _read(path: Path, language: str) -> Wording:
    try:
        return Wording.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"agentwrite.prompts.{language}: {path}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise SettingsError(
            f"agentwrite.prompts.{language}: {path}: {key}: {first['msg']}; "
            f"see conf/prompts/agentwrite_{language}.yaml for a complete set of templates"
        ) from None


def question_messages(instruction: Instruction, words: int, wording: Wording) -> Messages:
    """Asks whether the instruction needs more than `words` words, and which length it asks for.

    The markers around the prompt hold a digest of it, so no prompt can contain its own end marker.
    """
    mark = hashlib.sha256(instruction.prompt.encode()).hexdigest()[:8]
    content = wording.question.format(words=words, mark=mark, prompt=instruction.prompt)
    return [{"role": "user", "content": content}]


def plan_messages(
    instruction: Instruction, steps: int | None, max_steps: int, lines: bool, wording: Wording
) -> Messages:
    """Asks for a plan of `steps` paragraphs (None: up to max_steps), after an example with three.

    Args:
        lines: ask for lines, as in the paper, rather than for a JSON object.
    """
    form = wording.plan_lines if lines else ""
    ask = wording.plan if steps else wording.plan_freely
    rows = [step.model_dump() for step in wording.example_plan]
    example = json.dumps({"plan": rows}, ensure_ascii=False)
    if lines:
        example = "\n".join(
            wording.line.format(number=number, point=step.main_point, words=step.word_count)
            for number, step in enumerate(wording.example_plan, start=1)
        )
    return [
        {
            "role": "user",
            "content": wording.plan.format(prompt=wording.example_prompt, steps=3) + form,
        },
        {"role": "assistant", "content": example},
        {
            "role": "user",
            "content": ask.format(prompt=instruction.prompt, steps=steps or max_steps) + form,
        },
    ]


def step_messages(
    instruction: Instruction, outline: Sequence[Step], request: StepRequest, wording: Wording
) -> Messages:
    """Asks for one paragraph of a text: instruction, outline, text so far, then the step.

    The step comes last, so that a server's prefix cache serves everything before it.
    """
    points = "\n".join(f"{i}. {planned.main_point}" for i, planned in enumerate(outline, start=1))
    if request.last:
        ask = wording.last if request.number else wording.only
    else:
        ask = wording.following if request.number else wording.first
    content = f"{instruction.prompt}\n\n"
    if len(outline) > 1:
        content += wording.outline.format(plan=points)
    if request.so_far:
        content += wording.so_far.format(text=request.so_far)
    content += ask.format(words=request.words, point=request.step.main_point)
    return [{"role": "user", "content": content}]
