"""What the agent says to the teacher, in English and Chinese.

One worked example stands before the plan that is asked for: teachers as small as the embedded one
follow an example, not a description.
"""

from dataclasses import dataclass

from longwriter.chat.client import Messages
from longwriter.records import Instruction, Step


@dataclass(frozen=True)
class Wording:
    """The agent's sentences in one language."""

    plan: str
    plan_freely: str
    example_prompt: str
    example_plan: str
    so_far: str
    only: str
    first: str
    following: str
    last: str
    outline: str


WORDINGS = {
    "en": Wording(
        plan="{prompt}\n\nPlan {steps} paragraph(s). Give the main point and the word count of each.",
        plan_freely="{prompt}\n\nPlan the paragraphs, {steps} at most. Give the main point and the "
        "word count of each.",
        example_prompt="Write a 200-word article about our first vegetable garden.",
        example_plan=(
            '{"plan": [{"main_point": "How the garden looked when we moved in, and why we wanted '
            'to change it.", "word_count": 70}, {"main_point": "Digging the beds, choosing the '
            'seeds and planting them in the right month.", "word_count": 80}, {"main_point": "What '
            'grew well, what the slugs ate, and what we will do next year.", "word_count": 50}]}'
        ),
        outline="The plan:\n{plan}\n\n",
        so_far="The text so far:\n{text}\n\n",
        only="Write it as one paragraph of about {words} words. Its point: {point}",
        first="Write only the first paragraph, in about {words} words. Its point: {point}",
        following="Write only the next paragraph, in about {words} words. Its point: {point}",
        last="Write only the last paragraph, in about {words} words. Its point: {point}",
    ),
    "zh": Wording(
        plan="{prompt}\n\n请规划{steps}个段落，给出每段的要点和字数。",
        plan_freely="{prompt}\n\n请规划段落，最多{steps}段，给出每段的要点和字数。",
        example_prompt="写一篇200字的文章，介绍我们的第一个菜园。",
        example_plan=(
            '{"plan": [{"main_point": "刚搬来时院子的样子，以及想要改变它的原因。", "word_count": 70}, '
            '{"main_point": "怎样翻地、挑选种子，并在合适的月份种下。", "word_count": 80}, '
            '{"main_point": "哪些长得好，哪些被虫吃了，明年打算怎么做。", "word_count": 50}]}'
        ),
        outline="写作计划：\n{plan}\n\n",
        so_far="已经写好的部分：\n{text}\n\n",
        only="请写成一个约{words}字的段落。要点：{point}",
        first="请只写第一段，约{words}字。要点：{point}",
        following="请只写下一段，约{words}字。要点：{point}",
        last="请只写最后一段，约{words}字。要点：{point}",
    ),
}


def plan_messages(instruction: Instruction, steps: int | None, max_steps: int) -> Messages:
    """Asks for a plan of `steps` paragraphs (None: of up to max_steps), after one worked example
    of three."""
    wording = WORDINGS[instruction.language]
    ask = wording.plan if steps else wording.plan_freely
    return [
        {"role": "user", "content": wording.plan.format(prompt=wording.example_prompt, steps=3)},
        {"role": "assistant", "content": wording.example_plan},
        {
            "role": "user",
            "content": ask.format(prompt=instruction.prompt, steps=steps or max_steps),
        },
    ]


def step_messages(
    instruction: Instruction, plan: list[Step], written: list[str], words: int
) -> Messages:
    """Asks for the paragraph after `written`: instruction, plan, text so far, then the step.

    The step comes last, so that a server's prefix cache serves all that stands before it.
    """
    wording, number = WORDINGS[instruction.language], len(written)
    outline = "\n".join(f"{i}. {step.main_point}" for i, step in enumerate(plan, start=1))
    if len(plan) == 1:
        ask = wording.only
    elif number == 0:
        ask = wording.first
    else:
        ask = wording.last if number == len(plan) - 1 else wording.following
    content = f"{instruction.prompt}\n\n"
    if len(plan) > 1:
        content += wording.outline.format(plan=outline)
    if written:
        content += wording.so_far.format(text="\n\n".join(written))
    content += ask.format(words=words, point=plan[number].main_point)
    return [{"role": "user", "content": content}]
