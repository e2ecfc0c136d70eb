"""How far the judge can be trusted: its biases, and its agreement with people."""

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from longwriter.core.errors import CallError, DataError, TransientError
from longwriter.core.files import digest
from longwriter.core.rows import Prediction
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import interval
from longwriter.core.tables import round_floats
from longwriter.evaluation.agreement import Label, agreement, read_labels, with_labels
from longwriter.evaluation.judge import (
    DIMENSIONS,
    JudgePrompt,
    grade,
    judge,
    planted,
    quality_score,
    ungraded,
)
from longwriter.evaluation.scoring import spread_out
from longwriter.evaluation.settings import JudgeAuditSettings, JudgeSettings
from longwriter.llm.client import ChatClient
from longwriter.llm.fanout import all_or_none
from longwriter.text.words import count_words

FEWEST_WORDS = 40
"""Texts below cannot be cut in half and still be judged."""


async def probe(
    client: ChatClient,
    predictions: Sequence[Prediction],
    prompt: JudgePrompt,
    probes: int,
    statistics: StatisticsSettings,
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
    found = await all_or_none([_graded(client, *form) for form in forms], "judge_audit")
    width = 4 if prompt.template is None else 3
    tries = [found[start : start + width] for start in range(0, len(found), width)]
    halved = [(whole, half) for whole, half, *_ in tries if whole and half]
    return {
        "length": {
            **_difference([_less(whole, half) for whole, half in halved], statistics),
            "dimensions": {
                name: 25 * fmean(whole[name] - half[name] for whole, half in halved)
                for name in DIMENSIONS
                if halved
            },
        },
        "padding": _difference(
            [_less(twice, whole) for whole, _, twice, *_ in tries if whole and twice],
            statistics,
        ),
        "position": _difference(
            [
                _first_less_last(row[0], row[3])
                for row in tries
                if len(row) > 3 and row[0] and row[3]
            ],
            statistics,
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


def _difference(values: Sequence[float], statistics: StatisticsSettings) -> dict[str, Any]:
    found = interval(values, statistics)
    return {
        "n": len(values),
        "mean": found and found.mean,
        "interval": found and [found.low, found.high],
    }


def audit_labels(settings: JudgeAuditSettings, root: Path, rows: int) -> list[Label]:
    """The labels that the settings name, none where they name no file.

    Args:
        root: the checkout, to which judge_audit.labels is relative.
        rows: how many rows the predictions have.

    Raises:
        DataError: as `read_labels`, or the file has another checksum.
    """
    if settings.labels is None:
        return []
    path, wanted = root / settings.labels, settings.labels_sha256
    labels = read_labels(path, rows)
    if wanted is not None and digest(path) != wanted.lower():
        raise DataError(
            f"{path}: its SHA-256 is {digest(path)}, and judge_audit.labels_sha256 expects {wanted}; "
            "set the new sum (null: not checked) if the new labels are meant"
        )
    return labels


async def audit_judge(
    client: ChatClient,
    predictions: Sequence[Prediction],
    labels: Sequence[Label],
    prompt: JudgePrompt,
    judging: JudgeSettings,
    probes: int,
    statistics: StatisticsSettings,
) -> dict[str, Any]:
    """Biases of the judge (`bias`, see `probe`) and, where there are labels, its agreement with
    people (`agreement`) over the labelled texts, `unscored` of which it gave no grades.

    Raises:
        CallError, ServerError: as `all_or_none`.
    """
    bias = await probe(client, predictions, prompt, probes, statistics)
    found: dict[str, Any] = {"bias": bias, "labels": len(labels)}
    if labels:
        places = sorted({label.row - 1 for label in labels})
        graded = await all_or_none(
            [judge(client, predictions[place], prompt, judging.repeats) for place in places],
            "judge_audit",
        )
        rows = [ungraded(prediction, "not labelled") for prediction in predictions]
        for place, row in zip(places, graded, strict=True):
            rows[place] = row
        found["unscored"] = sum(row.scores is None for row in graded)
        pairs = with_labels(rows, labels)
        found["agreement"] = agreement(pairs, statistics)
    return dict(round_floats(found))


def audit_line(found: dict[str, Any]) -> str:
    """The biases, and the agreement over all dimensions, in one line."""
    parts = [
        f"{name} {bias['mean']:+.1f} [{bias['interval'][0]:+.1f}, {bias['interval'][1]:+.1f}]"
        for name, bias in found["bias"].items()
        if isinstance(bias, dict) and bias["mean"] is not None
    ]
    bias = "; ".join(parts) or "none measured"
    people = found.get("agreement", {}).get("all")
    if people is None:
        return f"bias in points of S_q [95 %]: {bias}; no labels"
    measures = (
        f"{name} {'–' if value is None else format(value, '.2f')}"
        for name in ("spearman", "kendall", "kappa")
        for value in [people[name]["value"]]
    )
    return f"bias in points of S_q [95 %]: {bias}; agreement with people: {', '.join(measures)}"
