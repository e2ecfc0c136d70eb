"""DPO in processes that the stage starts: the same model as in one, also where pairs don't divide evenly."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.checkpoints import packaged_tokenizer, train_in_float32, two_processes, write_tiny
from helpers.dpo_runs import PAIRS, pair, three_steps, train
from safetensors.torch import load_file

THREE = [*PAIRS, pair("tea", "What is tea?", "Leaves in hot water.", "A drink, I think.")]


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE"]:
        monkeypatch.delenv(name, raising=False)
    train_in_float32(tmp_path / "site", monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("runtime", "lora"),
    [("cpu2", True), ("cpu2", False), ("fsdp2", False), ("zero3_offload", True)],
)
def test_two_processes_align_the_model_that_one_does(
    runtime: str, lora: bool, tmp_path: Path
) -> None:
    start = write_tiny(tmp_path / "sft", packaged_tokenizer())
    settings = three_steps()
    if not lora:
        settings.dpo = replace(settings.dpo, lora=None)
    evaluation = {"eval_strategy": "steps", "eval_steps": 1}
    settings.dpo = replace(settings.dpo, gradient_accumulation_steps=2, trl=evaluation)
    one = train(start, tmp_path / "one/dpo", settings, tmp_path, THREE)
    settings.dpo = replace(settings.dpo, gradient_accumulation_steps=1)
    settings.runtime = replace(settings.runtime, accelerate=two_processes(runtime))
    two = train(start, tmp_path / "two/dpo", settings, tmp_path, THREE)
    keys = ["step", "loss", "eval_loss", "grad_norm"]
    keys += ["rewards/chosen", "rewards/margins", "lengths/chosen"]
    found, expected = (
        [[entry[key] for key in keys] for entry in done.trained.curve] for done in (two, one)
    )
    assert len(found) == 6
    assert found == [pytest.approx(row, rel=1e-3, abs=1e-5) for row in expected]
    assert two.metrics["validation"]["margin"] == pytest.approx(
        one.metrics["validation"]["margin"], abs=1e-4
    )
    ours, theirs = (load_file(done.path / "model.safetensors") for done in (one, two))
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in ours)
    names = {file.name for file in two.path.iterdir()}
    assert {"README.md", "tokenizer.json"} <= names
    assert not {"training_args.bin", "adapter_model.safetensors"} & names
