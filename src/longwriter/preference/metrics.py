"""What metrics/pairs.json says of candidates and pairs: scores, lengths, margins, length bias."""

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import Any, NamedTuple

from longwriter.core.rows import Candidate, Pair
from longwriter.core.settings import StatisticsSettings
from longwriter.preference.pairing import PairingResult

BINS = 12
"""Of a histogram."""


class Correlation(NamedTuple):
    """With its 95 % interval."""

    correlation: float
    low: float
    high: float
    n: int
    """Instructions."""


def length_bias(pairs: Sequence[Pair], statistics: StatisticsSettings) -> Correlation | None:
    """Pearson's correlation, over both answers of every pair, of being chosen (1, else 0) with
    length relative to the pair's mean: 1 where the longer one is always chosen, by the same factor
    each time; -1 the shorter; 0 no bias.

    With x = (chosen - rejected) / (chosen + rejected) words of a pair, the two relative lengths are
    x and -x, and the correlation is mean(x) / √mean(x²). The interval is the percentile bootstrap's
    over instructions. None where every pair's answers are of the same length.
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
    size = (statistics.resamples, len(rows))
    drawn = np.random.default_rng(statistics.seed).integers(len(rows), size=size)
    total, squares, number = rows[drawn].sum(axis=1).T
    spread = np.sqrt(number * squares)
    found = np.divide(total, spread, out=np.zeros_like(total), where=spread > 0)
    low, high = np.percentile(found, (2.5, 97.5))
    total, squares, number = rows.sum(axis=0)
    return Correlation(
        round(float(total / np.sqrt(number * squares)), 4),
        round(float(low), 4),
        round(float(high), 4),
        len(rows),
    )


def histogram(*samples: Sequence[float]) -> dict[str, list[float]]:
    """Counts of each sample in the same BINS bins: `edges` (one more than bins), `counts0`, …"""
    import numpy as np

    edges = np.histogram_bin_edges([value for sample in samples for value in sample], BINS)
    counts = {
        f"counts{place}": np.histogram(sample, edges)[0].tolist()
        for place, sample in enumerate(samples)
    }
    return {"edges": [round(float(edge), 3) for edge in edges], **counts}


def describe(candidates: Sequence[Candidate], paired: PairingResult) -> dict[str, Any]:
    """Numbers of the candidates and of the pairs made of them, validation pairs included. The report
    adds intervals, from the pairs themselves."""
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


_SIDES = ("chosen", "rejected")


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)
