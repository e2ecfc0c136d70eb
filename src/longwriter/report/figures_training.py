"""The figure of the loss by position in validation drafts."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

from longwriter.models.lineup import BY_NAME

CAPTION = (
    "Loss on validation drafts by position in the text, with 95 % intervals over drafts: in each bin "
    "of positions, and as the mean of all positions up to the bin's end. Where it falls, the text so "
    "far helps with what comes next."
)


def loss_by_position(position: Mapping[str, Any]) -> Figure:
    """Draws metrics/sft_position.json with its bins (`intervals.position_bins`), at least one: base and tuned, one panel by
    bin and one cumulative."""
    figure = Figure(figsize=(6.4, 2.8))
    panels = figure.subplots(1, 2, sharey=True)
    bins = position["bins"]
    _draw(panels[0], bins, bins)
    _draw(panels[1], bins, [found["cumulative"] for found in bins])
    panels[0].set_ylabel("loss (nats a token)")
    panels[0].set_title(f"in each bin ({position['rows']} drafts)")
    panels[1].set_title("all positions so far")
    panels[0].legend()
    return figure


def _draw(axes: Axes, bins: list[Mapping[str, Any]], found: list[Mapping[str, Any]]) -> None:
    """A point a bin, at its end, on a logarithmic axis."""
    ends = [bin["to"] for bin in bins]
    for model in (name for name in BY_NAME if name in found[0]):
        colour = BY_NAME[model].colour
        points = [numbers[model] for numbers in found]
        means = [point["mean"] for point in points]
        known = [(e, p) for e, p in zip(ends, points, strict=True) if p["low"] is not None]
        axes.plot(
            ends, means, color=colour, marker=BY_NAME[model].marker, markersize=4, label=model
        )
        if known:
            places = [end for end, _ in known]
            lows, highs = [p["low"] for _, p in known], [p["high"] for _, p in known]
            axes.fill_between(places, lows, highs, color=colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ends)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set_xlabel("position in the answer (tokens)")
