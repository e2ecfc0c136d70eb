"""Figures of preference pairs and of what DPO did with them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Metrics = Mapping[str, Any]


CHOSEN, REJECTED, NEUTRAL = "#009E73", "#CC79A7", "#999999"
"""Okabe and Ito's."""


class Panel(NamedTuple):
    """A figure before it is saved."""

    name: str
    figure: Figure
    caption: str


def pair_figures(metrics: Metrics) -> list[Panel]:
    """Every figure whose numbers are in `metrics`.

    Args:
        metrics: name → metrics/<name>.json.
    """
    found = []
    pairs, validation = metrics.get("pairs", {}), metrics.get("dpo", {}).get("validation")
    if "histograms" in pairs:
        caption = (
            f"{pairs['pairs']} preference pairs: scores and words of chosen and rejected answers, "
            f"margins of score. {_bias(pairs)}"
        )
        found.append(Panel("pairs", distributions(pairs["histograms"]), caption))
    if "without_pair_share" in pairs:
        caption = (
            f"Instructions by what came of their candidates; {pairs['without_pair_share']:.0%} gave "
            "no pair."
        )
        found.append(Panel("without_pair", outcomes(pairs), caption))
    if validation:
        caption = (
            f"Reward margin on {validation['pairs']} validation pairs of {validation['instructions']} "
            f"instructions, which DPO never saw: it starts at 0, where the policy is the reference, "
            f"and is {validation['margin']:.3f} after{_interval(validation['interval'])}. Grey marks "
            "are pairs."
        )
        found.append(Panel("validation", margins(validation), caption))
    return found


def distributions(histograms: Metrics) -> Figure:
    """Scores and words of chosen and rejected answers, and margins, in panels."""
    figure = Figure(figsize=(6.4, 2.6))
    panels = figure.subplots(1, 3)
    for axes, (key, title) in zip(
        panels,
        (("score", "score"), ("words", "words"), ("margin", "margin of score")),
        strict=True,
    ):
        shown = histograms[key]
        sides = (
            [("counts0", "margin", NEUTRAL)]
            if key == "margin"
            else [("counts0", "chosen", CHOSEN), ("counts1", "rejected", REJECTED)]
        )
        for counts, label, colour in sides:
            axes.stairs(shown[counts], shown["edges"], color=colour, linewidth=1.6, label=label)
        axes.set_title(title)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panels[0].set_ylabel("pairs")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def outcomes(pairs: Metrics) -> Figure:
    """Instructions that gave a pair, and those that gave none by the reason why."""
    without = sorted(pairs["without_pair"].items(), key=lambda item: -item[1])
    paired = pairs["instructions"] - sum(number for _, number in without)
    names = ["gave a pair", *(reason for reason, _ in without)]
    counts = [paired, *(number for _, number in without)]
    figure = Figure(figsize=(6.4, 0.8 + 0.3 * len(names)))
    axes = figure.subplots()
    colours = [CHOSEN] + [NEUTRAL] * len(without)
    axes.bar_label(axes.barh(range(len(names)), counts, color=colours, height=0.7), padding=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.margins(x=0.08)
    axes.set_xlabel("instructions")
    return figure


def margins(validation: Metrics) -> Figure:
    """The mean reward margin on validation pairs, with its interval, over the pairs; 0 is the start."""
    figure = Figure(figsize=(6.4, 1.5))
    axes = figure.subplots()
    pairs: Sequence[float] = validation["margins"]
    margin = validation["margin"]
    low, high = validation["interval"]
    axes.plot(pairs, [1] * len(pairs), "|", color=NEUTRAL, markersize=8)
    axes.errorbar(
        margin,
        0,
        xerr=[[margin - low], [high - margin]],
        capsize=3,
        marker="D",
        markersize=5,
        color=CHOSEN,
    )
    axes.axvline(0, color=NEUTRAL, linewidth=1, zorder=0)
    axes.set_yticks((0, 1), ("mean", "pairs"))
    axes.set_ylim(1.5, -0.5)
    axes.set_xlabel("reward margin, chosen over rejected")
    return figure


def _interval(bounds: Sequence[float]) -> str:
    return f" (95 % interval {bounds[0]:.3f} to {bounds[1]:.3f})"


def _bias(pairs: Metrics) -> str:
    found = pairs.get("length_bias")
    if not found:
        return "Length bias: none can be told, all answers are as long as their rivals."
    return (
        f"Length bias, the correlation of being chosen with being the longer one: "
        f"{found['correlation']:+.2f} (95 % interval {found['low']:+.2f} to {found['high']:+.2f}, "
        f"{found['n']} instructions)."
    )
