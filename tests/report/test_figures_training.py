"""The figure of the loss by position shows the numbers that it is given."""

from typing import Any

from longwriter.report.figures_training import loss_by_position


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
