"""What the report says in tables, the same for the page and for report.md."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from longwriter.core.statistics import Interval
from longwriter.core.tables import Table, count, decimals, number, percent, signed, signed_interval

Metrics = Mapping[str, Any]


Comparisons = Mapping[str, Mapping[str, Interval]]


HEALTH = {
    "repetition": "8-grams again",
    "copied": "copied sentences",
    "looping": "texts that loop",
    "unfinished": "unfinished texts",
    "other_language": "other language",
    "distinct_2": "distinct pairs",
}
"""Key of `health` in metrics/eval/X.json → what the figure and the page call it."""


class Section(NamedTuple):
    """A part of the report."""

    title: str
    note: str
    tables: Sequence[Table]
    folded: bool = False
    """Whether the page shows it only when asked to."""


def sections(
    evals: Mapping[str, Metrics], comparisons: Comparisons, calibration: Metrics | None
) -> list[Section]:
    """Everything that was measured besides the scores; what has no numbers is left out.

    Args:
        evals: model → metrics/eval/<model>.json.
        comparisons: step → name → paired difference.
        calibration: metrics/judge_audit.json, where the judge was tried.
    """
    found = [
        _differences(comparisons),
        _length(evals),
        _health(evals),
        _judge(evals, calibration),
        *(_groups(evals, key, title) for key, title in _GROUPS.items()),
    ]
    return [section for section in found if any(table.rows for table in section.tables)]


_GROUPS = {"by_length": "required words", "by_language": "language", "by_type": "type"}


_COMPARED = {
    "S_l": "length score S_l",
    "S_q": "quality score S_q",
    "S_l_shortest": "S_l of the shortest bin",
    "obedience": "bounds obeyed (points of 100)",
    "cut_off": "cut off (points of 100)",
    "repetition": "repeated 8-grams (points of 100)",
}


def _differences(comparisons: Comparisons) -> Section:
    names = [name for name in _COMPARED if any(name in each for each in comparisons.values())]
    rows = [
        [_COMPARED[name], *(signed_interval(each.get(name)) for each in comparisons.values())]
        for name in names
    ]
    return Section(
        "What each step changed",
        "Paired differences over the same prompts, with 95 % intervals: 0 inside means that no "
        "change is shown. The shortest bin and the obeyed bounds guard against a step that gains on "
        "long requests what it loses on short and bounded ones.",
        [Table(["", *(step.replace("-", " − ") for step in comparisons)], rows)],
    )


def _length(evals: Mapping[str, Metrics]) -> Section:
    rows, spread = [], []
    for model, result in _with(evals, "length"):
        found, obedience = result["length"], result["length"]["obedience"]
        kinds = [
            f"{kind} {percent(cell['share'])} of {cell['n']}"
            for kind, cell in obedience.items()
            if isinstance(cell, Mapping)
        ]
        rows.append(
            [
                model,
                f"{found['deviation']:+.0%}".replace("-", "−"),
                f"{found['deviation_median']:+.0%}".replace("-", "−"),
                percent(found["within_10"]),
                percent(found["within_20"]),
                f"{percent(obedience['share'])} of {obedience['n']}" if obedience["n"] else "–",
                "; ".join(kinds) or "–",
                count(found["longest_words"]),
            ]
        )
        if result["spread"]["samples_S_l"] is not None:
            spread.append(
                [
                    model,
                    number(result["spread"]["samples_S_l"]),
                    number(result["spread"]["samples_S_q"]),
                ]
            )
    columns = [
        "model",
        "deviation",
        "median",
        "±10 %",
        "±20 %",
        "bounds obeyed",
        "by kind",
        "longest",
    ]
    return Section(
        "Length beyond S_l",
        "Deviation: (written − required) / required, mean and median. ±10 and ±20 %: share of texts "
        "so near. Bounds: at most, at least, between, where a prompt states them. Longest: words of "
        "the longest text.",
        [
            Table(columns, rows),
            Table(["model", "S_l, deviation over samples", "S_q, deviation over samples"], spread),
        ],
    )


def _health(evals: Mapping[str, Metrics]) -> Section:
    rows = [
        [
            model,
            *(percent(result["health"][key]) for key in HEALTH),
            count(result["cut_off"]),
        ]
        for model, result in _with(evals, "health")
    ]
    return Section(
        "Text health",
        "Counted, not judged. 8-grams again: share of sequences of eight words that stood in the "
        "text before. Looping: the same piece three times on end. Unfinished: cut off, or no "
        "sentence's end at the end. Other language: share of words not in the language asked for. "
        "Distinct pairs: in windows of 200 words, so that length does not matter; more is better.",
        [Table(["model", *HEALTH.values(), "cut off"], rows)],
    )


def _judge(evals: Mapping[str, Metrics], calibration: Metrics | None) -> Section:
    repeats = [
        [
            model,
            number(result["S_q"]),
            number(result["spread"]["repeats_S_q"]),
            number(result["spread"]["repeats_mean_S_q"]),
            count(result["unscored"]),
            ", ".join(f"{name} {n}" for name, n in result["unscored_reasons"].items()) or "–",
        ]
        for model, result in _with(evals, "spread")
    ]
    seconds = [
        [
            model,
            _ranged(result["second"]["S_q"], result["second"]["interval"]),
            *_measures(result["second"]["agreement"].get("all")),
        ]
        for model, result in _with(evals, "second")
    ]
    bias = (calibration or {}).get("bias", {})
    biases = [
        [title, count(bias[key]["n"]), _ranged(bias[key]["mean"], bias[key]["interval"], signed)]
        for key, title in _BIASES.items()
        if bias.get(key, {}).get("n")
    ]
    people = [
        [name, count(cell["n"]), *_measures(cell)]
        for name, cell in (calibration or {}).get("agreement", {}).items()
    ]
    measures = ["Spearman [95 %]", "Kendall [95 %]", "weighted kappa [95 %]"]
    return Section(
        "How far the judge can be trusted",
        "Deviation over repeats: of the grades of one text, and of the model's S_q, where each text "
        "was graded several times. Bias in points of S_q: above 0, length or an early place in the "
        "list is rewarded. Agreement is of grades of 1 to 5, kappa quadratically weighted.",
        [
            Table(
                ["model", "S_q", "a text over repeats", "S_q over repeats", "unscored", "why"],
                repeats,
            ),
            Table(["model", "second judge's S_q [95 %]", *measures], seconds),
            Table(["bias of the judge", "n", "points [95 %]"], biases),
            Table(["agreement with people", "n", *measures], people),
        ],
    )


_BIASES = {
    "length": "length: whole text − its first half",
    "padding": "padding: text twice − text",
    "position": "position: asked first − asked last",
}


def _measures(cell: Metrics | None) -> list[str]:
    names = ("spearman", "kendall", "kappa")
    if cell is None:
        return ["–"] * len(names)
    return [_ranged(cell[name]["value"], cell[name]["interval"], decimals) for name in names]


def _groups(evals: Mapping[str, Metrics], key: str, title: str) -> Section:
    labels = list(dict.fromkeys(label for result in evals.values() for label in result[key]))
    rows = []
    for label in labels:
        cells = [result[key].get(label) for result in evals.values()]
        n = next((cell["n"] for cell in cells if cell), 0)
        scores = [_ranged(cell["S_l"], cell.get("interval_S_l")) if cell else "–" for cell in cells]
        quality = [number(cell["S_q"]) if cell else "–" for cell in cells]
        rows.append([label, count(n), *scores, *quality])
    columns = [title, "n", *(f"{m} S_l [95 %]" for m in evals), *(f"{m} S_q" for m in evals)]
    return Section(f"By {title}", "", [Table(columns, rows)], folded=True)


def _with(evals: Mapping[str, Metrics], key: str) -> Iterator[tuple[str, Metrics]]:
    return ((model, result) for model, result in evals.items() if result.get(key))


def _ranged(value: float | None, bounds: Sequence[float] | None, form: Any = None) -> str:
    show = form or number
    return show(value) + (f" [{show(bounds[0])}, {show(bounds[1])}]" if bounds else "")
