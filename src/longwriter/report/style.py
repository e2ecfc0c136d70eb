"""Style shared by all figures: colours, marks, legends and files.

The models' colours and marks are in `models.lineup`. All colours are from Okabe and Ito's palette,
which people with any kind of colour vision can tell apart.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from longwriter.core.files import replacing
from longwriter.models.lineup import BY_NAME

Metrics = Mapping[str, Any]

NEUTRAL = "#999999"
"""Reference lines, and values that are neither good nor bad."""
KEPT, LOST = "#0072B2", "#E69F00"
"""Rows of data that were kept, and that were lost."""
CHOSEN, REJECTED = "#009E73", "#CC79A7"
"""Answers of a preference pair."""

STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "figure.dpi": 150,
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "legend.frameon": False,
    "svg.hashsalt": "longwriter",
}
"""matplotlib settings; with the fixed salt, the same figure gives the same bytes."""


class Panel(NamedTuple):
    """A figure before it is saved."""

    name: str
    """File name without `.svg`."""
    figure: Figure
    caption: str


class ReportFigure(NamedTuple):
    """A saved figure and its caption."""

    path: Path
    caption: str


def save(panel: Panel, folder: Path) -> ReportFigure:
    """Saves the figure as SVG in `folder`; the same figure always gives the same bytes."""
    path = folder / f"{panel.name}.svg"
    with replacing(path) as (temporary,):
        panel.figure.savefig(temporary, format="svg", metadata={"Date": None})
    return ReportFigure(path, panel.caption)


def mark(
    axes: Axes, place: float, value: float, interval: Sequence[float] | None, model: str
) -> None:
    """Draws a model's value with its interval."""
    low, high = interval or (math.nan, math.nan)
    axes.errorbar(
        place,
        value,
        yerr=[[max(value - low, 0)], [max(high - value, 0)]],
        capsize=3,
        marker=BY_NAME[model].marker,
        markersize=5,
        color=BY_NAME[model].colour,
        clip_on=False,
    )


def legend(
    figure: Figure, models: Mapping[str, Any], more: Mapping[str, Line2D] | None = None
) -> None:
    """Adds a legend of the models, and of `more`, above the figure."""
    handles = {
        model: Line2D(
            [], [], marker=BY_NAME[model].marker, linestyle="", color=BY_NAME[model].colour
        )
        for model in models
    } | dict(more or {})
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside upper center",
        ncols=len(handles),
        handletextpad=0.3,
        columnspacing=1.5,
    )


def word_axes(axes: Axes) -> None:
    """Makes both axes logarithmic, with round word counts as ticks."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
