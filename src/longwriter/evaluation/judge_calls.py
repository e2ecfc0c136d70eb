"""Defines what all calls of a stage to its judge have in common."""

from pathlib import Path

from longwriter.evaluation.judge import JudgePrompt
from longwriter.evaluation.settings import JudgeSettings
from longwriter.llm.check import Parameters
from longwriter.llm.session import CallContext, spending


def judge_calls(
    cache: Path,
    seed: int,
    threads: int | None,
    judge: JudgeSettings,
    prompt: JudgePrompt,
    what: str,
) -> CallContext:
    """Returns what all calls of a stage to its judge have in common.

    Args:
        what: what is graded, such as `eval sft`; each has a cost limit of its own.
    """
    asked = judge.model, judge.prompt_path, judge.repeats
    money = spending(judge.max_cost, what, *asked)
    return CallContext(cache, seed, threads, money, Parameters(prompt.schema))
