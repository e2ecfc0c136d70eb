"""What all calls of a stage to its judge have in common."""

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
    """What all calls of a stage to its judge have in common.

    Args:
        what: is graded, such as `eval sft`: its limit of cost is its own.
    """
    asked = judge.model, judge.prompt_path, judge.repeats
    money = spending(judge.max_cost, what, *asked)
    return CallContext(cache, seed, threads, money, Parameters(prompt.schema))
