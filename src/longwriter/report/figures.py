"""The report's figures: what the models score, how long they write, what the data went through.

A topic with several figures has a module of its own, `figures_<topic>`, and one call in `draw`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from longwriter.core.rows import Judgement
from longwriter.core.tables import ReportFigure
from longwriter.models.lineup import BY_NAME
from longwriter.report.figures_data import data_funnel, length_histograms
from longwriter.report.figures_eval import draw_eval
from longwriter.report.figures_length_bound import CAPTION as LENGTH_BOUND_CAPTION
from longwriter.report.figures_length_bound import length_bound
from longwriter.report.figures_pairs import pair_figures
from longwriter.report.figures_training import CAPTION, loss_by_position
from longwriter.report.style import NEUTRAL, STYLE, Metrics, legend, mark, save


def draw(
    folder: Path,
    evals: Mapping[str, Metrics],
    judgements: Mapping[str, Sequence[Judgement]],
    metrics: Metrics,
) -> list[ReportFigure]:
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
            save(
                scores(evals),
                folder / "scores.svg",
                "Length score S_l and quality score S_q (0 to 100), with 95 % intervals.",
            ),
            save(
                scores_by_length(evals),
                folder / "scores_by_length.svg",
                "Length score S_l by required length, with 95 % intervals.",
            ),
            save(
                written_words(judgements),
                folder / "written_words.svg",
                "Words asked for and words written, one mark an output. On the line an output has "
                "the length asked for; hollow marks were cut off at the token limit.",
            ),
            *draw_eval(folder, evals),
        ]
        if curves:
            caption = "Training loss. The two losses are different quantities: compare shapes only."
            drawn.append(save(loss_curves(curves), folder / "loss.svg", caption))
        if "agentwrite" in metrics and "filter" in metrics:
            caption = "From instructions to training rows, and what was lost on the way."
            figure = data_funnel(metrics["agentwrite"], metrics["filter"])
            drawn.append(save(figure, folder / "data.svg", caption))
        if "histogram" in metrics.get("filter", {}):
            caption = "Length of the drafts before and after the rules."
            figure = length_histograms(metrics["filter"])
            drawn.append(save(figure, folder / "data_lengths.svg", caption))
        for panel in pair_figures(metrics):
            drawn.append(save(panel.figure, folder / f"{panel.name}.svg", panel.caption))
        position = metrics.get("sft_position")
        if position and position["rows"]:
            figure = loss_by_position(position)
            drawn.append(save(figure, folder / "loss_by_position.svg", CAPTION))
        if "length_bound" in metrics:
            figure = length_bound(metrics["length_bound"])
            drawn.append(save(figure, folder / "length_bound.svg", LENGTH_BOUND_CAPTION))
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
                mark(axes, place, value, result["intervals"].get(key), model)
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
                mark(axes, place, cell["S_l"], cell.get("interval_S_l"), model)
    axes.set_xticks(range(len(labels)), [f"{label}\nn = {n}" for label, n in labels.items()])
    axes.set_xlabel("required length (words)")
    axes.set_ylabel("length score S_l (0 to 100)")
    axes.set_ylim(0, 100)
    axes.margins(x=0.1)
    legend(figure, evals)
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
                marker=BY_NAME[model].marker,
                linewidths=0.9,
                edgecolors=BY_NAME[model].colour,
                facecolors="none" if cut_off else BY_NAME[model].colour,
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
    legend(figure, judgements, {"cut off": hollow, "as long as asked": line})
    return figure


def loss_curves(curves: Mapping[str, Sequence[Metrics]]) -> Figure:
    """Training loss by optimiser step, a panel for each of `sft` and `dpo`."""
    titles = {"sft": "SFT (nats a token)", "dpo": "DPO (nats a pair)"}
    figure = Figure(figsize=(6.4, 2.6))
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for axes, (name, curve) in zip(panels, curves.items(), strict=True):
        points = [(row["step"], row["loss"]) for row in curve if "loss" in row]
        steps, losses = zip(*points, strict=True)
        axes.plot(steps, losses, color=BY_NAME[name].colour, marker=".", markersize=4, linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("optimiser step")
        axes.set_title(titles[name])
    panels[0].set_ylabel("training loss")
    return figure
