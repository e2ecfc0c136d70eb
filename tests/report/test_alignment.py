from dataclasses import replace

import pytest

from longwriter.evaluation.settings import BenchSettings
from longwriter.records import Judgement
from longwriter.report.alignment import what_dpo_changed

BENCH = BenchSettings(
    path="", sha256=None, limit=None, judged=None, length_bins=[0, 100, 300], resamples=500
)


def row(length: int, written: int, score: float, finish: str = "stop") -> Judgement:
    return Judgement(
        prompt=f"Write {length} words.",
        type="t",
        length=length,
        response="word " * written,
        response_length=written,
        finish_reason=finish,
        length_score=score,
    )


SFT = [row(50, 50, 100), row(80, 40, 50), row(200, 250, 90), row(400, 800, 60, "length")]
DPO = [row(400, 320, 80), row(50, 39, 70), row(80, 64, 80), row(200, 251, 89)]


def test_differences_by_hand() -> None:
    changes = what_dpo_changed({"base": SFT, "sft": SFT, "dpo": DPO}, BENCH, seed=1)
    numbers = {
        name: (found["before"], found["after"], found["difference"], found["n"])
        for name, found in changes.items()
    }
    assert numbers == {
        "S_l": (75, 79.75, 4.75, 4),
        "S_l, requests under 100 words": (75, 75, 0, 2),
        "S_l, longer requests": (75, 84.5, 9.5, 2),
        # Within a factor of 1.25: 50 of 50 and 250 of 200; then 320 of 400 and 64 of 80
        "length obeyed, %": (50, 50, 0, 4),
        "cut off, %": (25, 0, -25, 4),
        # Every 8-gram of "word word …" but the first repeats it: of n words (n - 8) / (n - 7)
        "repeated, %": (
            pytest.approx(sum(100 * (n - 8) / (n - 7) for n in (50, 40, 250, 800)) / 4, abs=1e-4),
            pytest.approx(sum(100 * (n - 8) / (n - 7) for n in (320, 39, 64, 251)) / 4, abs=1e-4),
            pytest.approx(
                changes["repeated, %"]["after"] - changes["repeated, %"]["before"], abs=1e-3
            ),
            4,
        ),
    }
    # -30, 30, -1 and 20 are drawn together with their prompts, so no mean leaves -30 to 30
    assert -30 <= changes["S_l"]["low"] < 4.75 < changes["S_l"]["high"] <= 30


def test_quality_is_over_the_prompts_that_both_have_grades_for() -> None:
    names = ("Relevance", "Accuracy", "Coherence", "Clarity", "Breadth and Depth")
    high, low = (dict.fromkeys((*names, "Reading Experience"), grade) for grade in (5, 3))
    sft = [one.model_copy(update={"scores": low}) for one in SFT[:3]]
    dpo = [one.model_copy(update={"scores": high}) for one in DPO[:2]]
    found = what_dpo_changed({"sft": sft, "dpo": dpo}, BENCH, seed=1)["S_q"]
    assert (found["before"], found["after"], found["n"]) == (50, 100, 1)  # of 50 words


def test_without_a_model_or_a_group_there_is_no_row() -> None:
    assert what_dpo_changed({"sft": SFT}, BENCH, seed=1) == {}
    one_bin = replace(BENCH, length_bins=[0])
    changes = what_dpo_changed({"sft": SFT, "dpo": DPO}, one_bin, seed=1)
    assert not [name for name in changes if "requests short" in name]
    assert changes["S_l, longer requests"]["n"] == 4
