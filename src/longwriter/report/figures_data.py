"""Figures of the training data: what was lost on the way to it, and how long its texts are."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Metrics = Mapping[str, Any]


KEPT, LOST, NEUTRAL = "#0072B2", "#E69F00", "#999999"


def data_funnel(agentwrite: Metrics, filtered: Metrics) -> Figure:
    """Instructions, those planned, complete drafts and kept rows, and between them what each error and
    each rule took, with its share of what came before."""
    failed = sorted(agentwrite.get("failures_by_error", {}).items())
    rejected = sorted(filtered["rejected"].items(), key=lambda item: -item[1])
    drafts = filtered["drafts"]
    bars = [("instructions", agentwrite["instructions"], NEUTRAL, "")]
    if "planned" in agentwrite:
        bars.append(("planned", agentwrite["planned"], NEUTRAL, ""))
    bars += [
        (f"failed: {error}", n, LOST, _share(n, agentwrite["instructions"]))
        for error, n in failed
        if n
    ]
    bars.append(("complete", drafts, NEUTRAL, ""))
    bars += [(f"rejected: {rule}", n, LOST, _share(n, drafts)) for rule, n in rejected if n]
    bars.append(("kept", filtered["kept"], KEPT, _share(filtered["kept"], drafts)))
    figure = Figure(figsize=(6.4, 0.7 + 0.3 * len(bars)))
    axes = figure.subplots()
    names, counts, colours, shares = zip(*bars, strict=True)
    drawn = axes.barh(range(len(bars)), counts, color=colours, height=0.7)
    axes.bar_label(drawn, [f"{n:,}{s}" for n, s in zip(counts, shares, strict=True)], padding=3)
    axes.set_yticks(range(len(bars)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel("rows")
    return figure


def _share(part: int, whole: int) -> str:
    return f" ({part / whole:.0%})" if whole else ""


def length_histograms(filtered: Metrics) -> Figure:
    """Drafts by their words before and after the rules, on a logarithmic axis."""
    edges, before, after = (filtered["histogram"][key] for key in ("words", "before", "after"))
    used = [number for number, count in enumerate(before) if count] or [0]
    first, last = used[0], used[-1] + 1
    figure = Figure(figsize=(6.4, 2.6))
    axes = figure.subplots()
    places = range(first, last)
    for counts, colour, label in ((before, LOST, "before the rules"), (after, KEPT, "kept")):
        axes.bar(places, counts[first:last], width=0.9, color=colour, label=label)
    labels = [f"{edges[place]:,}" for place in places]
    axes.set_xticks([place - 0.5 for place in places], labels, rotation=45 * (len(labels) > 10))
    axes.set_xlabel("words of a draft (each bar begins at its label)")
    axes.set_ylabel("drafts")
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    figure.legend(loc="outside upper center", ncols=2)
    return figure
