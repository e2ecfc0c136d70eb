"""The report's tables, shared by the page, report.md and README.md."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from longwriter.core.statistics import Interval
from longwriter.core.tables import (
    NONE,
    Table,
    count,
    markdown,
    number,
    percent,
    signed,
    signed_interval,
    signed_percent,
    two_decimals,
    with_interval,
)
from longwriter.models.lineup import MODELS

Metrics = Mapping[str, Any]
Comparisons = Mapping[str, Mapping[str, Interval]]
"""Step, such as `sft-base` → name of a score → paired difference."""

SCORES = (
    "S_l [95 %]",
    "within ±20 % [95 %]",
    "rank correlation [95 %]",
    "cut off",
    "looping",
    "mean words",
    "n",
)
GRADES = ("S_q [95 %]", "S̄", "unscored")
"""Column heads of `score_cells`: SCORES always, GRADES only if the judge can be trusted."""

HEALTH = {
    "repetition": "repeated 8-grams",
    "copied": "copied sentences",
    "said_again": "repeated paragraphs",
    "looping": "texts that loop",
    "unfinished": "unfinished texts",
    "other_language": "other language",
    "distinct_2": "distinct bigrams",
}
"""Key of `health` in metrics/eval/X.json → its label in the figure and on the page."""

COMPARED = {
    "S_l": "length score S_l",
    "S_q": "quality score S_q",
    "S_l_shortest": "S_l of the shortest bin",
    "within_20": "within ±20 % of the length (points of 100)",
    "rank_correlation": "rank correlation of words written and required",
    "obedience": "length constraints met (points of 100)",
    "cut_off": "cut off (points of 100)",
    "looping": "texts that loop (points of 100)",
    "repetition": "repeated 8-grams (points of 100)",
}
"""Key of `evaluation.scoring.comparison` → label of that paired difference."""

_BIASES = {
    "length": "length: whole text − its first half",
    "padding": "padding: text twice − text",
    "position": "position: asked first − asked last",
}

_GROUPS = {"by_length": "required words", "by_language": "language", "by_type": "type"}

_COSTS = (
    "stage",
    "calls",
    "prompt tokens",
    "completion tokens",
    "training tokens (one epoch)",
    "US $",
    "seconds",
)


class Section(NamedTuple):
    """A section of the report."""

    title: str
    note: str
    tables: Sequence[Table]
    folded: bool = False
    """Whether the page shows it collapsed."""


def score_cells(result: Metrics, *, graded: bool) -> list[str]:
    """Returns a model's scores, one cell per column of SCORES and, if `graded`, of GRADES.

    Args:
        result: metrics/eval/<model>.json.
    """
    length, intervals = result["length"], result["intervals"]
    correlation = length.get("rank_correlation") or {"value": None, "interval": None}
    cells = [
        with_interval(result["S_l"], intervals["S_l"]),
        with_interval(length["within_20"], length.get("within_20_interval"), percent),
        with_interval(correlation["value"], correlation["interval"], two_decimals),
        count(result["cut_off"]),
        count(result["health"]["looping"] * result["n"]),
        count(result["mean_words"]),
        count(result["n"]),
    ]
    if graded:
        cells += [
            with_interval(result["S_q"], intervals["S_q"]),
            number(result["S_bar"]),
            count(result["unscored"]),
        ]
    return cells


def scores_table(evals: Mapping[str, Metrics], *, graded: bool) -> Table:
    """Returns the scores, one row per model in training order.

    Args:
        evals: model → metrics/eval/<model>.json.
        graded: whether to include the columns of GRADES.
    """
    names = [model.name for model in MODELS if model.name in evals]
    columns = ("model", *SCORES, *(GRADES if graded else ()))
    return Table(columns, [[name, *score_cells(evals[name], graded=graded)] for name in names])


def differences(comparisons: Mapping[str, Interval]) -> str:
    """Returns the paired differences of S_l in one line.

    Args:
        comparisons: step, such as `sft-base` → its paired difference.
    """
    parts = [
        f"{step.replace('-', ' − ')} {signed_interval(found)}"
        for step, found in comparisons.items()
    ]
    return f"Paired difference of S_l [95 %]: {'; '.join(parts)}."


def results_table(
    evals: Mapping[str, Metrics], comparisons: Mapping[str, Interval], *, graded: bool
) -> str:
    """Returns the scores as a Markdown table, followed by the paired differences of S_l."""
    lines = [markdown(scores_table(evals, graded=graded))]
    if comparisons:
        lines += ["", differences(comparisons)]
    return "\n".join(lines) + "\n"


def bin_title(label: str) -> str:
    """Returns a length bin in words.

    `[0,150)` becomes "under 150 words", `[150,400)` "150 to 399 words", `[400,∞)` "400 words or
    more"; any other label is returned unchanged.
    """
    found = re.fullmatch(r"\[(\d+),(\d+|∞)\)", label)
    if not found:
        return label
    low, high = found.groups()
    if high == "∞":
        return f"{int(low):,} words or more"
    if low == "0":
        return f"under {int(high):,} words"
    return f"{int(low):,} to {int(high) - 1:,} words"


def sections(
    evals: Mapping[str, Metrics], comparisons: Comparisons, audit: Metrics | None, *, graded: bool
) -> list[Section]:
    """Returns the sections on everything measured besides the scores, without empty ones.

    Args:
        evals: model → metrics/eval/<model>.json.
        comparisons: step → name → paired difference.
        audit: metrics/judge_audit.json; None if the judge was not audited.
        graded: whether the judge can be trusted; if not, the models' grades are left out.
    """
    found = [
        _differences(comparisons, graded),
        _length(evals),
        _health(evals),
        _judge(evals if graded else {}, audit or {}),
        *(_groups(evals, key, title, graded) for key, title in _GROUPS.items()),
    ]
    return [
        section._replace(tables=[without_dashes(table) for table in section.tables])
        for section in found
        if any(table.rows for table in section.tables)
    ]


def without_dashes(table: Table) -> Table:
    """Returns the table without columns that have no value in any row."""
    kept = [
        place
        for place in range(len(table.columns))
        if not table.rows or any(row[place] != NONE for row in table.rows)
    ]
    rows = [[row[place] for place in kept] for row in table.rows]
    return Table([table.columns[place] for place in kept], rows)


def _differences(comparisons: Comparisons, graded: bool) -> Section:
    names = [
        name
        for name in COMPARED
        if any(name in each for each in comparisons.values()) and (graded or name != "S_q")
    ]
    rows = [
        [COMPARED[name], *(_difference(name, each.get(name)) for each in comparisons.values())]
        for name in names
    ]
    return Section(
        "What each step changed",
        "Paired differences over the same prompts, with 95 % intervals: where 0 is inside, no change "
        "is shown. The shortest bin and the length constraints are regression checks: a step may "
        "gain on long requests while losing on short ones or on those with a length limit.",
        [Table(["", *(step.replace("-", " − ") for step in comparisons)], rows)],
    )


def _difference(name: str, found: Interval | None) -> str:
    if found is None or name != "rank_correlation":
        return signed_interval(found)
    return with_interval(found.mean, found.bounds, lambda value: signed(value, 2))


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
                signed_percent(found["deviation"]),
                signed_percent(found["deviation_median"]),
                percent(found["within_10"]),
                percent(found["within_20"]),
                constraints_met(obedience),
                "; ".join(kinds) or NONE,
                count(found["longest_words"]),
            ]
        )
        samples = result["spread"]
        if samples["samples_S_l"] is not None:
            spread.append([model, number(samples["samples_S_l"])])
    columns = (
        "model",
        "deviation",
        "median",
        "±10 %",
        "±20 %",
        "length constraints met",
        "by kind",
    )
    return Section(
        "Length beyond S_l",
        "Deviation: (written − required) / required, mean and median. ±10 % and ±20 %: share of texts "
        "within that of the required length. Length constraints: at most, at least, between, where a "
        "prompt states one. Longest: words of the longest text.",
        [
            Table([*columns, "longest"], rows),
            Table(["model", "S_l, deviation over samples"], spread),
        ],
    )


def constraints_met(obedience: Metrics) -> str:
    """Returns how many length constraints were met, such as "50% of 2" prompts that state one."""
    n = obedience["n"]
    return f"{percent(obedience['share'])} of {n}" if n else NONE


def _health(evals: Mapping[str, Metrics]) -> Section:
    rows = [
        [model, *(percent(result["health"][key]) for key in HEALTH), count(result["cut_off"])]
        for model, result in _with(evals, "health")
    ]
    return Section(
        "Text health",
        "Counted, not judged. Repeated 8-grams: share of eight-word sequences that occurred earlier "
        "in the text. Repeated paragraphs: the three-word sequences have a Jaccard similarity of "
        "at least 0.5 with those of an earlier paragraph. Looping: the same piece three times in a "
        "row. Unfinished: cut off, or not ending with a complete sentence. Other language: share "
        "of words not in the language of the request. Distinct bigrams: in windows of 200 words, "
        "so that length does not matter; more is better.",
        [Table(["model", *HEALTH.values(), "cut off"], rows)],
    )


def _judge(evals: Mapping[str, Metrics], audit: Metrics) -> Section:
    repeats = [
        [
            model,
            number(result["S_q"]),
            number(result["spread"]["repeats_S_q"]),
            number(result["spread"]["repeats_mean_S_q"]),
            count(result["unscored"]),
            ", ".join(f"{name} {n}" for name, n in result["unscored_reasons"].items()) or NONE,
        ]
        for model, result in _with(evals, "spread")
    ]
    seconds = [
        [
            model,
            with_interval(result["second"]["S_q"], result["second"]["interval"]),
            *_agreement(result["second"]["agreement"].get("all")),
        ]
        for model, result in _with(evals, "second")
    ]
    bias = audit.get("bias", {})
    biases = [
        [title, count(found["n"]), with_interval(found["mean"], found["interval"], signed)]
        for key, title in _BIASES.items()
        if (found := bias.get(key, {})).get("interval")
    ]
    spoilt = bias.get("planted", {})
    found_spoilt = [
        [
            "scrambled texts graded lower",
            count(spoilt["n"]),
            with_interval(spoilt["share"], spoilt["interval"], percent),
        ]
        for _ in [0]
        if spoilt.get("n", 0) > 1
    ]
    people = [
        [name, count(cell["n"]), *_agreement(cell)]
        for name, cell in audit.get("agreement", {}).items()
    ]
    agreement = ["Spearman [95 %]", "Kendall [95 %]", "weighted kappa [95 %]"]
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
            Table(["model", "second judge's S_q [95 %]", *agreement], seconds),
            Table(["bias of the judge", "n", "points [95 %]"], biases),
            Table(["planted faults", "n", "share [95 %]"], found_spoilt),
            Table(["agreement with people", "n", *agreement], people),
        ],
    )


def _agreement(cell: Metrics | None) -> list[str]:
    names = ("spearman", "kendall", "kappa")
    if cell is None:
        return [NONE] * len(names)
    return [
        with_interval(cell[name]["value"], cell[name]["interval"], two_decimals) for name in names
    ]


def _groups(evals: Mapping[str, Metrics], key: str, title: str, graded: bool) -> Section:
    labels = list(dict.fromkeys(label for result in evals.values() for label in result[key]))
    rows = []
    for label in labels:
        cells = [result[key].get(label) for result in evals.values()]
        n = next((cell["n"] for cell in cells if cell), 0)
        lengths = [
            with_interval(cell["S_l"], cell.get("interval_S_l")) if cell else NONE for cell in cells
        ]
        qualities = [number(cell["S_q"]) if cell else NONE for cell in cells if graded]
        rows.append([bin_title(label), count(n), *lengths, *qualities])
    columns = [
        title,
        "n",
        *(f"{m} S_l [95 %]" for m in evals),
        *(f"{m} S_q" for m in evals if graded),
    ]
    return Section(f"By {title}", "", [Table(columns, rows)], folded=True)


def _with(evals: Mapping[str, Metrics], key: str) -> Iterator[tuple[str, Metrics]]:
    return ((model, result) for model, result in evals.items() if result.get(key))


def costs_table(numbers: Mapping[str, Any], seconds: Mapping[str, float]) -> Table:
    """Returns calls, tokens, cost and time, one row per stage whose metrics record them.

    Args:
        numbers: all metrics.
        seconds: stage → duration of its last run; otherwise `seconds` of its metrics is used.
    """
    return without_dashes(Table(_COSTS, list(_costs(numbers, seconds))))


def _costs(
    numbers: Mapping[str, Any], seconds: Mapping[str, float], prefix: str = ""
) -> Iterator[list[str]]:
    for name, metrics in numbers.items():
        if not isinstance(metrics, Mapping):
            continue
        if name in ("predict", "eval"):
            yield from _costs(metrics, seconds, f"{name} ")
        elif metrics.keys() & {"calls", "tokens", "seconds", "cost_usd"}:
            cached = metrics.get("cached_prompt_tokens")
            yield [
                stage := prefix + name,
                count(metrics.get("calls")),
                count(metrics.get("prompt_tokens"))
                + (f" ({count(cached)} cached)" if cached else ""),
                count(metrics.get("completion_tokens")),
                count(metrics.get("tokens")),
                two_decimals(metrics.get("cost_usd")),
                count(seconds.get(stage, metrics.get("seconds"))),
            ]
