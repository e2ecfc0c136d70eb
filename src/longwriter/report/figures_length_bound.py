"""The figure of the paper's finding: reached length against the longest training output."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from longwriter.models.lineup import BY_NAME
from longwriter.report.style import NEUTRAL, Metrics

CAPTION = (
    "Words that the fine-tuned model reaches on the longest requests of the ruler, by the longest "
    "output it was trained on: median with 95 % interval, and the longest. On the line both are equal."
)


def length_bound(points: Sequence[Metrics]) -> Figure:
    """Reached against longest trained length, in words, both axes logarithmic.

    Args:
        points: metrics/length_bound.json.
    """
    figure = Figure(figsize=(6.4, 3.6))
    axes = figure.subplots()
    trained = [point["longest_trained"] for point in points]
    medians = [point["median"] for point in points]
    spread = [
        [point["median"] - point["low"] for point in points],
        [point["high"] - point["median"] for point in points],
    ]
    style: Any = {"color": BY_NAME["sft"].colour, "linestyle": "", "markersize": 5}
    axes.errorbar(
        trained,
        medians,
        yerr=spread,
        capsize=3,
        marker=BY_NAME["sft"].marker,
        label="median",
        **style,
    )
    longest = [point["longest"] for point in points]
    axes.plot(trained, longest, marker="^", markerfacecolor="none", label="longest", **style)
    axes.plot(trained, trained, color=NEUTRAL, linewidth=1, zorder=0, label="as long as trained")
    for point in points:
        note = f"{point['rows']} rows" + (
            f", {point['cut_off']} cut off" if point["cut_off"] else ""
        )
        place = (point["longest_trained"], point["longest"])
        axes.annotate(note, place, (0, 7), textcoords="offset points", ha="center", fontsize=7)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(trained, [f"{number:,}" for number in trained])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.minorticks_off()
    axes.set_xlabel("longest training output (words)")
    axes.set_ylabel("reached length (words)")
    axes.margins(0.15)
    figure.legend(loc="outside upper center", ncols=3)
    return figure
