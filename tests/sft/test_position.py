"""The loss by position: arithmetic by hand, and the losses of a tiny model against plain ones."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.checkpoints import default_settings, packaged_tokenizer, write_tiny
from torch.nn import functional
from transformers import AutoModelForCausalLM

from longwriter.config.schema import Settings
from longwriter.core.errors import DataError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import Message, TrainingRow
from longwriter.core.workspace import Workspace
from longwriter.models import training_run
from longwriter.report.intervals import position_bins
from longwriter.sft import position
from longwriter.sft.packing import tokenize
from longwriter.sft.settings import Targets


def test_bins_double_and_the_difference_is_paired() -> None:
    # Row a: 40 tokens of loss 3; row b: 64 of loss 2, then 6 of loss 1. The tuned model is better by
    # exactly 1 everywhere, so the interval of the difference has no width.
    base = [[3.0] * 40, [2.0] * 64 + [1.0] * 6]
    tuned = [[loss - 1 for loss in row] for row in base]
    found = position.binned({"base": base, "sft": tuned})
    assert found == {
        "ends": [32, 64, 128],
        "targets": [[32, 8, 0], [32, 32, 6]],
        "nll": {"base": [[96, 24, 0], [64, 64, 6]], "sft": [[64, 16, 0], [32, 32, 0]]},
    }
    bins = position_bins(found)
    assert [(b["from"], b["to"], b["tokens"], b["rows"]) for b in bins] == [
        (0, 32, 64, 2),
        (32, 64, 40, 2),
        (64, 128, 6, 1),
    ]
    means = [b["base"]["mean"] for b in bins]
    assert means == [2.5, round((8 * 3 + 32 * 2) / 40, 4), 1]
    so_far = [b["cumulative"]["base"]["mean"] for b in bins]
    assert so_far == [2.5, round((40 * 3 + 64 * 2) / 104, 4), round((120 + 128 + 6) / 110, 4)]
    assert bins[0]["difference"] == {"mean": -1, "low": None, "high": None}
    assert bins[2]["difference"] == {"mean": -1, "low": None, "high": None}
    assert position.mean_loss(found, "base") == round((120 + 128 + 6) / 110, 4)
    assert position.mean_loss(found, "sft") == round((80 + 64) / 110, 4)


@pytest.fixture
def settings() -> Settings:
    settings = default_settings()
    settings.sft = replace(settings.sft, max_length=48)
    return settings


def measured(
    settings: Settings, checkpoints: dict[str, Path], rows: list[TrainingRow]
) -> dict[str, Any]:
    return position.loss_by_position(
        checkpoints, rows, settings.sft, settings.student, settings.runtime
    )


def row(name: str, answer: str) -> TrainingRow:
    messages = [Message(role="user", content="Write."), Message(role="assistant", content=answer)]
    return TrainingRow(messages=messages, id=name)


def test_losses_of_every_target_in_its_order(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_run, "bf16_here", lambda: False)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    rows = [row("a", "The Rhine."), row("b", "Rain falls. " * 30)]  # b is cut at 48 tokens
    write_jsonl(tmp_path / "data/sft/validation.jsonl", rows)
    assert position.read_validation(settings.sft, Workspace(tmp_path, tmp_path)) == rows
    found = measured(settings, {"base": base, "sft": base}, rows)

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    sums = []
    for tokens in (tokenize(r, packaged_tokenizer(), Targets.all) for r in rows):
        ids, labels = (torch.tensor(v[:48]) for v in (tokens.input_ids, tokens.labels))
        with torch.no_grad():
            logits = model(ids[None]).logits[0, :-1]
        nll = functional.cross_entropy(logits, labels[1:], reduction="none", ignore_index=-100)
        sums.append(nll[labels[1:] != -100])
    first = torch.cat([losses[:32] for losses in sums])
    assert found["rows"] == 2
    [only] = position_bins(found)
    assert only["tokens"] == len(first)
    assert only["base"]["mean"] == pytest.approx(first.mean().item(), abs=1e-3)
    assert only["difference"] == {"mean": 0, "low": None, "high": None}
    assert math.isfinite(only["sft"]["low"])


def test_without_validation_rows_nothing_is_measured_but_a_file_that_is_named_must_exist(
    settings: Settings, tmp_path: Path
) -> None:
    work = Workspace(tmp_path, tmp_path)
    assert position.read_validation(settings.sft, work) == []
    (tmp_path / "data/sft").mkdir(parents=True)
    (
        tmp_path / "data/sft/validation.jsonl"
    ).touch()  # as the filter writes it without validation rows
    assert position.read_validation(settings.sft, work) == []
    assert measured(settings, {}, []) == {"rows": 0}
    given = replace(settings.sft, validation=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"^sft\.validation: .*none\.jsonl is not there"):
        position.read_validation(given, work)
