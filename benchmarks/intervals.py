"""Measures how often 95 % intervals cover the true value, on scores like the project's own.

    python benchmarks/intervals.py

Draws 4,000 samples of 28 prompts from the last run's length scores (data/judgements/, all models),
whose mean is the true value, and samples of shares. Prints for each kind of interval how often it
contains the true value, and its mean width.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import bootstrap, interval, share

ROOT = Path(__file__).resolve().parent.parent
PROMPTS, SAMPLES = 28, 4000
RESAMPLING = StatisticsSettings(resamples=1000, seed=1)

Ends = Callable[[NDArray[np.float64]], tuple[float, float]]


def percentile(x: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the percentile bootstrap's interval of the mean."""
    found = bootstrap(len(x), lambda drawn: x[drawn].mean(axis=1), RESAMPLING)
    assert found is not None
    return found


def bootstrap_t(x: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the bootstrap-t interval of the mean, which resamples Student's statistic."""
    mean, error = x.mean(), x.std(ddof=1) / len(x) ** 0.5

    def student(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        again = x[drawn]
        spread = again.std(axis=1, ddof=1) / len(x) ** 0.5
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(spread > 0, (again.mean(axis=1) - mean) / spread, np.nan)

    found = bootstrap(len(x), student, RESAMPLING)
    return (mean, mean) if found is None else (mean - found.high * error, mean - found.low * error)


def student_t(x: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the interval that the project uses for a mean."""
    found = interval(list(x))
    assert found is not None
    low, high = found.bounds or (found.mean, found.mean)
    return low, high


def wilson(x: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the interval that the project uses for a share."""
    found = share(float(x.sum()), len(x))
    assert found is not None and found.bounds
    return found.bounds[0], found.bounds[1]


def coverage(values: NDArray[np.float64], number: int, ends: Ends) -> str:
    """Returns how often `ends` of a sample of `values` contain their mean, and the mean width."""
    random, truth = np.random.default_rng(7), values.mean()
    found = [ends(random.choice(values, number)) for _ in range(SAMPLES)]
    held = sum(low <= truth <= high for low, high in found) / SAMPLES
    return f"{held:.1%} hold the truth, width {np.mean([high - low for low, high in found]):.2f}"


def main() -> None:
    """Prints the coverage of each interval on each kind of values."""
    files = sorted((ROOT / "data/judgements").glob("*.jsonl"))
    rows = {
        file.stem: [json.loads(line) for line in file.read_text().splitlines()] for file in files
    }
    scores = {
        name: np.array([row["length_score"] for row in found]) for name, found in rows.items()
    }
    kinds = {f"S_l of {name}": values for name, values in scores.items()}
    if {"base", "sft"} <= scores.keys():
        kinds["S_l, sft - base, paired"] = scores["sft"] - scores["base"]
    for name, values in kinds.items():
        print(f"{name}, {PROMPTS} prompts")
        for ends in (percentile, bootstrap_t, student_t):
            print(f"  {ends.__name__}: {coverage(values, PROMPTS, ends)}")
    for probability, number in ((0.05, 28), (0.3, 28), (0.95, 13)):
        share_of = np.array(
            [1.0] * round(100 * probability) + [0.0] * round(100 - 100 * probability)
        )
        print(f"share {probability:g} of {number}")
        for ends in (percentile, student_t, wilson):
            print(f"  {ends.__name__}: {coverage(share_of, number, ends)}")


if __name__ == "__main__":
    main()
