import json
import math
import runpy
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import CHECKOUT, default_settings, packaged_tokenizer, write_tiny
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from longwriter.chat.settings import ServerKind
from longwriter.errors import DataError, SettingsError, TrainingError
from longwriter.records import Message, Pair, write_jsonl
from longwriter.settings import Settings, Workspace
from longwriter.tracking import stage_run, tracking_uri
from longwriter.training import dpo
from longwriter.training.settings import LoraSettings


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
        trained, metrics = dpo.train(start, PAIRS, PAIRS[:1], path, settings, work)

    # The policy is its own reference at first: every margin is 0, and -log sigmoid(0) = ln 2.
    assert trained.curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert trained.curve[0]["rewards/margins"] == 0
    assert [entry["step"] for entry in trained.curve] == [1, 2, 3]
    assert trained.curve[-1]["loss"] < math.log(2) - 0.01
    assert metrics["final_reward_margin"] > 0.01
    assert metrics["final_reward_accuracy"] == 1
    assert (metrics["pairs"], metrics["steps"]) == (2, 3)
    held_out = metrics["held_out"]
    assert (held_out["pairs"], held_out["instructions"]) == (1, 1)
    assert held_out["before"] == {"margin": 0, "low": 0, "high": 0}
    assert held_out["after"]["margin"] == held_out["margins"][0] > 0.01
    assert held_out["after"]["accuracy"] == 1

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
    told = (path / "README.md").read_text()
    assert f"to {held_out['after']['margin']:.3f}" in told
    assert "| loss | 1 · sigmoid |" in told


