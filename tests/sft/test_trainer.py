"""Training runs of a tiny model: what they learn, survive and leave."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from dvc.repo import Repo
from helpers.checkpoints import CHECKOUT, packaged_tokenizer, write_tiny
from helpers.sft_runs import ROWS, four_steps, job, train, tune
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM

from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError, TrainingError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import TrainingRow
from longwriter.core.workspace import Workspace
from longwriter.models import training_run
from longwriter.models.settings import Dtype
from longwriter.sft import loss, packing, position
from longwriter.sft import trainer as sft
from longwriter.sft.settings import Averaging, Method, Targets

SRC = Path(sft.__file__).parent.parent.parent


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return packaged_tokenizer()


@pytest.fixture(scope="module")
def base(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "base", tokenizer)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where MLflow's database lies: making one takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module", autouse=True)
def _no_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ["MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE"]:
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def threads() -> Iterator[None]:
    """Gives other tests back the threads that training sets."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def settings(threads: None) -> Settings:
    return four_steps()


@pytest.fixture(scope="module")
def whole(base: Path, root: Path, threads: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What training gives that nothing stops."""
    path = tmp_path_factory.mktemp("whole") / "sft"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGWRITER_CACHE", str(path.parent / "cache"))
        trained, _ = train(base, path, four_steps(), root)
    assert [entry["step"] for entry in trained.curve] == [1, 2, 3, 4]
    assert set(trained.curve[0]) == {"step", "epoch", "loss", "grad_norm", "learning_rate"}
    (path.parent / "curve.json").write_text(json.dumps(trained.curve))
    return path


def weights(path: Path) -> bytes:
    return (path / "model.safetensors").read_bytes()


# A training run


def target_losses(model: Any, input_ids: list[int], labels: list[int]) -> torch.Tensor:
    """The loss on every target of one sequence, from one plain forward pass in float32."""
    with torch.no_grad():
        logits = model(torch.tensor([input_ids])).logits[0]
    losses = functional.cross_entropy(logits[:-1], torch.tensor(labels[1:]), reduction="none")
    return losses[torch.tensor(labels[1:]) != packing.IGNORED]


@pytest.mark.parametrize(
    ("max_length", "accumulation", "packs"),
    [
        pytest.param(512, 1, 1, id="one pack"),
        pytest.param(128, 2, 2, id="two packs, accumulated"),
    ],
)
def test_loss_is_the_mean_over_targets_and_packing_has_no_cross_talk(
    base: Path,
    tokenizer: Any,
    root: Path,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    max_length: int,
    accumulation: int,
    packs: int,
) -> None:
    monkeypatch.setattr(training_run, "bf16_here", lambda: False)
    settings.sft = replace(
        settings.sft,
        packing=True,
        max_length=max_length,
        gradient_accumulation_steps=accumulation,
    )
    trained, metrics = train(base, tmp_path / "sft", settings, root)

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    tokens = [packing.tokenize(row, tokenizer, Targets.all) for row in ROWS]
    single = torch.cat([target_losses(model, row.input_ids, row.labels) for row in tokens])
    assert metrics["sequences"] == packs
    assert metrics["rows"] == 4
    assert metrics["tokens"] == sum(len(row.input_ids) for row in tokens)
    assert metrics["target_tokens"] == len(single)
    assert metrics["steps"] == len(trained.curve) == 1
    assert trained.curve[0]["loss"] == pytest.approx(single.mean().item(), abs=1e-4)

    ids = [n for row in tokens for n in row.input_ids]
    labels = [n for row in tokens for n in row.labels]
    seen_by_all = target_losses(model, ids, labels).mean()
    assert abs(seen_by_all - single.mean()) > 0.01  # cross-talk would show
    mean_of_rows = torch.stack(
        [target_losses(model, r.input_ids, r.labels).mean() for r in tokens]
    ).mean()
    assert abs(mean_of_rows - single.mean()) > 0.01  # and so would a mean over rows


def test_same_seed_same_weights(
    base: Path, whole: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    train(base, tmp_path / "again", settings, root)
    assert weights(tmp_path / "again") == weights(whole)

    before, after = (load_file(path / "model.safetensors") for path in (base, whole))
    assert after.keys() == before.keys()
    assert all(tensor.dtype == torch.float32 for tensor in after.values())
    assert not any(torch.equal(before[name], after[name]) for name in before)

    settings.sft = replace(settings.sft, seed=1)
    train(base, tmp_path / "other", settings, root)
    assert weights(tmp_path / "other") != weights(whole)


KILLED_IN_THE_THIRD_CHECKPOINT = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = sys.argv[4:]
from helpers.sft_runs import four_steps, train
from transformers import TrainerState

write = TrainerState.save_to_json

def write_or_die(state, file):
    if state.global_step == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    write(state, file)

TrainerState.save_to_json = write_or_die
train(*map(Path, sys.argv[1:3]), four_steps(), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_killed_training_goes_on_from_its_last_whole_checkpoint(
    base: Path,
    whole: Path,
    root: Path,
    settings: Settings,
    tmp_path: Path,
    own_cache: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    arguments = [base, tmp_path / "killed", root, SRC, Path(__file__).parents[1]]
    child = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_THIRD_CHECKPOINT, *map(str, arguments)], timeout=120
    )
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()
    [folder] = (own_cache / "checkpoints").iterdir()
    assert (folder / "checkpoint-3/model.safetensors").exists()  # half written

    capfd.readouterr()
    trained, metrics = train(base, tmp_path / "killed", settings, root)
    assert f"resuming from {folder}/checkpoint-2\n" in capfd.readouterr().out
    assert trained.share == 0.5
    assert metrics["steps"] == 4
    assert weights(tmp_path / "killed") == weights(whole)
    assert trained.curve == json.loads((whole.parent / "curve.json").read_text())


def test_the_stage_removes_its_checkpoints_and_a_resume_with_no_step_left_has_no_rate(
    base: Path, settings: Settings, tmp_path: Path, own_cache: Path
) -> None:
    stage = runpy.run_path(str(CHECKOUT / "stages/sft.py"))["sft"]
    work = Workspace(tmp_path, tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/base").symlink_to(base)
    write_jsonl(tmp_path / "data/sft/train.jsonl", ROWS)
    train(base, tmp_path / "models/sft", settings, tmp_path)
    [folder] = (own_cache / "checkpoints").iterdir()
    assert (folder / "checkpoint-4").exists()  # train() leaves them: its metrics are not written

    stage(settings, work)
    assert not folder.exists()
    metrics = json.loads((tmp_path / "metrics/sft.json").read_text())
    assert (metrics["steps"], metrics["tokens_per_s"]) == (4, None)
    assert metrics["skipped_rows"] == 0
    packs = [json.loads(line) for line in (tmp_path / "data/sft/packs.jsonl").open()]
    assert [(row["id"], row["pack"], row["position"], row["epochs"]) for row in packs] == [
        ("one", 0, 0, 1),
        ("two", 1, 0, 1),
        ("three", 2, 0, 1),
        ("four", 3, 0, 1),
    ]
    position = json.loads((tmp_path / "metrics/sft_position.json").read_text())
    assert position == {"rows": 0}
    check_card(tmp_path / "models/sft/README.md", metrics)


def check_card(card: Path, metrics: dict[str, Any]) -> None:
    """The model's card names its base and settings, and links to files of the pipeline."""
    text = card.read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "transformers"
    links = re.findall(r"\]\((.*?)\)", body)
    root = card.parent.parent.parent
    with Repo(CHECKOUT) as repo:
        known = {Path(out.fs_path) for out in repo.index.outs}
    for link in links:
        target = (card.parent / link).resolve().relative_to(root.resolve())
        assert CHECKOUT / target in known, f"{link} is no output of the pipeline"
    assert {"card.md", "packs.jsonl", "params.yaml", "sft.json"} <= {Path(n).name for n in links}
    assert "| `sft.learning_rate` | 0.001 |" in body
    assert "| `sft.seed` | 0 |" in body
    assert f"| of these targets | {metrics['target_tokens']} |" in body
    assert f"| mean training loss, nats a target | {metrics['train_loss']} |" in body


def test_small_updates_of_weights_in_bfloat16_are_kept(
    base: Path, root: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps of 1e-5 on weights of 0.2 are rounded away in bfloat16, which has 8 bits; the sum of many is
    not, where they are added up in float32."""
    monkeypatch.setattr(training_run, "bf16_here", lambda: False)
    settings.student = replace(settings.student, dtype=Dtype.bfloat16)
    settings.sft = replace(settings.sft, learning_rate=1e-5, weight_decay=0.0)
    seen = []
    step = loss.PackTrainer.training_step

    def watch(self: Any, model: Any, *arguments: Any, **keywords: Any) -> Any:
        seen.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return step(self, model, *arguments, **keywords)

    monkeypatch.setattr(loss.PackTrainer, "training_step", watch)
    train(base, tmp_path / "sft", settings, root)
    name = "model.layers.0.mlp.up_proj.weight"
    assert seen[0][name].dtype == torch.float32
    moved = (seen[3][name] != seen[1][name]).float().mean().item()
    rounded = (seen[3][name].bfloat16() != seen[1][name].bfloat16()).float().mean().item()
    assert moved > 0.9
    assert rounded < 0.1  # which is what weights without masters would keep of the step
    written = load_file(tmp_path / "sft/model.safetensors")
    assert {tensor.dtype for tensor in written.values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("visible", "accelerate", "chosen"),
    [(None, None, "0"), ("3,5", None, "3"), (None, {"num_processes": 4}, None)],
)
def test_one_gpu_of_several_is_chosen_where_no_launcher_is(
    visible: str | None,
    accelerate: dict[str, Any] | None,
    chosen: str | None,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    training_run.use_one_gpu(replace(settings.runtime, accelerate=accelerate))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == chosen
    said = capsys.readouterr().out
    assert said == (
        f"training on GPU {chosen} of 4; runtime=fsdp2 uses several\n" if chosen else ""
    )


def test_further_arguments_reach_trl(
    base: Path, root: Path, settings: Settings, tmp_path: Path, own_cache: Path
) -> None:
    settings.sft = replace(settings.sft, trl={"optim": "sgd"})
    trained, _ = train(base, tmp_path / "sft", settings, root)
    assert len(trained.curve) == 4
    [folder] = (own_cache / "checkpoints").iterdir()
    state = torch.load(folder / "checkpoint-4/optimizer.pt")["state"]
    assert not any("exp_avg" in of_weight for of_weight in state.values())  # Adam has them
    for name, what in (
        ("optimm", r"SFTConfig has no such argument"),
        ("learning_rate", r"is set by the stage or has its own setting in conf/sft/"),
        ("packing", r"is set by the stage"),
        ("bf16", r"is set by the stage"),
    ):
        settings.sft = replace(settings.sft, trl={name: 1})
        with pytest.raises(SettingsError, match=rf"^sft\.trl\.{name}: {what}"):
            train(base, tmp_path / "sft", settings, root)


EVERY_STEP: dict[str, Any] = {"eval_strategy": "steps", "eval_steps": 1}


def test_the_validation_loss_is_the_mean_over_all_targets(
    base: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    """After the last step, that of the finished model, by the loss that is measured position by position."""
    settings.sft = replace(settings.sft, trl=EVERY_STEP)
    done = tune(base, tmp_path / "sft", settings, root, ROWS[:3], ROWS[1:])
    found = position.loss_by_position(
        {"sft": tmp_path / "sft"}, ROWS[1:], settings.sft, settings.student, settings.runtime
    )
    last = done.trained.curve[-1]
    assert last["eval_loss"] == pytest.approx(position.mean_loss(found, "sft"), abs=1e-3)
    rows = [sum(nll) / sum(n) for nll, n in zip(found["nll"]["sft"], found["targets"], strict=True)]
    assert last["eval_loss"] != pytest.approx(sum(rows) / len(rows), abs=1e-2)
    assert all("eval_loss" in entry for entry in done.trained.curve)


def test_training_ends_where_it_no_longer_helps_and_the_best_model_stays(
    base: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    """At this rate each step makes a row that is not trained on less likely, after the first one or two."""
    settings.sft = replace(
        settings.sft,
        learning_rate=0.05,
        num_train_epochs=8,
        early_stopping_patience=2,
        trl=EVERY_STEP | {"load_best_model_at_end": True},
    )
    done = tune(base, tmp_path / "sft", settings, root, ROWS[2:3], ROWS[:1])
    losses = [entry["eval_loss"] for entry in done.trained.curve]
    best = losses.index(min(losses))
    assert len(losses) == best + 3 == done.metrics["steps"] == done.metrics["epochs"] < 8
    found = position.loss_by_position(
        {"sft": tmp_path / "sft"}, ROWS[:1], settings.sft, settings.student, settings.runtime
    )
    assert position.mean_loss(found, "sft") == pytest.approx(losses[best], rel=0.01)


def test_what_evaluation_needs_is_said(
    base: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.sft = replace(settings.sft, early_stopping_patience=2, trl=EVERY_STEP)
    with pytest.raises(
        SettingsError, match=r"^sft\.early_stopping_patience: .*load_best_model_at_end: true"
    ):
        train(base, tmp_path / "sft", settings, root)
    settings.sft = replace(
        settings.sft,
        save_steps=3,
        trl=EVERY_STEP | {"eval_steps": 2, "load_best_model_at_end": True},
    )
    with pytest.raises(SettingsError, match=r"^sft\.trl: .*multiple"):
        train(base, tmp_path / "sft", settings, root)
    with pytest.raises(
        SettingsError, match=r"^sft\.trl\.eval_strategy: steps, and nothing was set"
    ):
        training_run.require_validation("sft", settings.sft, False)


# What can go wrong


def test_no_memory_left_is_an_error_with_a_remedy_and_checkpoints_stay(
    base: Path,
    root: Path,
    settings: Settings,
    tmp_path: Path,
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_much(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if self.state.global_step == 2:
            torch.empty(2**62, dtype=torch.uint8)
        return step_of(self, *arguments, **keywords)

    step_of = loss.PackTrainer.training_step
    monkeypatch.setattr(loss.PackTrainer, "training_step", too_much)
    with pytest.raises(TrainingError, match=r"^out of memory: .*activation_checkpointing=true"):
        train(base, tmp_path / "sft", settings, root)
    [folder] = (own_cache / "checkpoints").iterdir()
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == [
        "checkpoint-1",
        "checkpoint-2",
    ]
    assert not (tmp_path / "sft").exists()


def test_a_damaged_checkpoint_is_an_error_and_the_one_before_it_goes_on(
    base: Path,
    whole: Path,
    root: Path,
    settings: Settings,
    tmp_path: Path,
    own_cache: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    train(base, tmp_path / "sft", settings, root)
    [folder] = (own_cache / "checkpoints").iterdir()
    damaged = folder / "checkpoint-4"
    optimizer = damaged / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-2000])
    with pytest.raises(TrainingError, match=rf"^{damaged}: cannot .*Remove it \(rm -r {damaged}\)"):
        train(base, tmp_path / "sft", settings, root)
    assert damaged.exists()

    shutil.rmtree(damaged)
    train(base, tmp_path / "again", settings, root)
    assert f"resuming from {folder}/checkpoint-3\n" in capfd.readouterr().out
    assert weights(tmp_path / "again") == weights(whole)


def test_lora_is_merged_into_one_plain_model(
    base: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.sft = replace(settings.sft, method=Method.lora, loss=Averaging.example)
    trained, _ = train(base, tmp_path / "sft", settings, root)
    assert len(trained.curve) == 4
    assert not [file.name for file in (tmp_path / "sft").rglob("*") if "adapter" in file.name]
    before, after = (load_file(path / "model.safetensors") for path in (base, tmp_path / "sft"))
    assert {name: t.shape for name, t in after.items()} == {n: t.shape for n, t in before.items()}
    adapted = {name for name in before if not torch.equal(before[name], after[name])}
    assert adapted == {name for name in before if "_proj" in name}


@pytest.mark.skipif(find_spec("bitsandbytes") is not None, reason="bitsandbytes is installed")
def test_what_is_not_installed_is_named(base: Path, settings: Settings, tmp_path: Path) -> None:
    given = job(base, tmp_path / "sft", settings, Workspace(tmp_path, tmp_path))
    for changes, package, extra in (
        ({"method": Method.qlora}, "bitsandbytes", "qlora"),
        ({"use_kernels": True}, "kernels", "kernels"),
    ):
        with pytest.raises(SettingsError, match=rf"needs the package {package}.*\[{extra}\]"):
            changed = replace(given, sft=replace(settings.sft, **changes))
            sft.loading_arguments(changed)


def test_a_loss_that_is_no_number_is_an_error(
    base: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.sft = replace(settings.sft, learning_rate=1e30, max_grad_norm=1e30)
    with pytest.raises(TrainingError, match="NaN"):
        train(base, tmp_path / "sft", settings, root)
    assert not (tmp_path / "sft").exists()


def test_checkpoints_of_another_run_are_not_taken_up(
    base: Path, root: Path, settings: Settings, tmp_path: Path, own_cache: Path
) -> None:
    def folder(rows: list[TrainingRow]) -> Path:
        work = Workspace(root, tmp_path)
        return job(base, tmp_path / "sft", settings, work, rows).checkpoints

    first = folder(ROWS)
    assert first.parent == own_cache / "checkpoints"
    assert folder(list(ROWS)) == first
    settings.sft = replace(settings.sft, data="/elsewhere/train.jsonl")  # where rows came from
    assert folder(ROWS) == first
    others = [folder(ROWS[::-1])]
    settings.sft = replace(settings.sft, learning_rate=2e-3)
    others.append(folder(ROWS))
    settings.sft = replace(settings.sft, seed=1)
    others.append(folder(ROWS))
    assert len({first, *others}) == 4


def test_folder_that_is_no_checkpoint_is_an_error(
    root: Path, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="cannot be read as a checkpoint"):
        train(tmp_path / "empty", tmp_path / "sft", settings, root)
    assert not (tmp_path / "sft").exists()
