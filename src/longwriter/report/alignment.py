"""What DPO changed against SFT on the benchmark, with paired intervals: gains and damage alike."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from longwriter.evaluation.quality import quality_score
from longwriter.evaluation.repetition import repeated_ngrams
from longwriter.evaluation.settings import BenchSettings
from longwriter.evaluation.statistics import paired
from longwriter.records import Judgement

NEAR = 1.25
"""Written and asked for may differ by this factor for a length to count as obeyed."""

Measure = Callable[[Judgement], float]


def what_dpo_changed(
    judgements: Mapping[str, Sequence[Judgement]], bench: BenchSettings, seed: int
) -> dict[str, dict[str, float]]:
    """Measure → its mean of SFT (`before`) and DPO (`after`), the paired difference with its 95 %
    interval, and `n` prompts. All are on a scale of 0 to 100. Empty where a model was not evaluated.

    Prompts below the second of `bench.length_bins` count as short requests. S_q is over the prompts
    that both models have grades for.
    """
    if not {"sft", "dpo"} <= judgements.keys():
        return {}
    later = {row.prompt: row for row in judgements["dpo"]}
    both = [(row, later[row.prompt]) for row in judgements["sft"] if row.prompt in later]
    short = sorted({0, *bench.length_bins})[1:2]
    is_short = [bool(short) and row.length < short[0] for row, _ in both]
    words = f"under {short[0]} words" if short else "short"
    groups: list[tuple[str, Measure, list[bool]]] = [
        ("S_l", lambda row: row.length_score, [True] * len(both)),
        (f"S_l, requests {words}", lambda row: row.length_score, is_short),
        ("S_l, longer requests", lambda row: row.length_score, [not yes for yes in is_short]),
        ("length obeyed, %", _obeyed, [True] * len(both)),
        ("cut off, %", lambda row: 100.0 * (row.finish_reason == "length"), [True] * len(both)),
        ("repeated, %", lambda row: 100 * repeated_ngrams(row.response), [True] * len(both)),
        ("S_q", _quality, [bool(before.scores and after.scores) for before, after in both]),
    ]
    changes = {}
    for name, measure, chosen in groups:
        pairs = [pair for pair, yes in zip(both, chosen, strict=True) if yes]
        found = _change(measure, pairs, bench.resamples, seed)
        if found:
            changes[name] = found
    return changes


def _change(
    measure: Measure, pairs: Sequence[tuple[Judgement, Judgement]], resamples: int, seed: int
) -> dict[str, float] | None:
    before = [measure(row) for row, _ in pairs]
    after = [measure(row) for _, row in pairs]
    found = paired(before, after, resamples, seed)
    if found is None:
        return None
    numbers: dict[str, Any] = {
        "before": sum(before) / len(pairs),
        "after": sum(after) / len(pairs),
        "difference": found.mean,
        "low": found.low,
        "high": found.high,
    }
    return {name: round(number, 4) for name, number in numbers.items()} | {"n": len(pairs)}


def _obeyed(row: Judgement) -> float:
    return 100.0 * (row.length / NEAR <= row.response_length <= row.length * NEAR)


def _quality(row: Judgement) -> float:
    return quality_score(row.scores or {})
