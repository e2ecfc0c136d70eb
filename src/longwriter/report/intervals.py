"""Intervals for what the stages that write, train and generate left as raw numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from longwriter.core.settings import StatisticsSettings
from longwriter.core.statistics import Interval, interval, ratio_interval
from longwriter.preference.metrics import length_bias
from longwriter.preference.validation import instruction_margins
from longwriter.report.load import Results
from longwriter.text.lengths import length_score


def with_intervals(results: Results, statistics: StatisticsSettings) -> Results:
    """Returns the results with 95 % intervals in `metrics`: of the drafts' S_l, of the pairs' margin
    and length bias, of DPO's margin on validation pairs, and of the loss by position."""
    metrics = {name: found for name, found in results.metrics.items()}
    if "agentwrite" in metrics:
        scores = [
            length_score(draft.length, draft.response_length)
            for draft in results.drafts
            if draft.length
        ]
        found = _bounds(interval(scores, statistics))
        metrics["agentwrite"] = metrics["agentwrite"] | {"S_l_interval": found}
    if "pairs" in metrics and results.pairs:
        bias = length_bias(results.pairs, statistics)
        margins = [(p.chosen_score or 0) - (p.rejected_score or 0) for p in results.pairs]
        metrics["pairs"] = metrics["pairs"] | {
            "margin_interval": _bounds(interval(margins, statistics)),
            "length_bias": bias and bias._asdict(),
        }
    validation = metrics.get("dpo", {}).get("validation")
    if validation:
        bounds = _bounds(interval(instruction_margins(validation), statistics))
        metrics["dpo"] = metrics["dpo"] | {"validation": validation | {"interval": bounds}}
    if metrics.get("sft_position", {}).get("rows"):
        metrics["sft_position"] = metrics["sft_position"] | {
            "bins": position_bins(metrics["sft_position"])
        }
    return replace(results, metrics=metrics)


def position_bins(position: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Mean loss by bin of positions.

    Args:
        position: metrics/sft_position.json, with at least one row.

    Returns:
        A bin each: `from`, `to`, `tokens`, `rows`; for each model `mean`, `low`, `high` of the bin
        and of all positions up to its end (`cumulative`); and `difference`, of the last model from
        the first, paired by row, likewise. `low` and `high` are null where one row is that long.
    """
    ends, targets = position["ends"], position["targets"]
    bins = []
    for number, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        sizes = [row[number] for row in targets]
        bins.append(
            {"from": start, "to": end, "tokens": sum(sizes), "rows": sum(map(bool, sizes))}
            | _losses(position, slice(number, number + 1))
            | {"cumulative": _losses(position, slice(0, number + 1))}
        )
    return bins


def _losses(position: Mapping[str, Any], bins: slice) -> dict[str, Any]:
    """Each model's mean loss in a range of bins, and the difference of the last from the first."""
    sizes = [sum(row[bins]) for row in position["targets"]]
    sums = {name: [sum(row[bins]) for row in rows] for name, rows in position["nll"].items()}
    first, *_, last = sums.values()
    differences = [after - before for before, after in zip(first, last, strict=True)]
    return {name: _ratio(found, sizes) for name, found in sums.items()} | {
        "difference": _ratio(differences, sizes)
    }


def _ratio(sums: Sequence[float], sizes: Sequence[int]) -> dict[str, float | None]:
    found = ratio_interval(sums, sizes)
    if found is None:
        return {"mean": round(sum(sums) / sum(sizes), 4), "low": None, "high": None}
    return {name: round(value, 4) for name, value in found._asdict().items()}


def _bounds(found: Interval | None) -> list[float] | None:
    return found and [round(found.low, 4), round(found.high, 4)]
