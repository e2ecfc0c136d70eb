import json
import math
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import CHECKOUT, default_settings, packaged_tokenizer, write_tiny
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from longwriter.errors import TrainingError
from longwriter.records import Message, Pair, write_jsonl
from longwriter.settings import Settings, Workspace
from longwriter.tracking import stage_run
from longwriter.training import dpo


def pair(name: str, prompt: str, chosen: str, rejected: str) -> Pair:
    return Pair(
        prompt=[Message(role="user", content=prompt)],
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
        chosen_score=90,
        rejected_score=10,
        id=name,
    )


PAIRS = [
    pair("river", "Name a river.", "The Rhine runs to the sea.", "No. " * 20),
    pair("rain", "Write about rain.", "Rain falls, and then it stops.", "Rain."),
]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "sft", packaged_tokenizer())


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LONGWRITER_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def settings() -> Iterator[Settings]:
    """Three epochs of one optimiser step over both pairs."""
    threads = torch.get_num_threads()
    settings = default_settings()
    settings.dpo = replace(
        settings.dpo,
        learning_rate=1e-3,
        num_train_epochs=3,
        gradient_accumulation_steps=2,
        max_length=128,
        lora=replace(settings.dpo.lora, r=4, lora_alpha=8),
    )
    yield settings
    torch.set_num_threads(threads)


def test_starts_at_ln_2_learns_the_preference_and_saves_one_plain_model(
    start: Path, settings: Settings, tmp_path: Path
) -> None:
    path, work = tmp_path / "dpo", Workspace(tmp_path, tmp_path)
    with stage_run("dpo", settings, work, []):
        trained, metrics = dpo.train(start, PAIRS, path, settings, work)

    # The policy is its own reference at first: every margin is 0, and -log sigmoid(0) = ln 2.
    assert trained.curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-3)
    assert trained.curve[0]["rewards/margins"] == pytest.approx(0, abs=1e-3)
    assert [entry["step"] for entry in trained.curve] == [1, 2, 3]
    assert trained.curve[-1]["loss"] < math.log(2) - 0.01
    assert metrics["final_reward_margin"] > 0.01
    assert metrics["final_reward_accuracy"] == 1
    assert (metrics["pairs"], metrics["steps"]) == (2, 3)

    assert not [file.name for file in path.rglob("*") if "adapter" in file.name]
    before, after = (load_file(folder / "model.safetensors") for folder in (start, path))
    assert {name: t.shape for name, t in after.items()} == {n: t.shape for n, t in before.items()}
    adapted = {name for name in before if not torch.equal(before[name], after[name])}
    assert adapted == {name for name in before if "_proj" in name}
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(path),
        AutoTokenizer.from_pretrained(path),
    )
    assert type(model).__name__ == "LlamaForCausalLM"
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(start).chat_template
    assert trained.checkpoints.parent == tmp_path / "cache/checkpoints"


def test_the_stage_writes_all_its_outputs_and_removes_its_checkpoints(
    start: Path, settings: Settings, tmp_path: Path
) -> None:
    stage = runpy.run_path(str(CHECKOUT / "stages/dpo.py"))["dpo"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sft").symlink_to(start)
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", PAIRS)
    stage(settings, Workspace(tmp_path, tmp_path))
    assert not list((tmp_path / "cache/checkpoints").iterdir())
    assert json.loads((tmp_path / "metrics/dpo.json").read_text())["steps"] == 3
    assert len(json.loads((tmp_path / "metrics/dpo_curve.json").read_text())) == 3
    assert (tmp_path / "models/dpo/model.safetensors").exists()
    assert not list(tmp_path.glob("models/.*"))


def test_a_pair_that_does_not_fit_is_an_error(start: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    texts = [
        tokenizer.apply_chat_template(
            [
                {"role": "user", "content": "Name a river."},
                {"role": "assistant", "content": answer},
            ],
            tokenize=False,
        )
        for answer in ("The Rhine runs to the sea.", "No. " * 20)
    ]
    chosen, rejected = (len(tokenizer(text)["input_ids"]) for text in texts)
    assert chosen < rejected
    assert dpo.count_tokens(PAIRS[0], tokenizer, rejected) == chosen + rejected
    for max_length in (chosen, rejected - 1):
        with pytest.raises(
            TrainingError, match=rf"^pair river: {rejected} tokens, .* is {max_length};"
        ):
            dpo.count_tokens(PAIRS[0], tokenizer, max_length)
