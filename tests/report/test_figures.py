import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from helpers.finished_pipeline import (
    METRICS,
    PLANTED,
    WRITTEN,
    evaluation,
    judgement,
    write_finished,
)
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from longwriter.core.rows import Judgement
from longwriter.core.settings import StatisticsSettings
from longwriter.models.lineup import BY_NAME
from longwriter.report import figures
from longwriter.report.figures import draw
from longwriter.report.intervals import with_intervals
from longwriter.report.load import read_results
from longwriter.report.style import STYLE, ReportFigure

EVALS = {model: METRICS[f"eval/{model}"] for model in WRITTEN}
JUDGEMENTS = {
    model: [Judgement(**judgement(model, place)) for place in range(6)] for model in WRITTEN
}


def texts(path: Path) -> set[str]:
    """Every text in an SVG: matplotlib draws letters as paths and leaves the text as a comment."""
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    tree = ET.parse(path, parser)
    return {node.text.strip() for node in tree.iter() if node.tag is ET.Comment and node.text}


def inked(figure: Figure, colour: str) -> int:
    """Pixels of exactly `colour`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    wanted = np.round(np.array(to_rgb(colour)) * 255)
    return int((pixels == wanted).all(axis=-1).sum())


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Those of a finished pipeline, with intervals."""
    root = write_finished(tmp_path_factory.mktemp("finished"))
    statistics = StatisticsSettings(resamples=200, seed=0)
    return dict(with_intervals(read_results(root), root, statistics).metrics)


@pytest.fixture(scope="module")
def drawn(
    tmp_path_factory: pytest.TempPathFactory, metrics: dict[str, Any]
) -> dict[str, ReportFigure]:
    folder = tmp_path_factory.mktemp("figures")
    return {each.path.name: each for each in draw(folder, EVALS, JUDGEMENTS, metrics)}


def test_every_figure_says_what_it_shows(drawn: dict[str, ReportFigure]) -> None:
    expected = {
        "scores.svg": {
            "length score S_l",
            "quality score S_q",
            "within ±20 % (% of texts)",
            "66.7",
            "base",
            "sft",
            "dpo",
            "46.0",
            "58.2",
            "60.0",
            "40.5",
            "52.0",
            "not",
            "scored",
        },
        "scores_by_length.svg": {
            "required length",
            "length score S_l (0 to 100)",
            "under 200",
            "200 words or",
            "n = 3",
            "base",
            "sft",
            "dpo",
        },
        "written_words.svg": {
            "required length (words)",
            "written length (words)",
            "100",
            "200",
            "500",
            "base",
            "sft",
            "dpo",
            "cut off",
            "required length",
        },
        "ruler.svg": {
            "required length (words)",
            "written length (words)",
            "100",
            "400",
            "required length",
        },
        "dimensions.svg": {
            "Relevance",
            "Breadth and Depth",
            "score (0 to 100)",
            "40",
            "52",
            "base",
            "dpo",
        },
        "health.svg": {
            "repeated 8-grams",
            "distinct bigrams",
            "texts that loop",
            "25 %",
            "share (%)",
            "sft",
        },
        "loss.svg": {"SFT (nats a token)", "DPO (nats a pair)", "optimiser step", "training loss"},
        "data.svg": {
            "instructions",
            "40",
            "failed: BadCompletion",
            "failed: TimedOut",
            "complete",
            "36",
            "rejected: repetition",
            "7 (19%)",
            "rejected: too_short",
            "4 (11%)",
            "kept",
            "25 (69%)",
            "rows",
        },
        "pairs.svg": {"score", "words", "margin of score", "chosen", "rejected", "pairs"},
        "without_pair.svg": {"gave a pair", "tie", "2", "instructions"},
        "loss_by_position.svg": {"in each bin (2 drafts)", "all positions so far", "base", "sft"},
        "validation.svg": {"mean", "pairs", "reward margin, chosen over rejected"},
    }
    assert drawn.keys() == expected.keys()
    for name, wanted in expected.items():
        assert wanted <= texts(drawn[name].path), name
    assert "rejected: copied" not in texts(drawn["data.svg"].path)  # it rejected nothing


