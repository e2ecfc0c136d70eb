"""The loss by position in the text, on drafts that no one trained on: does what was written so far
help with what comes next, as the paper's test of long outputs asks?"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longwriter.errors import DataError
from longwriter.records import TrainingRow, read_jsonl
from longwriter.settings import Settings, Workspace
from longwriter.training.model import load
from longwriter.training.packing import IGNORED, tokenize

FIRST_BIN = 32
"""Tokens of the first bin; each further one ends at twice the position of the one before."""


def loss_by_position(
    checkpoints: Mapping[str, Path], settings: Settings, work: Workspace
) -> dict[str, Any]:
    """Measures the NLL of every target of the held-out rows under each checkpoint.

    Returns:
        `rows`, and `bins` as `summarise` makes them; no bin where there is no held-out row.
    """
    path = work.input(settings.sft.held_out, "data/sft/heldout.jsonl")
    rows = read_jsonl(path, TrainingRow) if path.exists() and path.stat().st_size else []
    if not rows:
        if settings.sft.held_out:
            raise DataError(f"sft.held_out: {path} is not there or holds no row")
        return {"rows": 0, "bins": []}
    losses = {
        name: target_losses(checkpoint, rows, settings) for name, checkpoint in checkpoints.items()
    }
    return {"rows": len(rows), "bins": summarise(losses)}


def target_losses(
    checkpoint: Path, rows: Sequence[TrainingRow], settings: Settings
) -> list[list[float]]:
    """NLL in nats of every target of each row, in its order in the text; rows of more than
    sft.max_length tokens up to there."""
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from longwriter.training.trainer import bf16_here, set_threads

    set_threads(settings.runtime)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded, tokenizer = load(checkpoint, settings.student)
    model: Any = loaded
    add_fused_lm_head(model)
    model.to(device).eval()
    found = []
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16_here()):
        for row in rows:
            batch = {
                name: torch.tensor([values[: settings.sft.max_length]], device=device)
                for name, values in tokenize(row, tokenizer).items()
            }
            scores = model(**batch, fused_lm_head=True).log_probs[0]
            found.append((-scores[batch["labels"][0, 1:] != IGNORED]).tolist())
    return found


def summarise(losses: Mapping[str, Sequence[Sequence[float]]]) -> list[dict[str, Any]]:
    """Mean NLL by bin of positions, bins [0, 32), [32, 64), [64, 128), … until no row is that long.

    Args:
        losses: model → row → NLL of each target. All models have the same rows and targets.

    Returns:
        A bin each: `from`, `to`, `tokens`, `rows`; for each model `mean`, `low`, `high` of the bin
        and of all positions up to its end (`cumulative`); and `difference`, of the last model from
        the first, paired by row, likewise.
    """
    names = list(losses)
    longest = max(map(len, losses[names[0]]))
    bins, start, end = [], 0, FIRST_BIN
    while start < longest:
        parts = {name: [row[start:end] for row in losses[name]] for name in names}
        wholes = {name: [row[:end] for row in losses[name]] for name in names}
        sizes = [len(part) for part in parts[names[0]]]
        bins.append(
            {"from": start, "to": end, "tokens": sum(sizes), "rows": sum(map(bool, sizes))}
            | _described(parts)
            | {"cumulative": _described(wholes)}
        )
        start, end = end, 2 * end
    return bins


def _described(rows: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Each model's mean and interval, and the difference of the last from the first."""
    sums = {name: [math.fsum(row) for row in found] for name, found in rows.items()}
    sizes = [len(row) for row in next(iter(rows.values()))]
    first, *_, last = sums.values()
    differences = [after - before for before, after in zip(first, last, strict=True)]
    described = {name: ratio(found, sizes) for name, found in sums.items()}
    return described | {"difference": ratio(differences, sizes)}


def ratio(sums: Sequence[float], sizes: Sequence[int]) -> dict[str, float | None]:
    """Σ sums / Σ sizes with its 95 % interval, which is null for a single row.

    Tokens of one row are not independent, rows are: so the interval counts rows. For m of them with
    mean r, its half is t · √(m / (m - 1) · Σ (sum - r · size)²) / Σ size, with Student's t of m - 1
    degrees of freedom.

    Source: the ratio estimator of Cochran, "Sampling Techniques" (1977), section 2.11.
    """
    from scipy.stats import t

    pairs = [(found, size) for found, size in zip(sums, sizes, strict=True) if size]
    total, m = sum(size for _, size in pairs), len(pairs)
    mean = math.fsum(found for found, _ in pairs) / total
    if m < 2:
        return {"mean": round(mean, 4), "low": None, "high": None}
    spread = math.fsum((found - mean * size) ** 2 for found, size in pairs)
    half = float(t.ppf(0.975, m - 1)) * math.sqrt(m / (m - 1) * spread) / total
    return {
        "mean": round(mean, 4),
        "low": round(mean - half, 4),
        "high": round(mean + half, 4),
    }
