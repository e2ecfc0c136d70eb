"""Writes a benchmark's answers with the model under test."""

import re
from operator import itemgetter
from pathlib import Path
from statistics import fmean

from longwriter.chat.calls import all_or_none
from longwriter.chat.client import ChatClient
from longwriter.chat.servers import digest
from longwriter.chat.settings import ServerKind
from longwriter.errors import DataError
from longwriter.evaluation.languages import benchmark_language
from longwriter.evaluation.settings import BenchSettings, PredictSettings
from longwriter.planned import take_apart
from longwriter.records import BenchmarkPrompt, Prediction, read_jsonl
from longwriter.text import count_words
from longwriter.training.settings import StudentSettings


def load_benchmark(path: Path, sha256: str | None) -> list[BenchmarkPrompt]:
    """The prompts in `path`.

    Args:
        sha256: what the file's checksum must be, in hex; null: not checked.

    Raises:
        DataError: the file cannot be read, has another checksum, or a row is not a prompt.
    """
    prompts = read_jsonl(path, BenchmarkPrompt)
    if sha256 is not None and digest(path) != sha256.lower():
        raise DataError(
            f"{path}: its SHA-256 is {digest(path)}, and bench.sha256 expects {sha256}. Get the "
            "file again, or set bench.sha256 to the new sum (null: not checked) if it is meant: "
            "scores of different files cannot be compared."
        )
    return prompts


def chosen_benchmark(
    predict: PredictSettings, bench: BenchSettings, root: Path
) -> list[BenchmarkPrompt]:
    """The first `bench.limit` prompts in `bench.languages` of `predict.benchmark`, else of
    `bench.path`, whose checksum is checked.

    Raises:
        DataError: as `load_benchmark`, or no prompt is left.
    """
    if predict.benchmark:
        prompts = load_benchmark(Path(predict.benchmark).absolute(), None)
    else:
        prompts = load_benchmark(root / bench.path, bench.sha256)
    chosen = [row for row in prompts if benchmark_language(row.prompt) in bench.languages]
    if not chosen:
        raise DataError(
            f"bench.languages: {bench.languages} leaves none of {len(prompts)} prompts; the "
            "languages are en and zh"
        )
    return chosen[: bench.limit]


async def predict(
    client: ChatClient, prompts: list[BenchmarkPrompt], samples: int = 1
) -> list[Prediction]:
    """`samples` answers a prompt, in the prompts' order and with their fields, all asked for at
    once, the longest first: at the end none is written alone. Where a prompt has several, the field
    `sample` counts them from 0.

    Each prompt is one user message, sampled as the client's settings say. An empty answer is an
    answer, a missing one is an error: a benchmark with holes is no benchmark. A plan before the
    text (`filter.plan`) is kept as the field `plan`: it is no part of what was asked for.

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
    completion = await client.complete(messages, sample=prompt.model_dump().get("sample", 0))
    plan, text = take_apart(completion.text)
    answer = {
        "response": text,
        "response_length": count_words(text),
        "finish_reason": completion.finish_reason,
        **({"plan": plan} if plan else {}),
    }
    return Prediction.model_validate(prompt.model_dump() | answer)


def describe(predictions: list[Prediction]) -> dict[str, float]:
    """Count, cut-off answers and mean words, for the record of the run."""
    return {
        "n": len(predictions),
        "cut_off": sum(row.finish_reason == "length" for row in predictions),
        "mean_words": round(fmean(row.response_length for row in predictions), 4),
    }


def predictions_name(predict: PredictSettings, student: StudentSettings) -> str:
    """What the predictions' file is called: the name of `predict.model` where it is given, else of
    the endpoint's model ("-" for characters that do not belong into a file's name), else `dpo`."""
    if predict.model:
        return Path(predict.model).name
    if student.server is ServerKind.endpoint:
        return re.sub(r"[^A-Za-z0-9._-]", "-", student.model or "dpo")
    return "dpo"
