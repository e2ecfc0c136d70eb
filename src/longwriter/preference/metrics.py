"""Statistics of candidates and pairs for metrics/pairs.json and the report."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from longwriter.core.rows import Candidate, Pair
from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import bootstrap
from longwriter.preference.pairing import PairingResult

BINS = 12
"""Number of bins in a histogram."""

_SIDES = ("chosen", "rejected")


class Correlation(NamedTuple):
    """A correlation with its 95 % interval."""

    correlation: float
    low: float
    high: float
    n: int
    """Number of instructions."""


def length_bias(pairs: Sequence[Pair], statistics: StatisticsSettings) -> Correlation | None:
    """Returns the correlation between being chosen and length, as a measure of length bias.

    It is 1 if the longer answer is always chosen and longer by the same factor in every pair, -1 if
    the same holds for the shorter answer, and 0 without a bias.

    It is Pearson's correlation, over both answers of every pair, between being chosen (1 or 0) and
    length relative to the pair's mean. With x = (chosen - rejected) / (chosen + rejected) words of
    a pair, the two relative lengths are x and -x, and the correlation is mean(x) / √mean(x²). The
    interval is a percentile bootstrap over instructions.

    Returns:
        The correlation; None if the two answers have the same length in every pair.
    """
    sums: dict[str, list[float]] = {}
    for pair in pairs:
        chosen, rejected = pair.chosen_length or 0, pair.rejected_length or 0
        x = (chosen - rejected) / max(chosen + rejected, 1)
        row = sums.setdefault(pair.id, [0.0, 0.0, 0.0])
        row[0], row[1], row[2] = row[0] + x, row[1] + x * x, row[2] + 1
    if not any(squares for _, squares, _ in sums.values()):
        return None
    import numpy as np

    rows = np.array(list(sums.values()))

    def correlation(drawn: Any) -> Any:
        total, squares, number = np.moveaxis(rows[drawn], -1, 0).sum(axis=-1)
        spread = np.sqrt(number * squares)
        return np.divide(total, spread, out=np.zeros_like(total), where=spread > 0)

    bounds = bootstrap(len(rows), correlation, statistics)
    assert bounds is not None
    value = correlation(np.arange(len(rows))[None])[0]
    return Correlation(
        round(float(value), 4), round(bounds.low, 4), round(bounds.high, 4), len(rows)
    )


def histogram(*samples: Sequence[float]) -> dict[str, list[float]]:
    """Counts the values of each sample in the same BINS bins.

    Returns:
        `edges`, of length BINS + 1, and `counts0`, `counts1`, …, one list for each sample.
    """
    import numpy as np

    edges = np.histogram_bin_edges([value for sample in samples for value in sample], BINS)
    counts = {
        f"counts{place}": np.histogram(sample, edges)[0].tolist()
        for place, sample in enumerate(samples)
    }
    return {"edges": [round(float(edge), 3) for edge in edges], **counts}


def describe(candidates: Sequence[Candidate], paired: PairingResult) -> dict[str, Any]:
    """Returns the statistics in metrics/pairs.json of the candidates and all pairs made from them.

    Validation pairs are included. The report adds intervals and `length_bias`, which it computes
    from the pairs.
    """
    pairs = paired.pairs
    instructions = len({candidate.id for candidate in candidates})
    counts = {
        "instructions": instructions,
        "candidates": len(candidates),
        "cut_off": sum(candidate.finish_reason == "length" for candidate in candidates),
        "unscored": sum(candidate.score is None for candidate in candidates),
        "unscored_reasons": dict(
            Counter((c.unscored or "").partition(":")[0] for c in candidates if c.score is None)
        ),
        "pairs": len(pairs),
        "without_pair": paired.without_pair,
        "without_pair_share": round(sum(paired.without_pair.values()) / max(instructions, 1), 4),
    }
    if not pairs:
        return counts
    chosen, rejected = ([_number(getattr(p, f"{side}_score")) for p in pairs] for side in _SIDES)
    longer, shorter = ([_number(getattr(p, f"{side}_length")) for p in pairs] for side in _SIDES)
    margins = [a - b for a, b in zip(chosen, rejected, strict=True)]
    return counts | {
        "chosen_score": round(fmean(chosen), 4),
        "rejected_score": round(fmean(rejected), 4),
        "chosen_words": round(fmean(longer), 4),
        "rejected_words": round(fmean(shorter), 4),
        "margin": round(fmean(margins), 4),
        "histograms": {
            "score": histogram(chosen, rejected),
            "words": histogram(longer, shorter),
            "margin": histogram(margins),
        },
    }


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)
