"""Intervals of the raw numbers in helpers/finished_pipeline.py, derived by hand."""

from pathlib import Path
from typing import Any

import pytest
from helpers.finished_pipeline import METRICS, write_finished

from longwriter.core.settings import StatisticsSettings
from longwriter.report.intervals import position_bins, with_intervals
from longwriter.report.load import Results, read_results

STATISTICS = StatisticsSettings(resamples=2000, seed=3)
T = 12.7062047
"""Student's t of one degree of freedom at 97.5 %: two rows, two instructions."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_finished(tmp_path)


def metrics(root: Path) -> Any:
    return with_intervals(read_results(root), root, STATISTICS).metrics


def test_drafts_s_l(root: Path) -> None:
    # S_l 100, 50 and 50; the draft without a required length has none. 66.7 ± 4.303 · 28.9 / √3 is beyond the scale.
    assert metrics(root)["agentwrite"]["S_l_interval"] == [0, 100]


def test_pairs_margin_is_over_instructions(root: Path) -> None:
    # Margins 30 and 10 of one instruction, 50 of the other: mean 90 / 3 = 30. What the instructions'
    # sums are off by: 40 - 2 · 30 = -20 and 50 - 30 = 20, so half is t · √(2/1 · (20² + 20²)) / 3.
    half = T * 40 / 3
    assert metrics(root)["pairs"]["margin_interval"] == [
        pytest.approx(30 - half, abs=1e-3),
        pytest.approx(30 + half, abs=1e-3),
    ]


def test_length_bias_is_over_instructions(root: Path) -> None:
    # x = (chosen - rejected) / (chosen + rejected): 20/100 and 0 of one instruction, -60/120 of the
    # other; Σx / √(n · Σx²) = -0.3 / √(3 · 0.29). A resample has the first instruction twice with
    # 25 %: 0.4 / √(4 · 0.08) = √½; or the second twice: -1.
    assert metrics(root)["pairs"]["length_bias"] == {
        "correlation": -0.3216,
        "low": -1.0,
        "high": 0.7071,
        "n": 2,
    }


def test_validation_margins_are_those_of_instructions(root: Path) -> None:
    # (0.25 + 0.75) / 2 = 0.5 of `a`, 0.2 of `b`: 0.35 ± t · 0.15
    found = metrics(root)["dpo"]["validation"]
    bounds = [pytest.approx(0.35 - T * 0.15, abs=1e-4), pytest.approx(0.35 + T * 0.15, abs=1e-4)]
    assert found == METRICS["dpo"]["validation"] | {"interval": bounds}


def test_position_bins() -> None:
    def numbers(mean: float, half: float | None) -> dict[str, float | None]:
        if half is None:
            return {"mean": mean, "low": None, "high": None}
        return {"mean": mean, "low": round(mean - half, 4), "high": round(mean + half, 4)}

    # Both rows have 32 targets in the first bin. base: (96 + 128) / 64 = 3.5, each row is 16 off, so
    # half is t · √(2/1 · 2 · 16²) / 64; sft: one nat less a token, in both rows alike.
    first = {
        "base": numbers(3.5, T * 32 / 64),
        "sft": numbers(2.5, T * 32 / 64),
        "difference": numbers(-1.0, None),
    }
    # Only one row has targets, 8 of them, in the second bin.
    second = {
        "base": numbers(24 / 8, None),
        "sft": numbers(12 / 8, None),
        "difference": numbers(-12 / 8, None),
    }
    # Up to 64: 40 and 32 targets. base: 248 / 72, off by 120 - 40 · 248 / 72 = -17.78 and 17.78;
    # sft: 172 / 72, off by 76 - 40 · 172 / 72 = -19.56; difference: -76 / 72, off by
    # -44 + 40 · 76 / 72 = -1.78.
    so_far = {
        "base": {"mean": 3.4444, "low": -2.8302, "high": 9.7191},
        "sft": {"mean": 2.3889, "low": -4.5132, "high": 9.2910},
        "difference": {"mean": -1.0556, "low": -1.683, "high": -0.4281},
    }
    assert position_bins(METRICS["sft_position"]) == [
        {"from": 0, "to": 32, "tokens": 64, "rows": 2, **first, "cumulative": first},
        {"from": 32, "to": 64, "tokens": 8, "rows": 1, **second, "cumulative": so_far},
    ]


def test_what_has_not_run_has_no_interval(root: Path) -> None:
    for name in ("agentwrite", "sft_position", "dpo"):
        (root / f"metrics/{name}.json").unlink()
    (root / "data/dpo/pairs.jsonl").write_text("")
    (root / "data/dpo/validation.jsonl").unlink()
    before = read_results(root)
    assert with_intervals(before, root, STATISTICS) == before


def test_the_raw_numbers_stay(root: Path) -> None:
    before: Results = read_results(root)
    with_intervals(before, root, STATISTICS)
    assert before == read_results(root)
