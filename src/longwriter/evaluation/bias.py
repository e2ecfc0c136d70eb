"""What sways a judge besides quality: length, and a dimension's place in the list."""

import re
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from longwriter.chat.calls import all_or_none
from longwriter.chat.client import ChatClient
from longwriter.errors import CallError, TransientError
from longwriter.evaluation.judge_prompt import DIMENSIONS, JudgePrompt
from longwriter.evaluation.quality import grade, planted, quality_score
from longwriter.evaluation.score import spread_out
from longwriter.evaluation.statistics import interval
from longwriter.records import Prediction
from longwriter.text import count_words

FEWEST_WORDS = 40
"""Texts below cannot be cut in half and still be judged."""


async def probe(
    client: ChatClient,
    predictions: Sequence[Prediction],
    prompt: JudgePrompt,
    probes: int,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """What sways the judge besides quality, from `probes` texts that it grades in several forms.

    - `length`: S_q of the whole text less that of its first half, which ends at a sentence. The
      half says the same things as far as it goes, and the judge is told to ignore length: a
      difference above 0 in the dimensions that do not need the rest (Clarity, Accuracy) is a taste
      for length.
    - `padding`: S_q of the text followed by itself less that of the text: more words, no content.
      Above 0 is a plain bias for length.
    - `position`: the grade of the dimensions when the list is turned round, for the one that was
      first and is last now and the other way round: mean grade of the two when asked first less when
      asked last, in points of S_q. Own prompt only: a file's list cannot be turned.

    Returns:
        Each of the three as `n`, `mean`, `interval` and, for `length`, the means by dimension;
        `failed`: forms that got no grades.
    """
    chosen = _fit(predictions)
    texts = [chosen[place] for place in spread_out(len(chosen), min(probes, len(chosen)))]
    turned = JudgePrompt(prompt.template, tuple(reversed(prompt.order)))
    forms: list[tuple[JudgePrompt, str, str]] = []
    for row in texts:
        forms += [
            (prompt, row.prompt, row.response),
            (prompt, row.prompt, first_half(row.response)),
            (prompt, row.prompt, f"{row.response}\n\n{row.response}"),
            (turned, row.prompt, row.response),
        ]
    if prompt.template is not None:
        forms = [form for number, form in enumerate(forms) if number % 4 != 3]
    found = await all_or_none([_graded(client, *form) for form in forms], "calibrate")
    width = 4 if prompt.template is None else 3
    tries = [found[start : start + width] for start in range(0, len(found), width)]
    halved = [(whole, half) for whole, half, *_ in tries if whole and half]
    return {
        "length": {
            **_difference([_less(whole, half) for whole, half in halved], resamples, seed),
            "dimensions": {
                name: 25 * fmean(whole[name] - half[name] for whole, half in halved)
                for name in DIMENSIONS
                if halved
            },
        },
        "padding": _difference(
            [_less(twice, whole) for whole, _, twice, *_ in tries if whole and twice],
            resamples,
            seed,
        ),
        "position": _difference(
            [
                _first_less_last(row[0], row[3])
                for row in tries
                if len(row) > 3 and row[0] and row[3]
            ],
            resamples,
            seed,
        ),
        "failed": sum(each is None for each in found),
    }


def first_half(text: str) -> str:
    """The text up to the first sentence's end behind its middle; the half where there is none."""
    middle = len(text) // 2
    end = re.compile(r"[.!?](?=\s|$)|[。！？]|\n").search(text, middle)
    return text[: end.end() if end and end.end() < 0.8 * len(text) else middle].rstrip()


def _fit(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Those long enough to be halved, which do not tell the judge how to grade."""
    return [
        row
        for row in predictions
        if count_words(row.response) >= FEWEST_WORDS and not planted(row.response)
    ]


async def _graded(
    client: ChatClient, prompt: JudgePrompt, request: str, text: str
) -> dict[str, int] | None:
    try:
        return await grade(client, prompt, request, text)
    except TransientError:
        raise
    except CallError:
        return None


def _less(a: dict[str, int], b: dict[str, int]) -> float:
    return quality_score(a) - quality_score(b)


def _first_less_last(listed: dict[str, int], turned: dict[str, int]) -> float:
    first, last = DIMENSIONS[0], DIMENSIONS[-1]
    return 25 * (listed[first] - turned[first] + turned[last] - listed[last]) / 2


def _difference(values: Sequence[float], resamples: int, seed: int) -> dict[str, Any]:
    found = interval(values, resamples, seed)
    return {
        "n": len(values),
        "mean": found and found.mean,
        "interval": found and [found.low, found.high],
    }
