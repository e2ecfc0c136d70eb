from typing import Any

from longwriter.report.figures_pairs import pair_figures

PAIRS: dict[str, Any] = {
    "instructions": 5,
    "pairs": 3,
    "without_pair": {"only one scored answer": 2},
    "without_pair_share": 0.4,
    "length_bias": {"correlation": -0.25, "low": -0.5, "high": 0.125, "n": 3},
    "histograms": {
        "score": {"edges": [0, 50, 100], "counts0": [0, 3], "counts1": [2, 1]},
        "words": {"edges": [0, 90, 180], "counts0": [1, 2], "counts1": [3, 0]},
        "margin": {"edges": [0, 30, 60], "counts0": [2, 1]},
    },
}
DPO = {
    "held_out": {
        "pairs": 2,
        "instructions": 2,
        "margin": 0.5,
        "low": 0.25,
        "high": 0.75,
        "accuracy": 1.0,
        "margins": [0.25, 0.75],
    }
}


def test_captions_say_the_numbers() -> None:
    panels = pair_figures({"pairs": PAIRS, "dpo": DPO})
    captions = {panel.name: panel.caption for panel in panels}
    assert list(captions) == ["pairs", "without_pair", "held_out"]
    assert "-0.25 (95 % interval -0.50 to +0.12, 3 instructions)" in captions["pairs"]
    assert "40% gave no pair" in captions["without_pair"]
    assert "0.500 after (95 % interval 0.250 to 0.750)" in captions["held_out"]
    assert "2 held-out pairs of 2 instructions" in captions["held_out"]


def test_figures_show_the_numbers() -> None:
    panels = pair_figures({"pairs": PAIRS, "dpo": DPO})
    figures = {panel.name: panel.figure for panel in panels}
    score, words, margin = figures["pairs"].axes
    stairs = [patch.get_data() for axes in (score, words, margin) for patch in axes.patches]
    assert [data.values.tolist() for data in stairs] == [[0, 3], [2, 1], [1, 2], [3, 0], [2, 1]]
    bars = figures["without_pair"].axes[0]
    assert [bar.get_width() for bar in bars.patches] == [3, 2]  # gave a pair, gave none
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert names == ["gave a pair", "only one scored answer"]
    held_out = figures["held_out"].axes[0]
    assert list(held_out.lines[0].get_xdata()) == [0.25, 0.75]


def test_what_is_not_there_is_not_drawn() -> None:
    assert pair_figures({}) == []
    old = {"pairs": {"instructions": 20, "pairs": 18}, "dpo": {"pairs": 18}}
    assert pair_figures(old) == []
    bias = {**PAIRS, "length_bias": None}
    assert "none can be told" in pair_figures({"pairs": bias})[0].caption
