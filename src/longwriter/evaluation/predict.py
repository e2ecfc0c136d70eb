"""Writes a benchmark's answers with the model under test."""

import re
from collections import Counter
from operator import itemgetter
from pathlib import Path
from statistics import fmean
from typing import Any

from longwriter.core.errors import Moderated, PromptRefused, StillThinking
from longwriter.core.rows import BenchmarkPrompt, Prediction
from longwriter.evaluation.settings import PredictSettings
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_or_none
from longwriter.llm.sampling import first_ended
from longwriter.llm.settings import ServerKind, ServerSettings
from longwriter.text.plan_tags import split_plan
from longwriter.text.words import count_words


async def predict(
    client: ChatClient, prompts: list[BenchmarkPrompt], samples: int = 1
) -> list[Prediction]:
    """Asks for `samples` answers to every prompt.

    Each prompt is one user message, sampled as the client's settings say. The longest texts are begun
    first, so that none of them is left to be written alone at the end. An empty answer is an answer;
    a missing one is an error, because scores over part of a benchmark cannot be compared. One that the
    provider refuses for its content, or that was cut off while thinking, is empty and holds the reason
    in `unanswered`.

    Returns:
        Predictions in the prompts' order, with the prompts' fields. Where a prompt has several, the
        field `sample` counts them from 0. A plan before the text (`filter.plan`) is moved to the field
        `plan`: it is not part of the text that was asked for.

    Raises:
        CallError, ServerError: as `all_or_none`.
    """
    numbered = [
        prompt if samples == 1 else prompt.model_copy(update={"sample": sample})
        for prompt in prompts
        for sample in range(samples)
    ]
    order = sorted(range(len(numbered)), key=lambda place: -numbered[place].length)
    answers = await all_or_none([_answer(client, numbered[place]) for place in order], "predict")
    return [answer for _, answer in sorted(zip(order, answers, strict=True), key=itemgetter(0))]


async def _answer(client: ChatClient, prompt: BenchmarkPrompt) -> Prediction:
    messages = [{"role": "user", "content": prompt.prompt}]
    number = prompt.model_dump().get("sample", 0)
    try:
        completion = await first_ended(
            lambda sample: client.complete(messages, sample=sample), number
        )
    except (Moderated, PromptRefused, StillThinking) as error:
        answer: dict[str, Any] = {
            "response": "",
            "response_length": 0,
            "finish_reason": "length" if isinstance(error, StillThinking) else "refused",
            "unanswered": f"{type(error).__name__}: {error}",
        }
    else:
        plan, text = split_plan(completion.text)
        answer = {
            "response": text,
            "response_length": count_words(text),
            "finish_reason": completion.finish_reason,
            **({"plan": plan} if plan else {}),
        }
    return Prediction.model_validate(prompt.model_dump() | answer)


def describe(predictions: list[Prediction]) -> dict[str, Any]:
    """Returns metrics/predict/NAME.json: predictions, cut-off answers, those without an answer by reason,
    and mean words."""
    return {
        "n": len(predictions),
        "cut_off": sum(row.finish_reason == "length" for row in predictions),
        "unanswered": dict(Counter(filter(None, map(_why, predictions)))),
        "mean_words": round(fmean(row.response_length for row in predictions), 4),
    }


def _why(row: Prediction) -> str:
    """The class of the reason why the model gave no answer; empty where it gave one."""
    return str((row.model_extra or {}).get("unanswered", "")).partition(":")[0]


def predictions_name(predict: PredictSettings, server: ServerSettings, last: str) -> str:
    """Returns the name of the predictions' file, without `.jsonl`.

    It is that of `predict.model` where that is given, else of the endpoint's model (with "-" for
    characters that a file's name should not have), else `last`, the pipeline's last model.
    """
    if predict.model:
        return Path(predict.model).name
    if server.kind is ServerKind.endpoint and server.model:
        return re.sub(r"[^A-Za-z0-9._-]", "-", server.model)
    return last
