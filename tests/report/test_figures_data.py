from typing import Any

from longwriter.report.figures_data import data_panels

AGENTWRITE = {"instructions": 9, "planned": 8, "S_l": 90.0, "S_l_interval": [85.0, 95.0]}
FILTER = {
    "drafts": 6,
    "kept": 5,
    "rejected": {"too_short": 1},
    "histogram": {"words": [0, 1, 2, 4], "before": [0, 4, 2], "after": [0, 3, 2]},
}
PAIRS: dict[str, Any] = {
    "instructions": 5,
    "pairs": 3,
    "without_pair": {"only one scored answer": 2},
    "without_pair_share": 0.4,
    "margin": 21.5,
    "margin_interval": [-2.0, 45.0],
    "length_bias": {"correlation": -0.25, "low": -0.5, "high": 0.125, "n": 3},
    "histograms": {
        "score": {"edges": [0, 50, 100], "counts0": [0, 3], "counts1": [2, 1]},
        "words": {"edges": [0, 90, 180], "counts0": [1, 2], "counts1": [3, 0]},
        "margin": {"edges": [0, 30, 60], "counts0": [2, 1]},
    },
}


def captions(metrics: dict[str, Any]) -> dict[str, str]:
    return {panel.name: panel.caption for panel in data_panels(metrics)}


def test_captions_say_the_numbers() -> None:
    found = captions({"agentwrite": AGENTWRITE, "filter": FILTER, "pairs": PAIRS})
    assert list(found) == ["data", "data_lengths", "pairs", "without_pair"]
    assert found["data"].endswith("S_l of the complete drafts: 90.0 [85.0, 95.0].")
    assert "margins of score, 21.5 [−2.0, 45.0] on average" in found["pairs"]
    assert "−0.25 (95 % interval −0.50 to +0.12, 3 instructions)" in found["pairs"]
    assert "40% gave no pair" in found["without_pair"]


def test_figures_show_the_numbers() -> None:
    metrics = {"agentwrite": AGENTWRITE, "filter": FILTER, "pairs": PAIRS}
    figures = {panel.name: panel.figure for panel in data_panels(metrics)}
    funnel = figures["data"].axes[0]
    assert [bar.get_width() for bar in funnel.patches] == [9, 8, 6, 1, 5]
    assert [text.get_text() for text in funnel.texts] == ["9", "8", "6", "1 (17%)", "5 (83%)"]
    before, after = figures["data_lengths"].axes[0].containers
    assert [bar.get_height() for bar in before] == [4, 2]  # from the first bin with a draft on
    assert [bar.get_height() for bar in after] == [3, 2]
    score, words, margin = figures["pairs"].axes
    stairs = [patch.get_data() for axes in (score, words, margin) for patch in axes.patches]
    assert [data.values.tolist() for data in stairs] == [[0, 3], [2, 1], [1, 2], [3, 0], [2, 1]]
    bars = figures["without_pair"].axes[0]
    assert [bar.get_width() for bar in bars.patches] == [3, 2]  # gave a pair, gave none
    names = [label.get_text() for label in bars.get_yticklabels()]
    assert names == ["gave a pair", "only one scored answer"]


def test_what_is_not_there_is_not_drawn() -> None:
    assert captions({}) == {}
    assert captions({"pairs": {"instructions": 20, "pairs": 18}}) == {}
    same_lengths = captions({"pairs": PAIRS | {"length_bias": None}})["pairs"]
    assert "undefined, since both answers of every pair have the same length" in same_lengths
    raw = {
        key: value for key, value in PAIRS.items() if key not in ("length_bias", "margin_interval")
    }
    assert captions({"pairs": raw})["pairs"].endswith("margins of score, 21.5 on average.")