def test_the_same_numbers_give_the_same_bytes(
    drawn: dict[str, ReportFigure], metrics: dict[str, Any], tmp_path: Path
) -> None:
    for again in draw(tmp_path, EVALS, JUDGEMENTS, metrics):
        assert again.path.read_bytes() == drawn[again.path.name].path.read_bytes()


def test_no_temporary_file_is_left(drawn: dict[str, ReportFigure]) -> None:
    folder = drawn["loss.svg"].path.parent
    assert {path.name for path in folder.iterdir()} == drawn.keys()


def test_figures_without_numbers_are_left_out(tmp_path: Path) -> None:
    evals = {"base": EVALS["base"] | {"by_required": {}, "S_q": None, "health": None}}
    names = [each.path.name for each in draw(tmp_path, evals, {"base": JUDGEMENTS["base"]}, {})]
    assert names == ["written_words.svg", "scores.svg", "scores_by_length.svg"]


def test_old_metrics_without_the_newer_numbers_are_drawn(tmp_path: Path) -> None:
    old = {
        k: v for k, v in EVALS["sft"].items() if k not in ("health", "by_required", "dimensions")
    }
    names = [
        each.path.name for each in draw(tmp_path, {"sft": old}, {"sft": JUDGEMENTS["sft"]}, {})
    ]
    assert names == ["written_words.svg", "scores.svg", "scores_by_length.svg"]


def test_the_ruler_s_curve_is_drawn_where_few_lengths_are_required() -> None:
    curve = EVALS["base"]["by_required"]
    line = figures.ruler({"base": curve}).axes[0].lines[0]
    assert list(map(tuple, line.get_xydata())) == [(100.0, 151.25), (400.0, 302.5)]


def test_models_have_their_colours_and_cut_off_outputs_are_hollow() -> None:
    with mpl.rc_context(STYLE):
        figure = figures.written_words(JUDGEMENTS)
    # two collections a model: finished, then cut off
    collections = figure.axes[0].collections
    finished, cut_off = collections[0], collections[1]
    assert len(finished.get_offsets()) == 1  # base finished the shortest request only
    assert len(finished.get_facecolor()) == 1
    assert len(cut_off.get_offsets()) == 5
    assert len(cut_off.get_facecolor()) == 0
    assert cut_off.get_offsets().tolist()[0] == [80.0, 300.0]


def test_marks_are_really_drawn() -> None:
    with mpl.rc_context(STYLE):
        figure = figures.scores(EVALS, graded=True)
    for model in EVALS:
        assert inked(figure, BY_NAME[model].colour) > 50, model
    assert inked(figure, "#123456") == 0


def test_an_interval_spans_its_ends() -> None:
    evals: dict[str, Any] = {"sft": evaluation(60.0, 50.0, 0, 100.0)}  # S_l from 52 to 67
    axes = figures.scores(evals, graded=False).axes[0]
    [bar] = axes.containers
    low, high = bar.lines[2][0].get_segments()[0][:, 1]
    assert (low, high) == (52.0, 67.0)


def test_an_empty_output_is_drawn_at_one_word() -> None:
    row = Judgement(**judgement("sft", 2) | {"response": "", "response_length": 0})
    points = figures.written_words({"sft": [row]}).axes[0].collections[0].get_offsets().tolist()
    assert points == [[150.0, 1.0]]


def test_text_from_outside_does_not_become_markup(tmp_path: Path) -> None:
    filtered = {**METRICS["filter"], "rejected": {PLANTED: 3}}
    metrics = {"agentwrite": METRICS["agentwrite"], "filter": filtered}
    drawn = {each.path.name: each.path for each in draw(tmp_path, EVALS, JUDGEMENTS, metrics)}
    elements = ET.parse(drawn["data.svg"]).iter()
    assert not [node for node in elements if str(node.tag).endswith("script")]