def test_the_stage_writes_all_its_outputs_and_removes_its_checkpoints(
    start: Path, settings: Settings, tmp_path: Path
) -> None:
    stage = runpy.run_path(str(CHECKOUT / "stages/dpo.py"))["dpo"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sft").symlink_to(start)
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", PAIRS)
    write_jsonl(tmp_path / "data/dpo/heldout.jsonl", [])
    stage(settings, Workspace(tmp_path, tmp_path))
    assert not list((tmp_path / "cache/checkpoints").iterdir())
    assert json.loads((tmp_path / "metrics/dpo.json").read_text())["steps"] == 3
    assert len(json.loads((tmp_path / "metrics/dpo_curve.json").read_text())) == 3
    assert "held_out" not in json.loads((tmp_path / "metrics/dpo.json").read_text())
    assert (tmp_path / "models/dpo/model.safetensors").exists()
    assert not list(tmp_path.glob("models/.*"))


def test_what_stands_in_mlflow(start: Path, settings: Settings, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    work = Workspace(tmp_path, tmp_path)
    with stage_run("dpo", settings, work, []) as run:
        dpo.train(start, PAIRS, [], tmp_path / "dpo", settings, work)
    logged = MlflowClient(tracking_uri(tmp_path)).get_run(run).data.metrics
    wanted = {
        f"{name}/{side}"
        for name in ("rewards", "logps", "logps_per_token", "lengths")
        for side in ("chosen", "rejected")
    }
    assert wanted | {"rewards/margins", "rewards/accuracies", "loss"} <= logged.keys()


@pytest.mark.parametrize("way", ["all weights", "adapter"])
def test_full_training_and_the_adapter_alone_reload(
    start: Path, settings: Settings, tmp_path: Path, way: str
) -> None:
    path, work = tmp_path / "dpo", Workspace(tmp_path, tmp_path)
    settings.student = replace(settings.student, server=ServerKind.endpoint)
    changes = {"lora": None} if way == "all weights" else {"merge": False}
    settings.dpo = replace(settings.dpo, **changes)
    with stage_run("dpo", settings, work, []):
        _, metrics = dpo.train(start, PAIRS, PAIRS, path, settings, work)
    assert metrics["held_out"]["after"]["margin"] > 0.01
    before = load_file(start / "model.safetensors")
    if way == "all weights":
        after = load_file(path / "model.safetensors")
        assert after.keys() == before.keys()
        assert not any(torch.equal(before[name], after[name]) for name in before)
        return
    names = {file.name for file in path.rglob("*") if file.is_file()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not any("ref" in name for name in names)
    assert "model.safetensors" not in names
    # With the adapter the pairs get the log-probabilities that the margins were made of.
    from peft import PeftModel

    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(path)
    ratios = []
    for model in (base, PeftModel.from_pretrained(base, path).eval()):
        chosen, rejected = (
            answer_log_prob(model, tokenizer, PAIRS[0], answer)
            for answer in (PAIRS[0].chosen, PAIRS[0].rejected)
        )
        ratios.append(chosen - rejected)
        if model is base:
            plain = ratios[0]
    margin = settings.dpo.beta * (ratios[1] - plain)
    assert margin == pytest.approx(metrics["held_out"]["margins"][0], abs=0.05)  # bf16 there


def answer_log_prob(model: Any, tokenizer: Any, pair: Pair, answer: list[Message]) -> float:
    """The answer's log-probability after its prompt, by a plain forward pass."""
    chat = {"tokenize": True, "return_dict": False}
    prompt = [message.model_dump() for message in pair.prompt]
    whole = tokenizer.apply_chat_template(prompt + [m.model_dump() for m in answer], **chat)
    asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, **chat)
    with torch.no_grad():
        logits = model(torch.tensor([whole])).logits[0, :-1].float()
    log_probs = logits.log_softmax(-1).gather(1, torch.tensor(whole[1:])[:, None])[:, 0]
    return float(log_probs[len(asked) - 1 :].sum())


KILLED_IN_THE_SECOND_CHECKPOINT = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = sys.argv[4:]
from test_dpo import steps, train
from transformers import TrainerState

write = TrainerState.save_to_json

def write_or_die(state, file):
    if state.global_step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(state, file)

TrainerState.save_to_json = write_or_die
train(*map(Path, sys.argv[1:3]), steps(), Path(sys.argv[3]))
"""


def steps() -> Settings:
    """Three epochs of one optimiser step over both pairs, a checkpoint after each."""
    settings = default_settings()
    settings.dpo = replace(
        settings.dpo,
        learning_rate=1e-3,
        num_train_epochs=3,
        gradient_accumulation_steps=2,
        max_length=128,
        save_steps=1,
        lora=LoraSettings(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"),
    )
    return settings


def train(start: Path, path: Path, settings: Settings, root: Path) -> tuple[Any, dict[str, Any]]:
    work = Workspace(root, path.parent)
    with stage_run("dpo", settings, work, []):
        return dpo.train(start, PAIRS, PAIRS, path, settings, work)


def test_killed_training_goes_on_from_its_last_whole_checkpoint(
    start: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LONGWRITER_CACHE", str(tmp_path / "other"))
    _, whole = train(start, tmp_path / "whole", steps(), tmp_path)
    monkeypatch.setenv("LONGWRITER_CACHE", str(tmp_path / "cache"))
    src = Path(dpo.__file__).parent.parent.parent
    arguments = [start, tmp_path / "killed", tmp_path, src, Path(__file__).parent]
    child = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_CHECKPOINT, *map(str, arguments)], timeout=180
    )
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()

    trained, metrics = train(start, tmp_path / "killed", steps(), tmp_path)
    assert trained.share == pytest.approx(2 / 3)
    assert metrics["held_out"] == whole["held_out"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("killed", "whole")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_weights": [1.0, 2.0]}, r"^dpo\.loss_weights: 2 for 1 of dpo\.loss_type"),
        ({"loss_type": [], "loss_weights": []}, r"^dpo\.loss_weights: 0 for 0"),
        ({"merge": False}, r"^dpo\.merge: is false, and llama\.cpp"),
    ],
)
def test_settings_that_do_not_fit_each_other(
    start: Path, settings: Settings, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings.dpo = replace(settings.dpo, **changes)
    with pytest.raises(SettingsError, match=message):
        dpo.train(start, PAIRS, [], tmp_path / "dpo", settings, Workspace(tmp_path, tmp_path))


def test_which_pairs_are_read(settings: Settings, tmp_path: Path) -> None:
    work = Workspace(tmp_path, tmp_path)
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", PAIRS)
    with pytest.raises(DataError, match=r"heldout\.jsonl: cannot be read"):
        dpo.read_pairs(settings.dpo, work)
    write_jsonl(tmp_path / "data/dpo/heldout.jsonl", [])
    assert dpo.read_pairs(settings.dpo, work) == (PAIRS, [])
    write_jsonl(tmp_path / "data/dpo/heldout.jsonl", PAIRS[:1])
    assert dpo.read_pairs(settings.dpo, work) == (PAIRS, PAIRS[:1])
    write_jsonl(tmp_path / "own.jsonl", PAIRS[1:])
    own = replace(settings.dpo, pairs=str(tmp_path / "own.jsonl"))
    assert dpo.read_pairs(own, work) == (PAIRS[1:], [])  # the DAG's belong to the DAG's pairs
    own = replace(own, held_out=str(tmp_path / "data/dpo/heldout.jsonl"))
    assert dpo.read_pairs(own, work) == (PAIRS[1:], PAIRS[:1])
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", [])
    with pytest.raises(DataError, match=r"pairs\.jsonl: holds no row"):
        dpo.read_pairs(settings.dpo, work)


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
