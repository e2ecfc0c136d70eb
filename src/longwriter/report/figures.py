"""Draws and saves the report's figures, and defines those of the models' results.

Figures of the training data are in `figures_data`, those of training in `figures_training`.
"""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from longwriter.core.rows import Judgement
from longwriter.models.lineup import BY_NAME
from longwriter.report.figures_data import data_panels
from longwriter.report.figures_training import training_panels
from longwriter.report.style import (
    NEUTRAL,
    STYLE,
    Metrics,
    Panel,
    ReportFigure,
    legend,
    mark,
    save,
    word_axes,
)
from longwriter.report.tables import HEALTH, bin_title

Judgements = Mapping[str, Sequence[Judgement]]


def draw(
    folder: Path, evals: Mapping[str, Metrics], judgements: Judgements, metrics: Metrics
) -> list[ReportFigure]:
    """Draws every figure whose metrics are available, as SVG files in `folder`.

    Args:
        folder: where the files go.
        evals: model → metrics/eval/<model>.json.
        judgements: model → its scored predictions.
        metrics: name → metrics/<name>.json, with the intervals of `intervals.with_intervals`.
    """
    with mpl.rc_context(STYLE):
        panels = chain(
            result_panels(
                evals, judgements, graded=bool(metrics.get("judge_audit", {}).get("trusted"))
            ),
            data_panels(metrics),
            training_panels(metrics),
        )
        return [save(panel, folder) for panel in panels]


def result_panels(
    evals: Mapping[str, Metrics], judgements: Judgements, *, graded: bool
) -> Iterator[Panel]:
    """Yields the figures of the models' scores and output lengths.

    Args:
        graded: whether the judge can be trusted; its grades are drawn only then.
    """
    caption = (
        "Words required and written, one mark per text. On the grey line a text has exactly the required "
        "length; the coloured lines connect the medians of each quarter of the texts; hollow marks "
        "were cut off at the token limit."
    )
    yield Panel("written_words", written_words(judgements), caption)
    caption = "Length score S_l (0 to 100), and share of texts within 20 % of the required length, with 95 % intervals."
    yield Panel("scores", scores(evals, graded), caption)
    caption = "Length score S_l by required length, with 95 % intervals."
    yield Panel("scores_by_length", scores_by_length(evals), caption)
    curves = {
        model: found["by_required"]
        for model, found in evals.items()
        if len(found.get("by_required") or {}) > 1
    }
    if curves:
        caption = (
            "How long the output gets: mean words written for each required length, with the longest "
            "output as a small mark (LongWrite-Ruler, and benchmarks with few required lengths)."
        )
        yield Panel("ruler", ruler(curves), caption)
    judged = {model: found for model, found in evals.items() if found.get("S_q") is not None}
    if judged and graded:
        caption = "The judge's six dimensions (0 to 100), mean over the texts it graded."
        yield Panel("dimensions", dimensions(judged), caption)
    healths = {model: found["health"] for model, found in evals.items() if found.get("health")}
    if healths:
        caption = (
            "Text health, counted without a judge, as shares of a text or of all texts. Less is "
            "better, except for distinct bigrams."
        )
        yield Panel("health", health(healths), caption)


def scores(evals: Mapping[str, Metrics], graded: bool) -> Figure:
    """Draws each model's S_l and share within 20 % with 95 % intervals, and S_q if `graded`."""
    drawn: list[tuple[str, Callable[[Metrics], Any], Callable[[Metrics], Any]]] = [
        ("length score S_l", lambda found: found["S_l"], lambda found: found["intervals"]["S_l"]),
        (
            "within ±20 % (% of texts)",
            lambda found: 100 * found["length"]["within_20"],
            lambda found: [100 * end for end in found["length"]["within_20_interval"]],
        ),
    ]
    if graded:
        drawn.append(
            (
                "quality score S_q",
                lambda found: found["S_q"],
                lambda found: found["intervals"]["S_q"],
            )
        )
    figure = Figure(figsize=(6.4, 2.8))
    for axes, (title, value, bounds) in zip(
        figure.subplots(1, len(drawn), sharey=True), drawn, strict=True
    ):
        for place, (model, result) in enumerate(evals.items()):
            found = value(result)
            if found is None:
                axes.text(place, 50, "not\nscored", ha="center", va="center", color=NEUTRAL)
            else:
                mark(axes, place, found, bounds(result), model)
                axes.annotate(
                    f"{found:.1f}", (place, found), (7, 0), textcoords="offset points", va="center"
                )
        axes.set_xticks(range(len(evals)), list(evals))
        axes.set_xlim(-0.5, len(evals) - 0.3)
        axes.set_title(title)
        axes.set_ylim(0, 100)
    return figure


