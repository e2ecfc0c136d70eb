"""Figures of training show the numbers that they are given."""

from typing import Any

import pytest
from matplotlib.colors import to_hex

from longwriter.models.lineup import MODELS, Model
from longwriter.report import figures_training
from longwriter.report.figures_training import length_bound, loss_by_position, training_panels

VALIDATION = {
    "pairs": 2,
    "instructions": 2,
    "margin": 0.5,
    "interval": [0.25, 0.75],
    "accuracy": 1.0,
    "margins": [0.25, 0.75],
}


def numbers(mean: float, half: float | None) -> dict[str, float | None]:
    low, high = (None, None) if half is None else (mean - half, mean + half)
    return {"mean": mean, "low": low, "high": high}


def one_bin(end: int, base: float, sft: float, half: float | None) -> dict[str, Any]:
    both = {"base": numbers(base, half), "sft": numbers(sft, half)}
    so_far = {"base": numbers(base + 1, half), "sft": numbers(sft + 1, half)}
    return {"from": 0, "to": end, **both, "cumulative": so_far}


def test_means_and_intervals_of_both_models() -> None:
    bins = [one_bin(32, 3.0, 2.0, 0.25), one_bin(64, 2.5, 1.5, 0.5), one_bin(128, 2.0, 1.0, None)]
    figure = loss_by_position({"rows": 5, "bins": bins})
    by_bin, so_far = figure.axes
    for axes, more in ((by_bin, 0), (so_far, 1)):
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}  # type: ignore[union-attr]
        assert drawn == {
            "base": [[32, 3 + more], [64, 2.5 + more], [128, 2 + more]],
            "sft": [[32, 2 + more], [64, 1.5 + more], [128, 1 + more]],
        }
        base, _ = axes.collections  # a band a model, which a single row does not have
        corners = {tuple(corner) for corner in base.get_paths()[0].vertices.tolist()}
        assert {(32, 2.75 + more), (32, 3.25 + more), (64, 2 + more), (64, 3 + more)} <= corners
        assert max(x for x, _ in corners) == 64
    assert "5 drafts" in by_bin.get_title()


def test_margins_on_validation_pairs() -> None:
    [panel] = training_panels({"dpo": {"validation": VALIDATION}})
    assert panel.name == "validation"
    assert "0.500 [0.250, 0.750] after training" in panel.caption
    assert "2 validation pairs of 2 instructions" in panel.caption
    axes = panel.figure.axes[0]
    assert list(axes.lines[0].get_xdata()) == [0.25, 0.75]
    [bar] = axes.containers
    assert bar.lines[2][0].get_segments()[0][:, 0].tolist() == [0.25, 0.75]


def test_what_is_not_there_is_not_drawn() -> None:
    assert list(training_panels({})) == []
    assert list(training_panels({"dpo": {"pairs": 18}, "sft_position": {"rows": 0}})) == []


def test_a_new_model_s_loss_is_drawn_without_an_entry_here(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model("rl", "GRPO", "dpo", "#56B4E9", "v")
    monkeypatch.setattr(figures_training, "MODELS", (*MODELS, model))
    monkeypatch.setitem(figures_training.BY_NAME, "rl", model)
    curve = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}, {"step": 2, "seconds": 3}]
    [panel] = training_panels({"sft_curve": curve, "rl_curve": curve})
    sft, rl = panel.figure.axes
    assert (sft.get_title(), rl.get_title()) == ("SFT (nats a token)", "rl")
    assert rl.lines[0].get_xydata().tolist() == [[1, 2], [2, 1]]  # type: ignore[union-attr]
    assert to_hex(rl.lines[0].get_color()) == "#56b4e9"  # type: ignore[arg-type]


POINTS = [
    {"longest_trained": 50, "asked": 600, "median": 40.0, "low": 30.0, "high": 45.0},
    {"longest_trained": 400, "asked": 600, "median": 300.0, "low": 250, "high": 360},
]


def test_every_cap_is_a_mark_with_its_interval_and_its_median() -> None:
    figure = length_bound(POINTS)
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == ["40", "300"]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["required: 600 words"].get_ydata()) == [600, 600]
    seen = lines["as long as the longest seen"]
    assert list(seen.get_xdata()) == list(seen.get_ydata()) == [0, 600]
    [bars] = axes.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[30, 45], [250, 360]]
    assert to_hex(bars.get_color()[0]) == "#0072b2"
    figure.draw_without_rendering()
    assert [label.get_text() for label in axes.get_xticklabels()] == ["50", "400"]


def test_the_margin_of_one_instruction_has_no_interval() -> None:
    validation = VALIDATION | {"interval": None}
    [panel] = [
        panel
        for panel in training_panels({"dpo": {"validation": validation}})
        if panel.name == "validation"
    ]
    assert "is 0.500 after training" in panel.caption
