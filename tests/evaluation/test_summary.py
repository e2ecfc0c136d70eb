import json
from typing import Any

import pytest

from longwriter.core.rows import Judgement
from longwriter.core.settings import StatisticsSettings
from longwriter.evaluation.judge import DIMENSIONS
from longwriter.evaluation.summary import headline, length_label, summarise


def grades(*values: int) -> dict[str, int]:
    return dict(zip(DIMENSIONS, values, strict=True))


def row(prompt: str, **fields: Any) -> Judgement:
    defaults = {"type": "Poem", "length": 100, "response": "", "length_score": 0.0}
    return Judgement.model_validate({"prompt": prompt} | defaults | fields)


ROWS = [
    row("a", length=400, type="Essay", length_score=50.0, response_length=200,
        finish_reason="length", response="a b c d e f g h " * 2, scores=grades(5, 5, 5, 5, 5, 5)),
    row("b", length=99, length_score=100.0, response_length=99, finish_reason="stop",
        response="short", scores=grades(1, 2, 3, 4, 5, 3)),
    row("写一首诗", length=100, length_score=0.0, response_length=1, finish_reason="stop",
        response="诗", unscored="BadCompletion: Clarity is missing: see: there"),
    row("d", length=450, type="Essay", length_score=25.0, response_length=0,
        unscored="ContextExceeded: see: there"),
]  # fmt: skip


def test_summarise() -> None:
    summary = summarise(ROWS, [0, 100, 200, 400], StatisticsSettings(resamples=200, seed=1))
    intervals = summary.pop("intervals")
    by_group = {name: summary.pop(f"by_{name}") for name in ("length", "language", "type")}
    for name in ("length", "health", "spread", "by_required"):
        summary.pop(name)
    assert summary == {
        "S_l": 43.75,  # (50 + 100 + 0 + 25) / 4
        "S_q": 75.0,  # row a: (5 - 1) · 25 = 100; row b: (18/6 - 1) · 25 = 50
        "S_bar": 59.375,  # (43.75 + 75) / 2
        "n": 4,
        "prompts": 4,
        "unscored": 2,
        "unscored_reasons": {"BadCompletion": 1, "ContextExceeded": 1},
        "cut_off": 1,
        "mean_words": 75.0,  # (200 + 99 + 1 + 0) / 4
        "dimensions": {
            "Relevance": 50.0,  # (5 + 1) / 2 = 3, (3 - 1) · 25
            "Accuracy": 62.5,  # (5 + 2) / 2 = 3.5
            "Coherence": 75.0,
            "Clarity": 87.5,
            "Breadth and Depth": 100.0,
            "Reading Experience": 75.0,
        },
        "repetition": 0.0278,  # 16 words: 1 of 9 sequences of eight again; the others 0: 1/9 / 4
    }
    assert intervals["S_l"][0] < 43.75 < intervals["S_l"][1]
    # Two values, 100 and 50: Student's t with one degree of freedom goes far beyond the scale, which cuts it.
    assert intervals["S_q"] == [0.0, 100.0]
    assert list(by_group["length"]) == ["[0,100)", "[100,200)", "[400,∞)"]
    assert by_group["length"]["[400,∞)"] == {
        "S_l": 37.5,  # (50 + 25) / 2
        "S_q": 100.0,
        "n": 2,
        "unscored": 1,
        "interval_S_l": [0.0, 100.0],
        "interval_S_q": None,
        "mean_words": 100.0,  # (200 + 0) / 2
        "cut_off": 1,
        "obedience": None,
    }
    assert by_group["language"]["zh"] == {
        "S_l": 0.0,
        "S_q": None,
        "n": 1,
        "unscored": 1,
        "interval_S_l": None,
        "interval_S_q": None,
        "mean_words": 1.0,
        "cut_off": 0,
        "obedience": None,
    }
    assert {name: group["n"] for name, group in by_group["language"].items()} == {"en": 3, "zh": 1}
    assert {name: group["n"] for name, group in by_group["type"].items()} == {"Essay": 2, "Poem": 2}
    assert json.loads(json.dumps(summary)) == summary


def test_without_a_grade_there_is_no_quality() -> None:
    summary = summarise(ROWS[2:], [0], StatisticsSettings(resamples=100, seed=1))
    assert (summary["S_q"], summary["S_bar"], summary["intervals"]["S_q"]) == (None, None, None)
    assert summary["dimensions"] == dict.fromkeys(DIMENSIONS)
    assert headline(summary) == (
        "S_l 12.5 [0.0, 100.0], 0% within ±20 % of the length, n 2, graded 0"
    )


