"""Loss by position in the text, on validation rows.

This is the paper's test of long outputs: if a text depends on what was written so far, a model that
uses its context predicts later tokens better than earlier ones.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longwriter.core.errors import DataError
from longwriter.core.rows import TrainingRow
from longwriter.core.settings import RuntimeSettings
from longwriter.core.sources import read_jsonl
from longwriter.core.workspace import Workspace
from longwriter.models.checkpoint import load
from longwriter.models.settings import StudentSettings
from longwriter.sft.packing import IGNORED, tokenize
from longwriter.sft.settings import SftSettings

FIRST_BIN = 32
"""Tokens in the first bin; each further bin ends at twice the end of the one before."""


def read_validation(sft: SftSettings, work: Workspace) -> list[TrainingRow]:
    """Returns the validation rows; empty if the filter set none aside.

    Raises:
        DataError: sft.validation names a file that does not exist or has no rows.
    """
    path = validation_file(sft, work)
    rows = read_jsonl(path, TrainingRow) if path.exists() and path.stat().st_size else []
    if sft.validation and not rows:
        raise DataError(f"sft.validation: {path} is not there or has no rows")
    return rows


def validation_file(sft: SftSettings, work: Workspace) -> Path:
    """Returns the file of the validation rows."""
    return work.input(sft.validation, "data/sft/validation.jsonl")


def loss_by_position(
    checkpoints: Mapping[str, Path],
    rows: Sequence[TrainingRow],
    sft: SftSettings,
    student: StudentSettings,
    runtime: RuntimeSettings,
) -> dict[str, Any]:
    """Measures the NLL of every target of `rows` under each checkpoint.

    Args:
        checkpoints: name of a model → its folder.

    Returns:
        The content of metrics/sft_position.json: `rows`, the number of rows, and, if there are any,
        `ends`, `targets` and `nll` as `binned` returns them.
    """
    if not rows:
        return {"rows": 0}
    losses = {
        name: target_losses(checkpoint, rows, sft, student, runtime)
        for name, checkpoint in checkpoints.items()
    }
    return {"rows": len(rows), **binned(losses)}


def target_losses(
    checkpoint: Path,
    rows: Sequence[TrainingRow],
    sft: SftSettings,
    student: StudentSettings,
    runtime: RuntimeSettings,
) -> list[list[float]]:
    """Returns, for each row, the NLL in nats of every target, in the order of the text.

    Only the first sft.max_length tokens of a row are used.
    """
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from longwriter.models.training_run import bf16_here, set_threads

    set_threads(runtime)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded, tokenizer = load(checkpoint, student)
    model: Any = loaded
    add_fused_lm_head(model)
    model.to(device).eval()
    found = []
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16_here()):
        for row in rows:
            tokens = tokenize(row, tokenizer, sft.targets)
            ids, labels = (
                torch.tensor([values[: sft.max_length]], device=device)
                for values in (tokens.input_ids, tokens.labels)
            )
            scores = model(input_ids=ids, labels=labels, fused_lm_head=True).log_probs[0]
            found.append((-scores[labels[0, 1:] != IGNORED]).tolist())
    return found


def binned(losses: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, Any]:
    """Sums each row's losses in bins of position: [0, 32), [32, 64), … up to the longest row.

    The sums give the mean loss over any range of bins, and its confidence interval over rows.

    Args:
        losses: model → row → NLL of each target. All models have the same rows and targets.

    Returns:
        `ends`: ends of the bins, counted in targets; `targets`: row → bin → number of targets;
        `nll`: model → row → bin → summed NLL in nats.
    """
    first = next(iter(losses.values()))
    ends, longest = [FIRST_BIN], max(map(len, first))
    while ends[-1] < longest:
        ends.append(2 * ends[-1])
    edges = list(zip([0, *ends], ends, strict=False))
    return {
        "ends": ends,
        "targets": [[len(row[start:end]) for start, end in edges] for row in first],
        "nll": {
            name: [[round(math.fsum(row[start:end]), 4) for start, end in edges] for row in found]
            for name, found in losses.items()
        },
    }


def mean_loss(position: Mapping[str, Any], model: str) -> float:
    """Returns the mean NLL of all targets of all rows under `model`, in nats.

    Args:
        position: as `loss_by_position` returns it, with at least one row.
    """
    targets = sum(map(sum, position["targets"]))
    return round(math.fsum(map(math.fsum, position["nll"][model])) / targets, 4)
