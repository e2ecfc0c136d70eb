"""Adds 95 % intervals to metrics that earlier stages saved as raw numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from longwriter.core.rows import Draft, Pair, R
from longwriter.core.settings import StatisticsSettings
from longwriter.core.sources import read_jsonl
from longwriter.core.statistics import Interval, grouped, interval, ratio_interval
from longwriter.core.tables import round_floats
from longwriter.preference.metrics import length_bias
from longwriter.preference.validation import instruction_margins
from longwriter.report.load import Results
from longwriter.text.lengths import length_score


def with_intervals(results: Results, root: Path, statistics: StatisticsSettings) -> Results:
    """Returns the results with intervals added to `metrics`, for each stage that has run.

    - agentwrite: `S_l_interval`, over drafts with a required length;
    - pairs: `margin_interval` and `length_bias`, over instructions;
    - dpo: `interval` of the margin on validation pairs, over instructions;
    - sft_position: `bins` (see `position_bins`), over drafts.

    Args:
        root: the checkout from which drafts and pairs are read.
    """
    metrics = dict(results.metrics)
    if "agentwrite" in metrics:
        drafts = _rows(root / "data/agentwrite/drafts.jsonl", Draft)
        scores = [length_score(row.length, row.response_length) for row in drafts if row.length]
        bounds = _bounds(interval(scores, (0, 100)))
        metrics["agentwrite"] = metrics["agentwrite"] | {"S_l_interval": bounds}
    if "pairs" in metrics:
        metrics["pairs"] = metrics["pairs"] | _of_pairs(root, statistics)
    validation = metrics.get("dpo", {}).get("validation")
    if validation:
        bounds = _bounds(interval(instruction_margins(validation)))
        metrics["dpo"] = metrics["dpo"] | {"validation": validation | {"interval": bounds}}
    if metrics.get("sft_position", {}).get("rows"):
        position = metrics["sft_position"]
        metrics["sft_position"] = position | {"bins": position_bins(position)}
    return replace(results, metrics=metrics)


def _of_pairs(root: Path, statistics: StatisticsSettings) -> dict[str, Any]:
    """Returns the intervals for the model's own pairs, validation included; empty without any."""
    pairs = [
        pair
        for name in ("pairs", "validation")
        for pair in _rows(root / f"data/dpo/{name}.jsonl", Pair)
        if pair.chosen_length is not None  # pairs of chat rows have none
    ]
    if not pairs:
        return {}
    margins = [(pair.chosen_score or 0) - (pair.rejected_score or 0) for pair in pairs]
    groups = grouped([pair.id for pair in pairs], margins).values()
    margin = ratio_interval([sum(group) for group in groups], [len(group) for group in groups])
    bias = length_bias(pairs, statistics)
    return {"margin_interval": _bounds(margin), "length_bias": bias and bias._asdict()}


def position_bins(position: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns the mean loss in each bin of token positions.

    Args:
        position: metrics/sft_position.json, with at least one row.

    Returns:
        One object per bin: `from`, `to`, `tokens`, `rows`; `mean`, `low` and `high` for each model;
        the same for `difference`, the last model minus the first, paired by row; and `cumulative`,
        all of these over the positions up to the bin's end. `low` and `high` are null where only
        one row is that long.
    """
    ends, targets = position["ends"], position["targets"]
    bins = []
    for place, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
        sizes = [row[place] for row in targets]
        bins.append(
            {"from": start, "to": end, "tokens": sum(sizes), "rows": sum(map(bool, sizes))}
            | _losses(position, slice(place, place + 1))
            | {"cumulative": _losses(position, slice(place + 1))}
        )
    return bins


def _losses(position: Mapping[str, Any], bins: slice) -> dict[str, Any]:
    """Returns each model's mean loss over some bins, and the last model's minus the first's."""
    sizes = [sum(row[bins]) for row in position["targets"]]
    sums = {name: [sum(row[bins]) for row in rows] for name, rows in position["nll"].items()}
    first, *_, last = sums.values()
    differences = [after - before for before, after in zip(first, last, strict=True)]
    return {name: _ratio(found, sizes) for name, found in sums.items()} | {
        "difference": _ratio(differences, sizes)
    }


def _ratio(sums: Sequence[float], sizes: Sequence[int]) -> dict[str, float | None]:
    found = ratio_interval(sums, sizes)
    assert found is not None
    return dict(round_floats(found._asdict()))


def _rows(path: Path, kind: type[R]) -> list[R]:
    """Returns the rows of a file; an empty list if it is missing or empty."""
    return read_jsonl(path, kind) if path.exists() and path.stat().st_size else []


def _bounds(found: Interval | None) -> list[float] | None:
    return round_floats(found.bounds) if found else None