def test_floats_have_four_decimals() -> None:
    rows = [row(str(i), length_score=100 / 3, response_length=i) for i in (1, 2, 2)]
    summary = summarise(rows, [0], StatisticsSettings(resamples=100, seed=1))
    assert summary["S_l"] == 33.3333
    assert summary["mean_words"] == 1.6667
    assert summary["by_type"]["Poem"]["interval_S_l"] is None


@pytest.mark.parametrize(
    ("length", "label"),
    [(1, "[0,100)"), (99, "[0,100)"), (100, "[100,400)"), (399, "[100,400)"), (400, "[400,∞)")],
)
def test_length_label(length: int, label: str) -> None:
    assert length_label(length, [100, 400]) == label


def test_several_samples_of_a_prompt_are_one_observation() -> None:
    rows = [
        row("a", length_score=0.0, sample=0),
        row("a", length_score=100.0, sample=1),
        row("b", length_score=80.0, sample=0),
        row("b", length_score=80.0, sample=1),
    ]
    summary = summarise(rows, [0], StatisticsSettings(resamples=400, seed=1))
    assert (summary["S_l"], summary["n"], summary["prompts"]) == (65.0, 4, 2)
    # Two prompts of means 50 and 80, so 65 ± 12.7 · 15, cut at the ends of the scale; of four rows, 65 ± 3.18 · 22.2.
    assert summary["intervals"]["S_l"] == [0.0, 100.0]
    # Within a: variance 5000; within b: 0; pooled over one degree of freedom each.
    assert summary["spread"]["samples_S_l"] == 50.0


def test_spread_over_repeats() -> None:
    rows = [
        row("a", scores=grades(*[3] * 6), repeats=[grades(*[2] * 6), grades(*[4] * 6)]),
        row("b", scores=grades(*[5] * 6), repeats=[grades(*[5] * 6), grades(*[5] * 6)]),
        row("c", scores=grades(*[1] * 6), repeats=[grades(*[1] * 6), "BadCompletion: prose"]),
    ]
    spread = summarise(rows, [0], StatisticsSettings(resamples=100, seed=1))["spread"]
    # a: 25 and 75, variance 1250; b: 0; pooled (1250 + 0) / 2; c has one usable repeat
    assert spread["repeats_S_q"] == 25.0
    # S_q of repeat 1 over a and b: (25 + 100) / 2, of repeat 2: (75 + 100) / 2; deviation 25 / √2
    assert spread["repeats_mean_S_q"] == round(25 / 2**0.5, 4)
    assert spread["repeats_failed"] == 1


def test_a_second_judge_has_a_score_and_an_agreement() -> None:
    rows = [
        row(f"p{n}", scores=grades(*[n] * 6), second={"scores": grades(*[n] * 6), "unscored": None})
        for n in range(1, 6)
    ]
    rows.append(row("p6", scores=grades(*[1] * 6), second={"unscored": "BadCompletion: no"}))
    second = summarise(rows, [0], StatisticsSettings(resamples=100, seed=1))["second"]
    assert (second["S_q"], second["unscored"]) == (50.0, 1)  # grades 1 to 5: mean 3
    assert second["agreement"]["all"]["kappa"]["value"] == 1.0
    assert second["agreement"]["Clarity"]["n"] == 5


def test_words_by_required_length_where_few_lengths_are_asked_for() -> None:
    rows = [row(f"p{n}", length=1000 * (1 + n % 2), response_length=100 * n) for n in range(4)]
    found = summarise(rows, [0], StatisticsSettings(resamples=100, seed=1))["by_required"]
    assert found == {
        "1000": {"mean_words": 100.0, "longest_words": 200, "n": 2},
        "2000": {"mean_words": 200.0, "longest_words": 300, "n": 2},
    }
    many = [row(f"p{n}", length=n + 1) for n in range(13)]
    assert summarise(many, [0], StatisticsSettings(resamples=100, seed=1))["by_required"] == {}


def test_the_rank_correlation_of_required_and_written_words() -> None:
    rows = [
        row(f"p{n}", length=100 * n, response_length=words)
        for n, words in ((1, 30), (2, 50), (3, 40), (4, 90))
    ]
    found = summarise(rows, [0], StatisticsSettings(resamples=100, seed=1))["length"]
    # Ranks 1 2 3 4 and 1 3 2 4: 1 - 6 · (1 + 1) / (4 · 15)
    assert found["rank_correlation"]["value"] == 0.8
    constant = [each.model_copy(update={"response_length": 7}) for each in rows]
    found = summarise(constant, [0], StatisticsSettings(resamples=100, seed=1))["length"]
    assert found["rank_correlation"] == {"value": None, "interval": None}
