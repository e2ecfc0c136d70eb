"""Figures of an evaluation besides the scores: the judge's dimensions, Ruler, health, obedience."""

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import (
    FixedLocator,
    LogLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)

from longwriter.core.tables import ReportFigure
from longwriter.models.lineup import BY_NAME
from longwriter.report.sections import HEALTH
from longwriter.report.style import NEUTRAL, Metrics, legend, save


def draw_eval(folder: Path, evals: Mapping[str, Metrics]) -> list[ReportFigure]:
    """Draws those figures whose numbers are there."""
    drawn = []
    curves = {model: found["by_required"] for model, found in evals.items() if _has_curve(found)}
    if curves:
        caption = (
            "How long does the output get? Mean words written for each required length, with the "
            "longest output as a small mark (LongWrite-Ruler and benchmarks that ask for few lengths)."
        )
        drawn.append(save(ruler(curves), folder / "ruler.svg", caption))
    graded = {model: found for model, found in evals.items() if found.get("S_q") is not None}
    if graded:
        caption = "The judge's six dimensions (0 to 100), mean over the texts it graded."
        drawn.append(save(dimensions(graded), folder / "dimensions.svg", caption))
    marked = {model: found["health"] for model, found in evals.items() if found.get("health")}
    if marked:
        caption = (
            "Text health, without a judge. Shares of a text, or of texts; only of distinct pairs "
            "is more better."
        )
        drawn.append(save(health(marked), folder / "health.svg", caption))
    return drawn


def ruler(curves: Mapping[str, Mapping[str, Metrics]]) -> Figure:
    """Written over required words on logarithmic axes, a line a model."""
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
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("written length (words)")
    legend(figure, curves, {"as long as asked": Line2D([], [], color=NEUTRAL, linewidth=1)})
    return figure


def dimensions(evals: Mapping[str, Metrics]) -> Figure:
    """Bars of the six dimensions, a colour a model."""
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


def health(marked: Mapping[str, Metrics]) -> Figure:
    """Bars of the marks of health, a colour a model."""
    figure = Figure(figsize=(6.4, 3.4))
    axes = figure.subplots()
    values = {model: [100 * found[key] for key in HEALTH] for model, found in marked.items()}
    _bars(axes, values, list(HEALTH.values()), "{:.0f} %".format)
    axes.set_xlim(0, 100)
    axes.set_xlabel("share (%)")
    legend(figure, marked)
    return figure


def _has_curve(found: Metrics) -> bool:
    return len(found.get("by_required") or {}) > 1


def _bars(
    axes: Axes,
    values: Mapping[str, list[float]],
    names: list[str],
    label: Callable[[float], str],
) -> None:
    """Horizontal bars: a group for each of `names`, in it a bar a model."""
    height = 0.8 / len(values)
    for row, (model, numbers) in enumerate(values.items()):
        places = [place + (row - (len(values) - 1) / 2) * height for place in range(len(names))]
        bars = axes.barh(places, numbers, height=height * 0.9, color=BY_NAME[model].colour)
        axes.bar_label(bars, [label(number) for number in numbers], padding=2, fontsize=7)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
