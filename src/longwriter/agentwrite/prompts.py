"""What the agent says to the teacher, by the sentences in conf/prompts/.

One worked example stands before the plan that is asked for: teachers as small as the embedded one
follow an example, not a description.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from longwriter.core.errors import SettingsError
from longwriter.core.rows import Instruction, Step
from longwriter.llm.client import Messages


class Wording(BaseModel):
    """The agent's sentences in one language; the files say what each is for."""

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
"""Language → the agent's sentences."""


def read_prompts(files: Mapping[str, str], root: Path) -> Prompts:
    """The sentences that the setting agentwrite.prompts names.

    Args:
        files: language → file.
        root: the checkout, to which paths are relative.

    Raises:
        SettingsError: a file cannot be read, or lacks a sentence.
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
            f"conf/prompts/agentwrite_{language}.yaml has all sentences"
        ) from None


def question_messages(instruction: Instruction, words: int, wording: Wording) -> Messages:
    """Asks whether the instruction needs more than `words` words, and which length it asks for.

    The number on the marks is a digest of the prompt, so no prompt can hold the mark that would end
    it.
    """
    mark = hashlib.sha256(instruction.prompt.encode()).hexdigest()[:8]
    content = wording.question.format(words=words, mark=mark, prompt=instruction.prompt)
    return [{"role": "user", "content": content}]


def plan_messages(
    instruction: Instruction, steps: int | None, max_steps: int, lines: bool, wording: Wording
) -> Messages:
    """Asks for a plan of `steps` paragraphs (None: of up to max_steps), after one worked example
    of three.

    Args:
        lines: the plan comes as lines, as in the paper; else as a JSON object.
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
    instruction: Instruction,
    outline: Sequence[Step],
    step: Step,
    number: int,
    last: bool,
    so_far: str,
    words: int,
    wording: Wording,
) -> Messages:
    """Asks for the paragraph `number` (from 0) of a text: instruction, outline, text so far, the step.

    The step comes last, so that a server's prefix cache serves all that stands before it.
    """
    points = "\n".join(f"{i}. {planned.main_point}" for i, planned in enumerate(outline, start=1))
    if last:
        ask = wording.last if number else wording.only
    else:
        ask = wording.following if number else wording.first
    content = f"{instruction.prompt}\n\n"
    if len(outline) > 1:
        content += wording.outline.format(plan=points)
    if so_far:
        content += wording.so_far.format(text=so_far)
    content += ask.format(words=words, point=step.main_point)
    return [{"role": "user", "content": content}]
