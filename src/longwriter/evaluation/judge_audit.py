"""Audits the judge: its biases, and its agreement with people.

A bias is a difference in grades between two forms of a text that should get the same grades.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any, NamedTuple

from longwriter.core.errors import CallError, DataError, TransientError
from longwriter.core.files import digest
from longwriter.core.rows import Prediction
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import interval, share
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
"""A shorter text cannot be cut in half and still be judged."""


def audit_labels(settings: JudgeAuditSettings, root: Path, rows: int) -> list[Label]:
    """Reads the labels that the settings name; empty if they name no file.

    Args:
        root: the checkout, to which judge_audit.labels is relative.
        rows: number of predictions.

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
    settings: JudgeAuditSettings,
    statistics: StatisticsSettings,
) -> dict[str, Any]:
    """Measures the judge's biases and, where there are labels, its agreement with people.

    Args:
        labels: people's grades of some of the predictions.
        judging: settings with the number of `repeats`.
        settings: settings with `probes` and the thresholds of `faults_of`.

    Returns:
        The content of metrics/judge_audit.json: `bias` (see `probe`); `labels`, their number; if
        there are labels, `agreement` over the labelled texts, and `unscored`, how many of them the
        judge did not grade; `faults`, the reasons not to trust the judge; `trusted`, whether there
        are none.

    Raises:
        CallError, ServerError: as `all_or_none`.
    """
    bias = await probe(client, predictions, prompt, settings.probes)
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
    faults = faults_of(found, settings)
    return dict(round_floats(found)) | {"faults": faults, "trusted": not faults}


def faults_of(found: Mapping[str, Any], settings: JudgeAuditSettings) -> list[str]:
    """Returns what in an audit is worse than the settings allow, in words.

    The bias for length counts only in Accuracy and Clarity, which do not need the rest of the text.
    """
    bias = found["bias"]
    fewest = min(bias[name]["n"] for name in ("length", "padding", "planted"))
    if fewest < settings.min_probes:
        return [f"audited on only {fewest} texts; at least {settings.min_probes} are needed"]
    dimensions = bias["length"]["dimensions"]
    swayed = {
        "length": fmean([dimensions["Accuracy"], dimensions["Clarity"]]),
        "padding": bias["padding"]["mean"],
        "position": bias["position"]["mean"] or 0.0,
    }
    faults = [
        f"its bias for {name} is {points:+.1f} points, and {settings.max_bias:g} are allowed"
        for name, points in swayed.items()
        if abs(points) > settings.max_bias
    ]
    if bias["planted"]["share"] < settings.min_found:
        faults.append(
            f"it graded {bias['planted']['share']:.0%} of the scrambled texts lower, and {settings.min_found:.0%} are needed"
        )
    people = found.get("agreement", {}).get("all")
    if people and (people["spearman"]["value"] or 0.0) < settings.min_agreement:
        faults.append(
            f"its rank correlation with people is {people['spearman']['value'] or 0:.2f}, and "
            f"{settings.min_agreement:g} is needed"
        )
    return faults


class _Grades(NamedTuple):
    """A text's grades in its five forms; None if the judge gave none or the form was not used."""

    whole: dict[str, int] | None
    half: dict[str, int] | None
    """Of the first half, cut at the end of a sentence."""
    twice: dict[str, int] | None
    """Of the text followed by itself."""
    scrambled: dict[str, int] | None
    """Of the text with the words of every line shuffled."""
    reversed: dict[str, int] | None = None
    """Of the whole text, with the dimensions listed in reverse order."""


async def probe(
    client: ChatClient,
    predictions: Sequence[Prediction],
    prompt: JudgePrompt,
    probes: int,
) -> dict[str, Any]:
    """Measures what sways the judge besides quality, on `probes` texts graded in several forms.

    - `length`: S_q of the whole text minus that of its first half, cut at the end of a sentence.
      The half says the same as far as it goes, and the judge is told to ignore length, so a value
      above 0 in the dimensions that do not need the rest (Clarity, Accuracy) is a preference for
      length.
    - `padding`: S_q of the text followed by itself minus that of the text: more words, no new
      content. Above 0 is a plain bias for length.
    - `position`: reversing the list of dimensions makes the first one last and the last one first.
      The mean grade of these two when listed first minus that when listed last, in points of S_q.
      Only for the project's own prompt, because the list in a prompt file cannot be reversed.
    - `planted`: the words of every line shuffled, a fault that no reader can miss: the share of
      texts whose S_q is then lower.

    Returns:
        The first three as `n`, `mean`, `interval` and, for `length`, the means by dimension;
        `planted` as `n`, `share`, `interval`; `failed`, the number of forms that got no grades.
    """
    long_enough = _usable(predictions)
    places = spread_out(len(long_enough), min(probes, len(long_enough)))
    forms = [form for place in places for form in _forms(long_enough[place], prompt)]
    found = await all_or_none([_graded(client, *form) for form in forms], "judge_audit")
    width = 5 if prompt.template is None else 4
    texts = [_Grades(*found[start : start + width]) for start in range(0, len(found), width)]
    return _biases(texts) | {"failed": sum(each is None for each in found)}


