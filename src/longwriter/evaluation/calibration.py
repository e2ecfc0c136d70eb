"""Tries the judge itself: metrics/calibrate.json."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from longwriter.chat.calls import all_or_none
from longwriter.chat.client import ChatClient
from longwriter.chat.servers import digest
from longwriter.errors import DataError
from longwriter.evaluation.agreement import Label, agreement, read_labels, with_labels
from longwriter.evaluation.bias import probe
from longwriter.evaluation.judge_prompt import JudgePrompt
from longwriter.evaluation.quality import judge, ungraded
from longwriter.evaluation.settings import CalibrateSettings, JudgeSettings
from longwriter.evaluation.summary import rounded
from longwriter.records import Prediction

MOST_RESAMPLES = 1000
"""Rank correlations take milliseconds each."""


def labels_of(settings: CalibrateSettings, root: Path, rows: int) -> list[Label]:
    """The labels that the settings name, none where they name no file.

    Args:
        root: the checkout, to which calibrate.labels is relative.
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
            f"{path}: its SHA-256 is {digest(path)}, and calibrate.labels_sha256 expects {wanted}; "
            "set the new sum (null: not checked) if the new labels are meant"
        )
    return labels


async def calibrate(
    client: ChatClient,
    predictions: Sequence[Prediction],
    labels: Sequence[Label],
    prompt: JudgePrompt,
    judging: JudgeSettings,
    probes: int,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Biases of the judge (`bias`, see `probe`) and, where there are labels, its agreement with
    people (`agreement`) over the labelled texts, `unscored` of which it gave no grades.

    Raises:
        CallError, ServerError: as `all_or_none`.
    """
    bias = await probe(client, predictions, prompt, probes, resamples, seed)
    found: dict[str, Any] = {"bias": bias, "labels": len(labels)}
    if labels:
        places = sorted({label.row - 1 for label in labels})
        graded = await all_or_none(
            [judge(client, predictions[place], prompt, judging.repeats) for place in places],
            "calibrate",
        )
        rows = [ungraded(prediction, "not labelled") for prediction in predictions]
        for place, row in zip(places, graded, strict=True):
            rows[place] = row
        found["unscored"] = sum(row.scores is None for row in graded)
        pairs = with_labels(rows, labels)
        found["agreement"] = agreement(pairs, min(resamples, MOST_RESAMPLES), seed)
    return dict(rounded(found))


def described(found: dict[str, Any]) -> str:
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
