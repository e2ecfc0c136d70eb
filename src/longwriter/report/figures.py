"""The report's figures: what the models score, how long they write, what the data went through.

Colours are Okabe and Ito's, which people with any kind of colour vision can tell apart.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from longwriter.records import Judgement, replacing
from longwriter.report.figures_data import data_funnel, length_histograms

Metrics = Mapping[str, Any]

COLOURS = {"base": "#000000", "sft": "#0072B2", "dpo": "#D55E00"}
MARKERS = {"base": "o", "sft": "s", "dpo": "D"}
NEUTRAL = "#999999"
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


class Drawn(NamedTuple):
    """A figure's file and what it shows, in words."""

    path: Path
    caption: str


def draw(
    folder: Path,
    evals: Mapping[str, Metrics],
    judgements: Mapping[str, Sequence[Judgement]],
    metrics: Mapping[str, Any],
) -> list[Drawn]:
    """Draws every figure whose numbers are there, as SVG files in `folder`.

    Args:
        folder: where the files go.
        evals: model → metrics/eval/<model>.json.
        judgements: model → its scored predictions.
        metrics: name → metrics/<name>.json.
    """
    found = {name: metrics.get(f"{name}_curve") for name in ("sft", "dpo")}
    curves = {name: curve for name, curve in found.items() if curve}
    with mpl.rc_context(STYLE):
        drawn = [
            _save(
                scores(evals),
                folder / "scores.svg",
                "Length score S_l and quality score S_q (0 to 100), with 95 % intervals.",
            ),
            _save(
                scores_by_length(evals),
                folder / "scores_by_length.svg",
                "Length score S_l by required length, with 95 % intervals.",
            ),
            _save(
                written_words(judgements),
                folder / "written_words.svg",
                "Words asked for and words written, one mark an output. On the line an output has "
                "the length asked for; hollow marks were cut off at the token limit.",
            ),
        ]
        if curves:
            caption = "Training loss. The two losses are different quantities: compare shapes only."
            drawn.append(_save(loss_curves(curves), folder / "loss.svg", caption))
        if "agentwrite" in metrics and "filter" in metrics:
            caption = "From instructions to training rows, and what was lost on the way."
            figure = data_funnel(metrics["agentwrite"], metrics["filter"])
            drawn.append(_save(figure, folder / "data.svg", caption))
        if "histogram" in metrics.get("filter", {}):
            caption = "Length of the drafts before and after the rules."
            figure = length_histograms(metrics["filter"])
            drawn.append(_save(figure, folder / "data_lengths.svg", caption))
    return drawn


def scores(evals: Mapping[str, Metrics]) -> Figure:
    """S_l and S_q of each model with 95 % intervals; a model without judged outputs has no S_q."""
    figure = Figure(figsize=(6.4, 2.8))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, key, title in zip(
        panels, ("S_l", "S_q"), ("length score S_l", "quality score S_q"), strict=True
    ):
        for place, (model, result) in enumerate(evals.items()):
            value = result.get(key)
            if value is None:
                axes.text(place, 50, "not\nscored", ha="center", va="center", color=NEUTRAL)
            else:
                _mark(axes, place, value, result["intervals"].get(key), model)
                axes.annotate(
                    f"{value:.1f}", (place, value), (7, 0), textcoords="offset points", va="center"
                )
        axes.set_xticks(range(len(evals)), list(evals))
        axes.set_xlim(-0.5, len(evals) - 0.3)
        axes.set_title(title)
    panels[0].set_ylim(0, 100)
    panels[0].set_ylabel("score (0 to 100)")
    return figure


def scores_by_length(evals: Mapping[str, Metrics]) -> Figure:
    """S_l of each model in each bin of required words."""
    figure = Figure(figsize=(6.4, 3.0))
    axes = figure.subplots()
    labels: dict[str, int] = {}
    for offset, (model, result) in enumerate(evals.items()):
        for label, cell in result["by_length"].items():
            labels.setdefault(label, cell["n"])
            if cell["S_l"] is not None:
                place = list(labels).index(label) + (offset - (len(evals) - 1) / 2) * 0.2
                _mark(axes, place, cell["S_l"], cell.get("interval_S_l"), model)
    axes.set_xticks(range(len(labels)), [f"{label}\nn = {n}" for label, n in labels.items()])
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("length score S_l (0 to 100)")
    axes.set_ylim(0, 100)
    axes.margins(x=0.1)
    _legend(figure, evals)
    return figure


def written_words(judgements: Mapping[str, Sequence[Judgement]]) -> Figure:
    """Required against written words on logarithmic axes; an empty output is drawn at 1 word."""
    figure = Figure(figsize=(6.4, 4.2))
    axes = figure.subplots()
    for model, rows in judgements.items():
        for cut_off in (False, True):
            chosen = [row for row in rows if (row.finish_reason == "length") == cut_off]
            axes.scatter(
                [row.length for row in chosen],
                [max(row.response_length, 1) for row in chosen],
                s=22,
                marker=MARKERS[model],
                linewidths=0.9,
                edgecolors=COLOURS[model],
                facecolors="none" if cut_off else COLOURS[model],
                alpha=0.8,
            )
    axes.set_xscale("log")
    axes.set_yscale("log")
    lengths = [row.length for rows in judgements.values() for row in rows]
    ends = (min(lengths), max(lengths))
    axes.plot(ends, ends, color=NEUTRAL, linewidth=1, zorder=0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("written length (words)")
    hollow = Line2D([], [], marker="o", linestyle="", color=NEUTRAL, markerfacecolor="none")
    line = Line2D([], [], color=NEUTRAL, linewidth=1)
    _legend(figure, judgements, {"cut off": hollow, "as long as asked": line})
    return figure


def loss_curves(curves: Mapping[str, Sequence[Metrics]]) -> Figure:
    """Training loss by optimiser step, a panel for each of `sft` and `dpo`."""
    titles = {"sft": "SFT (nats a token)", "dpo": "DPO (nats a pair)"}
    figure = Figure(figsize=(6.4, 2.6))
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        points = [(row["step"], row["loss"]) for row in curve if "loss" in row]
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=COLOURS[name], marker=".", markersize=4, linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("optimiser step")
        axes.set_title(titles[name])
    panels[0].set_ylabel("training loss")
    return figure


def _mark(
    axes: Axes, place: float, value: float, interval: Sequence[float] | None, model: str
) -> None:
    low, high = interval or (math.nan, math.nan)
    axes.errorbar(
        place,
        value,
        yerr=[[max(value - low, 0)], [max(high - value, 0)]],
        capsize=3,
        marker=MARKERS[model],
        markersize=5,
        color=COLOURS[model],
        clip_on=False,
    )


def _legend(
    figure: Figure, models: Mapping[str, Any], more: Mapping[str, Line2D] | None = None
) -> None:
    handles = {
        model: Line2D([], [], marker=MARKERS[model], linestyle="", color=COLOURS[model])
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


def _save(figure: Figure, path: Path, caption: str) -> Drawn:
    with replacing(path) as (temporary,):
        figure.savefig(temporary, format=path.suffix[1:], metadata={"Date": None})
    return Drawn(path, caption)