def _usable(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Returns the texts long enough to be halved that do not tell the judge how to grade."""
    return [
        row
        for row in predictions
        if count_words(row.response) >= FEWEST_WORDS and not planted(row.response)
    ]


def _forms(row: Prediction, prompt: JudgePrompt) -> list[tuple[JudgePrompt, str, str]]:
    """Returns prompt, request and text of each form, as in `_Grades`; four for a prompt file."""
    text = row.response
    forms = [
        (prompt, row.prompt, text),
        (prompt, row.prompt, first_half(text)),
        (prompt, row.prompt, f"{text}\n\n{text}"),
        (prompt, row.prompt, scrambled(text)),
    ]
    if prompt.template is None:
        forms.append((JudgePrompt(order=tuple(reversed(prompt.order))), row.prompt, text))
    return forms


def first_half(text: str) -> str:
    """Returns the text up to the first end of a sentence after its middle.

    Up to the middle if no sentence ends soon after it.
    """
    middle = len(text) // 2
    end = re.compile(r"[.!?](?=\s|$)|[。！？]|\n").search(text, middle)
    return text[: end.end() if end and end.end() < 0.8 * len(text) else middle].rstrip()


def scrambled(text: str) -> str:
    """Returns the text with the words of every line shuffled, in the same way each time.

    In a line without spaces, such as a Chinese one, the characters are shuffled.
    """
    random = Random(text)  # noqa: S311
    lines = []
    for line in text.splitlines():
        words = line.split() if " " in line.strip() else list(line)
        random.shuffle(words)
        lines.append((" " if " " in line.strip() else "").join(words))
    return "\n".join(lines)


async def _graded(
    client: ChatClient, prompt: JudgePrompt, request: str, text: str
) -> dict[str, int] | None:
    try:
        return await grade(client, prompt, request, text)
    except TransientError:
        raise
    except CallError:
        return None


def _biases(texts: Sequence[_Grades]) -> dict[str, Any]:
    """Returns the biases and the planted fault, each from the texts with the grades it needs."""
    halved = [(text.whole, text.half) for text in texts if text.whole and text.half]
    padded = [(text.twice, text.whole) for text in texts if text.twice and text.whole]
    spoilt_too = [(text.whole, text.scrambled) for text in texts if text.whole and text.scrambled]
    turned = [(text.whole, text.reversed) for text in texts if text.whole and text.reversed]
    dimensions = {
        name: 25 * fmean(whole[name] - half[name] for whole, half in halved)
        for name in DIMENSIONS
        if halved
    }
    length = _difference([_less(whole, half) for whole, half in halved])
    return {
        "length": length | {"dimensions": dimensions},
        "padding": _difference([_less(twice, whole) for twice, whole in padded]),
        "position": _difference([_first_less_last(*pair) for pair in turned]),
        "planted": _found([_less(whole, spoilt) > 0 for whole, spoilt in spoilt_too]),
    }


def _found(lower: Sequence[bool]) -> dict[str, Any]:
    found = share(sum(lower), len(lower))
    return {"n": len(lower), "share": found and found.mean, "interval": found and found.bounds}


def _less(a: dict[str, int], b: dict[str, int]) -> float:
    return quality_score(a) - quality_score(b)


def _first_less_last(listed: dict[str, int], turned: dict[str, int]) -> float:
    """Returns the mean gain, in points, of a dimension when listed first rather than last."""
    first, last = DIMENSIONS[0], DIMENSIONS[-1]
    return 25 * (listed[first] - turned[first] + turned[last] - listed[last]) / 2


def _difference(values: Sequence[float]) -> dict[str, Any]:
    found = interval(values)
    return {
        "n": len(values),
        "mean": found and found.mean,
        "interval": found and found.bounds,
    }


def audit_line(found: Mapping[str, Any]) -> str:
    """Sums up in one line whether the judge can be trusted, and why not."""
    if found["trusted"]:
        return "the judge passed its audit: S_q and S̄ are shown"
    return f"the judge failed its audit, so S_q is not shown: {'; '.join(found['faults'])}"