def scores_by_length(evals: Mapping[str, Metrics]) -> Figure:
    """Draws each model's S_l in each bin of required words."""
    figure = Figure(figsize=(6.4, 3.0))
    axes = figure.subplots()
    labels: dict[str, int] = {}
    for offset, (model, result) in enumerate(evals.items()):
        for label, cell in result["by_length"].items():
            labels.setdefault(label, cell["n"])
            if cell["S_l"] is not None:
                place = list(labels).index(label) + (offset - (len(evals) - 1) / 2) * 0.2
                mark(axes, place, cell["S_l"], cell.get("interval_S_l"), model)
    axes.set_xticks(
        range(len(labels)),
        [f"{textwrap.fill(bin_title(label), 14)}\nn = {n}" for label, n in labels.items()],
    )
    axes.set_xlabel("required length")
    axes.set_ylabel("length score S_l (0 to 100)")
    axes.set_ylim(0, 100)
    axes.margins(x=0.1)
    legend(figure, evals)
    return figure


def written_words(judgements: Judgements) -> Figure:
    """Draws written against required words on log axes; an empty output is drawn at 1 word."""
    figure = Figure(figsize=(6.4, 4.2))
    axes = figure.subplots()
    for model, rows in judgements.items():
        for cut_off in (False, True):
            chosen = [row for row in rows if (row.finish_reason == "length") == cut_off]
            axes.scatter(
                [row.length for row in chosen],
                [max(row.response_length, 1) for row in chosen],
                s=22,
                marker=BY_NAME[model].marker,
                linewidths=0.9,
                edgecolors=BY_NAME[model].colour,
                facecolors="none" if cut_off else BY_NAME[model].colour,
                alpha=0.45,
            )
        axes.plot(*_medians(rows), color=BY_NAME[model].colour, linewidth=2.2, zorder=3)
    lengths = [row.length for rows in judgements.values() for row in rows]
    ends = (min(lengths), max(lengths))
    axes.plot(ends, ends, color=NEUTRAL, linewidth=1, zorder=0)
    word_axes(axes)
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("written length (words)")
    hollow = Line2D([], [], marker="o", linestyle="", color=NEUTRAL, markerfacecolor="none")
    legend(figure, judgements, {"cut off": hollow, "required length": _line()})
    return figure


def _medians(rows: Sequence[Judgement]) -> tuple[list[float], list[float]]:
    """Returns the medians of required and of written words in each quarter of the texts.

    The texts are sorted by required words.
    """
    ordered = sorted(rows, key=lambda row: row.length)
    ends = [len(ordered) * part // 4 for part in range(5)]
    parts = [ordered[start:end] for start, end in pairwise(ends) if end > start]
    required = [float(median(row.length for row in part)) for part in parts]
    return required, [
        max(float(median(row.response_length for row in part)), 1.0) for part in parts
    ]


def ruler(curves: Mapping[str, Mapping[str, Metrics]]) -> Figure:
    """Draws written against required words on logarithmic axes, one line per model."""
    figure = Figure(figsize=(6.4, 3.8))
    axes = figure.subplots()
    lengths = sorted({int(length) for curve in curves.values() for length in curve})
    for model, curve in curves.items():
        required = sorted(int(length) for length in curve)
        cells = [curve[str(length)] for length in required]
        axes.plot(
            required,
            [max(cell["mean_words"], 1) for cell in cells],
            color=BY_NAME[model].colour,
            marker=BY_NAME[model].marker,
            markersize=5,
        )
        axes.scatter(
            required,
            [max(cell["longest_words"], 1) for cell in cells],
            s=10,
            color=BY_NAME[model].colour,
        )
    axes.plot(lengths, lengths, color=NEUTRAL, linewidth=1, zorder=0)
    word_axes(axes)
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("written length (words)")
    legend(figure, curves, {"required length": _line()})
    return figure


def _line() -> Line2D:
    """Returns the legend handle for the line where written equals required."""
    return Line2D([], [], color=NEUTRAL, linewidth=1)


def dimensions(evals: Mapping[str, Metrics]) -> Figure:
    """Draws the judge's six dimensions as bars, one colour per model."""
    figure = Figure(figsize=(6.4, 3.2))
    axes = figure.subplots()
    names = list(next(iter(evals.values()))["dimensions"])
    _bars(
        axes,
        {model: [found["dimensions"][name] for name in names] for model, found in evals.items()},
        names,
        "{:.0f}".format,
    )
    axes.set_xlim(0, 100)
    axes.set_xlabel("score (0 to 100)")
    legend(figure, evals)
    return figure


def health(healths: Mapping[str, Metrics]) -> Figure:
    """Draws the text-health shares as bars, one colour per model."""
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.subplots()
    values = {model: [100 * found[key] for key in HEALTH] for model, found in healths.items()}
    _bars(axes, values, list(HEALTH.values()), "{:.0f} %".format)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share (%)")
    legend(figure, healths)
    return figure


def _bars(
    axes: Axes,
    values: Mapping[str, list[float]],
    names: list[str],
    label: Callable[[float], str],
) -> None:
    """Draws horizontal bars: one group per name, with one bar per model."""
    height = 0.8 / len(values)
    for row, (model, numbers) in enumerate(values.items()):
        places = [place + (row - (len(values) - 1) / 2) * height for place in range(len(names))]
        bars = axes.barh(places, numbers, height=height * 0.9, color=BY_NAME[model].colour)
        axes.bar_label(bars, [label(number) for number in numbers], padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
