from matplotlib.colors import to_hex

from longwriter.report.figures_length_bound import length_bound

POINTS = [
    {"longest_trained": 50, "rows": 12, "median": 40.0, "low": 30.0, "high": 45.0, "longest": 60},
    {"longest_trained": 400, "rows": 80, "median": 300.0, "low": 250, "high": 360, "longest": 500},
]


def test_every_cap_is_a_mark_with_its_interval_and_a_note() -> None:
    points = [POINTS[0] | {"cut_off": 0}, POINTS[1] | {"cut_off": 2}]
    figure = length_bound(points)
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == ["12 rows", "80 rows, 2 cut off"]
    lines = {line.get_label(): line for line in axes.lines}
    assert list(lines["longest"].get_ydata()) == [60, 500]
    assert list(lines["as long as trained"].get_ydata()) == [50, 400]
    [bars] = axes.collections
    assert [segment[:, 1].tolist() for segment in bars.get_segments()] == [[30, 45], [250, 360]]
    assert to_hex(bars.get_color()[0]) == "#0072b2"
    figure.draw_without_rendering()
    assert {"50", "100", "200", "500"} <= {label.get_text() for label in axes.get_yticklabels()}
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
