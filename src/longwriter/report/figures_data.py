"""Figures of the training data: from instructions to SFT rows, and preference pairs."""

from collections.abc import Iterator, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from longwriter.core.tables import percent, signed, with_interval
from longwriter.report.style import CHOSEN, KEPT, LOST, NEUTRAL, REJECTED, Metrics, Panel


def data_panels(metrics: Metrics) -> Iterator[Panel]:
    """Yields every figure whose metrics are available.

    Args:
        metrics: name → metrics/<name>.json, with the intervals of `intervals.with_intervals`.
    """
    agentwrite, filtered = metrics.get("agentwrite"), metrics.get("filter")
    if agentwrite and filtered:
        caption = "From instructions to training rows, and what was lost on the way."
        if agentwrite.get("S_l_interval"):
            s_l = with_interval(agentwrite["S_l"], agentwrite["S_l_interval"])
            caption += f" S_l of the complete drafts: {s_l}."
        yield Panel("data", data_funnel(agentwrite, filtered), caption)
    if filtered and "histogram" in filtered:
        caption = "Length of the drafts before and after the rules."
        yield Panel("data_lengths", length_histograms(filtered), caption)
    pairs = metrics.get("pairs", {})
    if "histograms" in pairs:
        margin = with_interval(pairs["margin"], pairs.get("margin_interval"))
        caption = (
            f"{pairs['pairs']} preference pairs: scores and words of chosen and rejected answers, and "
            f"margins of score, {margin} on average. {_length_bias(pairs)}"
        )
        yield Panel("pairs", pair_distributions(pairs["histograms"]), caption.rstrip())
    if "without_pair_share" in pairs:
        caption = (
            "Instructions by what became of their candidates; "
            f"{percent(pairs['without_pair_share'])} gave no pair."
        )
        yield Panel("without_pair", pair_outcomes(pairs), caption)


def data_funnel(agentwrite: Metrics, filtered: Metrics) -> Figure:
    """Draws the funnel from instructions to kept rows.

    Bars show instructions, those planned, complete drafts and kept rows; between them, what each
    error removed (as a share of the instructions) and each rule (as a share of the drafts).
    """
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
    names, counts, colours, shares = zip(*bars, strict=True)
    return _bars(
        names, counts, colours, [f"{n:,}{s}" for n, s in zip(counts, shares, strict=True)], "rows"
    )


def _share(part: int, whole: int) -> str:
    return f" ({percent(part / whole)})" if whole else ""


def length_histograms(filtered: Metrics) -> Figure:
    """Draws histograms of draft length before and after the filter rules, in logarithmic bins."""
    edges, before, after = (filtered["histogram"][key] for key in ("words", "before", "after"))
    used = [place for place, found in enumerate(before) if found] or [0]
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


def pair_distributions(histograms: Metrics) -> Figure:
    """Draws the scores and words of chosen and rejected answers, and the score margins."""
    figure = Figure(figsize=(6.4, 2.6))
    panels = figure.subplots(1, 3)
    both = (("counts0", "chosen", CHOSEN), ("counts1", "rejected", REJECTED))
    for axes, key, title, sides in zip(
        panels,
        ("score", "words", "margin"),
        ("score", "words", "margin of score"),
        (both, both, (("counts0", "margin", NEUTRAL),)),
        strict=True,
    ):
        shown = histograms[key]
        for counts, label, colour in sides:
            axes.stairs(shown[counts], shown["edges"], color=colour, linewidth=1.6, label=label)
        axes.set_title(title)
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    panels[0].set_ylabel("pairs")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _length_bias(pairs: Metrics) -> str:
    if "length_bias" not in pairs:  # no pairs of the model's own samples
        return ""
    found = pairs["length_bias"]
    if not found:
        return "Length bias: undefined, since both answers of every pair have the same length."
    value, low, high = (signed(found[key], 2) for key in ("correlation", "low", "high"))
    return (
        "Length bias, the correlation of being chosen with being the longer answer: "
        f"{value} (95 % interval {low} to {high}, {found['n']} instructions)."
    )


def pair_outcomes(pairs: Metrics) -> Figure:
    """Draws how many instructions gave a pair, and how many gave none, by reason."""
    without = sorted(pairs["without_pair"].items(), key=lambda item: -item[1])
    paired = pairs["instructions"] - sum(n for _, n in without)
    names = ["gave a pair", *(reason for reason, _ in without)]
    counts = [paired, *(n for _, n in without)]
    colours = [CHOSEN] + [NEUTRAL] * len(without)
    return _bars(names, counts, colours, [f"{n:,}" for n in counts], "instructions")


def _bars(
    names: Sequence[str],
    counts: Sequence[int],
    colours: Sequence[str],
    labels: Sequence[str],
    unit: str,
) -> Figure:
    """Draws counts as horizontal bars, the first on top."""
    figure = Figure(figsize=(6.4, 0.75 + 0.3 * len(names)))
    axes = figure.subplots()
    bars = axes.barh(range(len(names)), counts, color=colours, height=0.7)
    axes.bar_label(bars, labels, padding=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.15)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_xlabel(unit)
    return figure
