"""Figures of training: loss curves, loss by position, DPO margins and the length bound."""

from collections.abc import Iterator, Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter, StrMethodFormatter

from longwriter.core.tables import number, with_interval
from longwriter.models.lineup import BY_NAME, MODELS
from longwriter.report.style import CHOSEN, NEUTRAL, Metrics, Panel

_LOSSES = {"sft": "SFT (nats a token)", "dpo": "DPO (nats a pair)"}
"""Stage → title of its loss, with the unit."""

_BOUND_BY = BY_NAME["sft"]
"""The model whose length the study `sweep.length_bound` measures."""


def training_panels(metrics: Metrics) -> Iterator[Panel]:
    """Yields every figure whose metrics are available.

    Args:
        metrics: name → metrics/<name>.json, with the intervals of `intervals.with_intervals`.
    """
    found = {model.name: metrics.get(f"{model.name}_curve") for model in MODELS}
    curves = {name: curve for name, curve in found.items() if curve}
    if curves:
        caption = "Training loss. The losses are different quantities: compare shapes only."
        yield Panel("loss", loss_curves(curves), caption)
    position = metrics.get("sft_position", {})
    if position.get("rows"):
        caption = (
            "Loss on validation drafts by position in the text, with 95 % intervals over drafts: in "
            "each bin of positions, and the mean of all positions up to the bin's end. Where it "
            "falls, the text so far helps to predict what comes next."
        )
        yield Panel("loss_by_position", loss_by_position(position), caption)
    validation = metrics.get("dpo", {}).get("validation")
    if validation:
        margin = with_interval(validation["margin"], validation["interval"], three_decimals)
        caption = (
            f"Reward margin on {validation['pairs']} validation pairs of "
            f"{validation['instructions']} instructions, which DPO was not trained on. It starts at "
            f"0, where the policy is the reference, and is {margin} after training, with its 95 % "
            "interval where there are several instructions. Grey marks are pairs."
        )
        yield Panel("validation", validation_margins(validation), caption)
    if "length_bound" in metrics:
        caption = (
            f"Words written by fine-tuned models when {metrics['length_bound'][0]['asked']:,} are "
            "required, by the longest text in their training data: the median, with its 95 % "
            "interval over prompts, of the answers of all models trained with the same limit."
        )
        yield Panel("length_bound", length_bound(metrics["length_bound"]), caption)


def loss_curves(curves: Mapping[str, Sequence[Metrics]]) -> Figure:
    """Draws the training loss by optimiser step, one panel per model.

    Args:
        curves: model → metrics/<model>_curve.json.
    """
    figure = Figure(figsize=(6.4, 2.6))
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        points = [(row["step"], row["loss"]) for row in curve if "loss" in row]
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=BY_NAME[name].colour, marker=".", markersize=4, linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("optimiser step")
        axes.set_title(_LOSSES.get(name, name))
    panels[0].set_ylabel("training loss")
    return figure


def loss_by_position(position: Metrics) -> Figure:
    """Draws each model's loss by position in the text: per bin, and over all positions so far.

    Args:
        position: metrics/sft_position.json with `bins` from `intervals.position_bins`, not empty.
    """
    figure = Figure(figsize=(6.4, 2.8))
    panels = figure.subplots(1, 2, sharey=True)
    bins = position["bins"]
    _draw_bins(panels[0], bins, bins)
    _draw_bins(panels[1], bins, [found["cumulative"] for found in bins])
    panels[0].set_ylabel("loss (nats a token)")
    panels[0].set_title(f"in each bin ({position['rows']} drafts)")
    panels[1].set_title("all positions so far")
    panels[0].legend()
    return figure


def _draw_bins(axes: Axes, bins: Sequence[Metrics], found: Sequence[Metrics]) -> None:
    """Draws one point per bin, at its end on a log axis, and a band where there is an interval."""
    ends = [each["to"] for each in bins]
    for model in (model for model in MODELS if model.name in found[0]):
        points = [numbers[model.name] for numbers in found]
        axes.plot(
            ends,
            [point["mean"] for point in points],
            color=model.colour,
            marker=model.marker,
            markersize=4,
            label=model.name,
        )
        known = [(e, p) for e, p in zip(ends, points, strict=True) if p["low"] is not None]
        if known:
            places = [end for end, _ in known]
            lows, highs = [p["low"] for _, p in known], [p["high"] for _, p in known]
            axes.fill_between(places, lows, highs, color=model.colour, alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(ends)
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.set_xlabel("position in the answer (tokens)")


def three_decimals(value: float | None) -> str:
    """Returns the number with three decimals, such as "0.044"."""
    return number(value, 3)


def validation_margins(validation: Metrics) -> Figure:
    """Draws the mean reward margin on validation pairs with its interval, and each pair's margin.

    A line marks 0, where training starts.
    """
    figure = Figure(figsize=(6.4, 1.5))
    axes = figure.subplots()
    pairs: Sequence[float] = validation["margins"]
    margin = validation["margin"]
    low, high = validation["interval"] or (margin, margin)
    axes.plot(pairs, [1] * len(pairs), "|", color=NEUTRAL, markersize=8)
    axes.errorbar(
        margin,
        0,
        xerr=[[max(margin - low, 0)], [max(high - margin, 0)]],
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


def length_bound(points: Sequence[Metrics]) -> Figure:
    """Draws the median length reached against the longest training output, in words.

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
    asked = points[0]["asked"]
    axes.axhline(
        asked, color=NEUTRAL, linestyle="--", linewidth=1, label=f"required: {asked:,} words"
    )
    end = max(*trained, asked)
    axes.plot(
        (0, end),
        (0, end),
        color=NEUTRAL,
        linewidth=1,
        zorder=0,
        label="as long as the longest seen",
    )
    axes.errorbar(
        trained, medians, spread, capsize=3, marker=_BOUND_BY.marker, markersize=5, linestyle="",
        color=_BOUND_BY.colour, label="written: median, 95 % interval",
    )  # fmt: skip
    for point in points:
        axes.annotate(
            f"{point['median']:,.0f}",
            (point["longest_trained"], point["median"]),
            (8, 0),
            textcoords="offset points",
            va="center",
        )
    axes.set_xlim(0, 1.15 * max(trained))
    axes.set_ylim(0, 1.15 * max(asked, *(point["high"] for point in points)))
    axes.set_xticks(trained, [f"{words:,}" for words in trained])
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("longest text in the training data (words)")
    axes.set_ylabel("words written")
    figure.legend(loc="outside upper center", ncols=3, fontsize=8)
    return figure
