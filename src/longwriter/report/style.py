"""What all figures share: colours, marks, legends, files.

Colours and marks of the models are in `models.lineup`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from longwriter.core.files import replacing
from longwriter.core.tables import ReportFigure
from longwriter.models.lineup import BY_NAME

Metrics = Mapping[str, Any]


LOST, NEUTRAL = "#E69F00", "#999999"


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
    """Names the models, and what `more` shows, above the figure."""
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


def save(figure: Figure, path: Path, caption: str) -> ReportFigure:
    """Writes `figure` to `path`, the same bytes for the same figure."""
    with replacing(path) as (temporary,):
        figure.savefig(temporary, format=path.suffix[1:], metadata={"Date": None})
    return ReportFigure(path, caption)
