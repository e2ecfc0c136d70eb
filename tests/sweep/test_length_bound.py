"""What a sweep over the cap found, read back from DVC's experiments."""

import json
from pathlib import Path

import pytest
from helpers.sweeping import call, git, make_repository

from longwriter.core.errors import DataError
from longwriter.core.rows import Prediction, TrainingRow
from longwriter.core.settings import StatisticsSettings
from longwriter.sweep.length_bound import CAP, point, points
from longwriter.sweep.records import JobRecord


def row(words: int) -> TrainingRow:
    talk = [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "Text."}]
    return TrainingRow.model_validate({"messages": talk, "id": "r", "response_length": words})


def answer(prompt: str, asked: int, words: int, finish_reason: str = "stop") -> Prediction:
    return Prediction(
        prompt=prompt,
        type="Ruler",
        length=asked,
        response="x",
        response_length=words,
        finish_reason=finish_reason,
    )


def test_a_point_is_about_the_longest_requests() -> None:
    written = [
        answer("a", 200, 150),
        answer("b", 600, 90),
        answer("c", 600, 94),
        answer("d", 600, 110, "length"),
    ]
    statistics = StatisticsSettings(resamples=10_000, seed=0)
    assert point("100", [[row(40), row(95)]], [written], statistics) == {
        "cap": "100",
        "models": 1,
        "rows": 2,
        "longest_trained": 95,
        "asked": 600,
        "n": 3,
        "cut_off": 1,
        "median": 94,
        "low": 90.0,  # 7 of 27 resamples have it as their median
        "high": 110.0,
        "longest": 110,
    }


def test_the_models_of_a_cap_share_a_point_and_a_prompt_is_drawn_with_all_its_answers() -> None:
    first = [answer("a", 600, 100), answer("b", 600, 300)]
    second = [answer("b", 600, 310, "length"), answer("a", 600, 110)]
    trained = [[row(95)], [row(90), row(99), row(98), row(80)]]
    found = point("100", trained, [first, second], StatisticsSettings(resamples=10_000, seed=0))
    assert found == {
        "cap": "100",
        "models": 2,
        "rows": 2,  # the mean of 1 and 4, 2.5, rounded to even
        "longest_trained": 99,
        "asked": 600,
        "n": 4,
        "cut_off": 1,
        "median": 205,
        "low": 105.0,  # a quarter of the resamples holds only `a`, and a quarter only `b`
        "high": 305.0,
        "longest": 310,
    }


def test_models_that_differ_in_more_than_their_seed_are_no_point(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    statistics = StatisticsSettings(resamples=100, seed=0)
    jobs = [
        JobRecord(
            experiment=f"e{rate}",
            overrides=[f"{CAP}=50", "runtime.seed=1", f"sft.learning_rate={rate}"],
        )
        for rate in ("1e-5", "5e-5")
    ]
    with pytest.raises(
        DataError, match=r"also varies sft\.learning_rate; .* only runtime\.seed may"
    ):
        points(tmp_path, jobs, statistics)
    with pytest.raises(DataError, match=r"no finished job of the sweep"):
        points(tmp_path, jobs[:1], statistics)


STAGE = """
import json, sys
from longwriter.config.run import run_stage

def stage(settings, work):
    cap = settings.filter.max_words
    talk = [{"role": "user", "content": "Write."}, {"role": "assistant", "content": "Text."}]
    row = {"messages": talk, "id": "r", "response_length": cap}
    answer = {"prompt": "p", "type": "Ruler", "length": 600, "response": "x", "response_length": cap + 5}
    for path, value in [
        ("data/sft/train.jsonl", row),
        ("data/predictions/sft.jsonl", answer),
        ("metrics/predict/sft.json", {"mean_words": cap + 5}),
    ]:
        work.output(path).parent.mkdir(parents=True, exist_ok=True)
        work.output(path).write_text(json.dumps(value) + "\\n")

run_stage(stage)
"""
PIPELINE = """
stages:
  predict:
    matrix: {model: [sft]}
    cmd: exec python stages/stage.py
    deps: [stages/stage.py]
    params: [filter, runtime]
    outs: [data/sft/train.jsonl, data/predictions/sft.jsonl]
    metrics: [metrics/predict/sft.json: {cache: false}]
"""


@pytest.mark.slow
def test_the_sweep_is_read_back(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "root")
    (root / "stages/stage.py").write_text(STAGE)
    (root / "dvc.yaml").write_text(PIPELINE)
    git(root, "commit", "--quiet", "--all", "--message", "two")
    what = ["sweep.targets=[predict@sft]", "sweep.score=predict.sft.mean_words", "sweep.id=bound"]
    status, printed = call(
        root, "-m", "longwriter.sweep", "filter.max_words=400,50", "runtime.seed=0,1", *what
    )
    assert status == 0, printed
    status, printed = call(root, "-m", "longwriter.sweep.length_bound", "bound")
    assert status == 0, printed
    assert "| 50 | 2 | 1 | 55.0 [55.0, 55.0] | 2 | 55 | 0 |" in printed
    found = json.loads((root / "metrics/length_bound.json").read_text())
    assert [(each["cap"], each["longest"]) for each in found] == [("50", 55), ("400", 405)]
