"""Generates a benchmark's answers with the model under test."""

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
    """Requests `samples` answers to every prompt.

    Each prompt is sent as one user message, sampled as the client's settings say. The longest texts
    are started first, so that none is left to run alone at the end. An empty answer counts as an
    answer; a missing one is an error, because scores over part of a benchmark cannot be compared.
    If the provider refuses an answer for its content, or it is cut off while thinking, it is empty
    and has the reason in `unanswered`.

    Returns:
        Predictions in the order of the prompts, with the prompts' fields. If there are several per
        prompt, the field `sample` counts them from 0. A plan before the text (`filter.plan`) is
        moved to the field `plan`, as it is not part of the requested text.

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
    """Returns the content of metrics/predict/NAME.json.

    That is the number of predictions, of cut-off answers and of missing ones by reason, and the
    mean number of words.
    """
    return {
        "n": len(predictions),
        "cut_off": sum(row.finish_reason == "length" for row in predictions),
        "unanswered": dict(Counter(filter(None, map(_why, predictions)))),
        "mean_words": round(fmean(row.response_length for row in predictions), 4),
    }


def _why(row: Prediction) -> str:
    """Returns the error class for which the model gave no answer; empty if it gave one."""
    return str((row.model_extra or {}).get("unanswered", "")).partition(":")[0]


def predictions_name(predict: PredictSettings, server: ServerSettings, last: str) -> str:
    """Returns the name of the predictions file, without `.jsonl`.

    It is the name of `predict.model` if that is set, else of the endpoint's model (with "-" for
    characters that a file name should not have), else `last`, the pipeline's last model.
    """
    if predict.model:
        return Path(predict.model).name
    if server.kind is ServerKind.endpoint and server.model:
        return re.sub(r"[^A-Za-z0-9._-]", "-", server.model)
    return last
