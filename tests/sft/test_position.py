"""The loss by position: arithmetic by hand, and the losses of a tiny model against plain ones."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.checkpoints import default_settings, packaged_tokenizer, write_tiny
from torch.nn import functional
from transformers import AutoModelForCausalLM

from longwriter.config.schema import Settings
from longwriter.core import statistics as position
from longwriter.core.errors import DataError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import Message, TrainingRow
from longwriter.core.workspace import Workspace
from longwriter.models import training_run as trainer
from longwriter.sft.packing import tokenize


def test_mean_and_interval_by_hand() -> None:
    # Rows of 2 and 4 tokens with sums 2 and 10: mean 12/6 = 2, residuals 2 - 4 = -2 and 10 - 8 = 2.
    # Half: t(0.975, 1) = 12.7062 times √(2/1 · (4 + 4)) / 6 = 4/6. The third row is not that long.
    assert position.ratio([2, 10, 0], [2, 4, 0]) == {
        "mean": 2,
        "low": round(2 - 12.7062047 * 4 / 6, 4),
        "high": round(2 + 12.7062047 * 4 / 6, 4),
    }
    assert position.ratio([6], [3]) == {"mean": 2, "low": None, "high": None}


def test_bins_double_and_the_difference_is_paired() -> None:
    # Row a: 40 tokens of loss 3; row b: 64 of loss 2, then 6 of loss 1. The tuned model is better by
    # exactly 1 everywhere, so the interval of the difference has no width.
    base = [[3.0] * 40, [2.0] * 64 + [1.0] * 6]
    tuned = [[loss - 1 for loss in row] for row in base]
    bins = position.summarise({"base": base, "sft": tuned})
    assert [(b["from"], b["to"], b["tokens"], b["rows"]) for b in bins] == [
        (0, 32, 64, 2),
        (32, 64, 40, 2),
        (64, 128, 6, 1),
    ]
    means = [b["base"]["mean"] for b in bins]
    assert means == [2.5, round((8 * 3 + 32 * 2) / 40, 4), 1]
    so_far = [b["cumulative"]["base"]["mean"] for b in bins]
    assert so_far == [2.5, round((40 * 3 + 64 * 2) / 104, 4), round((120 + 128 + 6) / 110, 4)]
    assert bins[0]["difference"] == {"mean": -1, "low": -1, "high": -1}
    assert bins[2]["difference"] == {"mean": -1, "low": None, "high": None}


@pytest.fixture
def settings() -> Settings:
    settings = default_settings()
    settings.sft = replace(settings.sft, max_length=48)
    return settings


def row(name: str, answer: str) -> TrainingRow:
    messages = [Message(role="user", content="Write."), Message(role="assistant", content=answer)]
    return TrainingRow(messages=messages, id=name)


def test_losses_of_every_target_in_its_order(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "bf16_here", lambda: False)
    base = write_tiny(tmp_path / "base", packaged_tokenizer())
    rows = [row("a", "The Rhine."), row("b", "Rain falls. " * 30)]  # b is cut at 48 tokens
    write_jsonl(tmp_path / "data/sft/heldout.jsonl", rows)
    work = Workspace(tmp_path, tmp_path)
    found = position.loss_by_position({"base": base, "sft": base}, settings, work)

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    sums = []
    for tokens in (tokenize(r, packaged_tokenizer()) for r in rows):
        ids, labels = (torch.tensor(values[:48]) for values in tokens.values())
        with torch.no_grad():
            logits = model(ids[None]).logits[0, :-1]
        nll = functional.cross_entropy(logits, labels[1:], reduction="none", ignore_index=-100)
        sums.append(nll[labels[1:] != -100])
    first = torch.cat([losses[:32] for losses in sums])
    assert found["rows"] == 2
    [only] = found["bins"]
    assert only["tokens"] == len(first)
    assert only["base"]["mean"] == pytest.approx(first.mean().item(), abs=1e-3)
    assert only["difference"] == {"mean": 0, "low": 0, "high": 0}
    assert math.isfinite(only["sft"]["low"])


def test_no_held_out_rows_no_bins_but_a_file_that_is_named_must_be_there(
    settings: Settings, tmp_path: Path
) -> None:
    work = Workspace(tmp_path, tmp_path)
    assert position.loss_by_position({}, settings, work) == {"rows": 0, "bins": []}
    (tmp_path / "data/sft").mkdir(parents=True)
    (tmp_path / "data/sft/heldout.jsonl").touch()  # what the filter writes where it holds none out
    assert position.loss_by_position({}, settings, work) == {"rows": 0, "bins": []}
    settings.sft = replace(settings.sft, held_out=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"^sft\.held_out: .*none\.jsonl is not there"):
        position.loss_by_position({}, settings, work)
