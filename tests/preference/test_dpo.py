"""DPO runs of a tiny model: what they learn, save, survive and say of themselves."""

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
from helpers.checkpoints import CHECKOUT, packaged_tokenizer, write_tiny
from helpers.dpo_runs import PAIRS, Done, three_steps, train
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from longwriter.config.schema import Settings
from longwriter.core.errors import DataError, SettingsError, TrainingError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import Message
from longwriter.core.workspace import Workspace
from longwriter.llm.settings import ServerKind
from longwriter.models import training_run
from longwriter.preference import dpo, tokens


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "sft", packaged_tokenizer())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where MLflow's database lies: making one takes seconds, so the tests share it."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture(scope="module", autouse=True)
def _own_environment() -> Iterator[None]:
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "DVC_ROOT", "DVC_STAGE"):
            patch.delenv(name, raising=False)
        patch.setattr(
            training_run, "bf16_here", lambda: False
        )  # margins are compared with float32's
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def settings() -> Settings:
    return three_steps()


@pytest.fixture(scope="module")
def whole(start: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """What training gives that nothing stops."""
    path = tmp_path_factory.mktemp("whole") / "dpo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LONGWRITER_CACHE", str(path.parent / "cache"))
        return train(start, path, three_steps(), root)


def test_starts_at_ln_2_and_learns_the_preference(whole: Done) -> None:
    trained, metrics = whole.trained, whole.metrics
    # The policy is its own reference at first: every margin is 0, and -log sigmoid(0) = ln 2.
    assert trained.curve[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert trained.curve[0]["rewards/margins"] == 0
    assert [entry["step"] for entry in trained.curve] == [1, 2, 3]
    assert trained.curve[-1]["loss"] < math.log(2) - 0.01
    assert metrics["final_reward_margin"] > 0.01
    assert metrics["final_reward_accuracy"] == 1
    assert (metrics["pairs"], metrics["steps"]) == (2, 3)
    validation = metrics["validation"]
    assert (validation["pairs"], validation["instructions"]) == (1, 1)
    assert validation["ids"] == ["river"]
    assert validation["margin"] == validation["margins"][0] > 0.01
    assert validation["accuracy"] == 1


def test_saves_one_plain_model_with_a_card(start: Path, whole: Done) -> None:
    path = whole.path
    assert not [file.name for file in path.rglob("*") if "adapter" in file.name]
    before, after = (load_file(folder / "model.safetensors") for folder in (start, path))
    assert {name: t.shape for name, t in after.items()} == {n: t.shape for n, t in before.items()}
    adapted = {name for name in before if not torch.equal(before[name], after[name])}
    assert adapted == {name for name in before if "_proj" in name}
    model = AutoModelForCausalLM.from_pretrained(path)
    tokenizer: Any = AutoTokenizer.from_pretrained(path)
    assert type(model).__name__ == "LlamaForCausalLM"
    assert tokenizer.chat_template == AutoTokenizer.from_pretrained(start).chat_template
    assert whole.trained.checkpoints.parent == path.parent / "cache/checkpoints"
    # The saved model gives the pair the reward that was measured before it was merged.
    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    found = margin(base, model, tokenizer)
    assert found == pytest.approx(whole.metrics["validation"]["margins"][0], abs=1e-3)
    told = (path / "README.md").read_text()
    # One instruction has no interval.
    assert f"from 0 to {whole.metrics['validation']['margin']:.3f}.\n" in told
    assert "| loss | 1 · sigmoid |" in told


def margin(base: Any, aligned: Any, tokenizer: Any) -> float:
    """The first pair's reward margin, by plain forward passes and the default beta of 0.1."""
    chosen, rejected = (
        answer_log_prob(aligned, tokenizer, answer) - answer_log_prob(base, tokenizer, answer)
        for answer in (PAIRS[0].chosen, PAIRS[0].rejected)
    )
    return 0.1 * (chosen - rejected)


def answer_log_prob(model: Any, tokenizer: Any, answer: list[Message]) -> float:
    """The answer's log-probability after the first pair's prompt."""
    chat = {"tokenize": True, "return_dict": False}
    prompt = [message.model_dump() for message in PAIRS[0].prompt]
    ids = tokenizer.apply_chat_template(prompt + [m.model_dump() for m in answer], **chat)
    asked = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, **chat)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].float()
    log_probs = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return float(log_probs[len(asked) - 1 :].sum())


def test_what_stands_in_mlflow(whole: Done) -> None:
    wanted = {
        f"{name}/{side}"
        for name in ("rewards", "logps", "logps_per_token", "lengths")
        for side in ("chosen", "rejected")
    }
    assert wanted | {"rewards/margins", "rewards/accuracies", "loss"} <= whole.logged.keys()


KILLED_IN_THE_SECOND_CHECKPOINT = """
import os, signal, sys
from pathlib import Path

sys.path[:0] = sys.argv[4:]
from helpers.dpo_runs import three_steps, train
from longwriter.models import training_run
from transformers import TrainerState

write = TrainerState.save_to_json

def write_or_die(state, file):
    if state.global_step == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    write(state, file)

TrainerState.save_to_json = write_or_die
training_run.bf16_here = lambda: False
train(*map(Path, sys.argv[1:3]), three_steps(), Path(sys.argv[3]))
"""


@pytest.mark.slow
def test_killed_training_goes_on_from_its_last_whole_checkpoint(
    start: Path, whole: Done, root: Path, settings: Settings, tmp_path: Path
) -> None:
    src = Path(dpo.__file__).parent.parent.parent
    arguments = [start, tmp_path / "killed", root, src, Path(__file__).parents[1]]
    child = subprocess.run(
        [sys.executable, "-c", KILLED_IN_THE_SECOND_CHECKPOINT, *map(str, arguments)], timeout=180
    )
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed").exists()

    done = train(start, tmp_path / "killed", settings, root)
    assert done.trained.share == pytest.approx(2 / 3)
    assert done.metrics["validation"] == whole.metrics["validation"]
    weights = [(path / "model.safetensors").read_bytes() for path in (done.path, whole.path)]
    assert weights[0] == weights[1]


def test_all_weights_are_trained_without_lora(
    start: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    settings.dpo = replace(settings.dpo, lora=None)
    done = train(start, tmp_path / "dpo", settings, root)
    assert done.metrics["validation"]["margin"] > 0.01
    before, after = (load_file(folder / "model.safetensors") for folder in (start, done.path))
    assert after.keys() == before.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before)


def test_the_adapter_alone_reloads(
    start: Path, root: Path, settings: Settings, tmp_path: Path
) -> None:
    server = replace(settings.student.server, kind=ServerKind.endpoint)
    settings.student = replace(settings.student, server=server)
    settings.dpo = replace(settings.dpo, merge=False)
    done = train(start, tmp_path / "dpo", settings, root)
    names = {file.name for file in done.path.rglob("*") if file.is_file()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json"} <= names
    assert not any("ref" in name for name in names)
    assert "model.safetensors" not in names
    base, other = (
        AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32) for _ in range(2)
    )
    adapted = PeftModel.from_pretrained(other, done.path)
    found = margin(base, adapted, AutoTokenizer.from_pretrained(done.path))
    assert found == pytest.approx(done.metrics["validation"]["margins"][0], abs=1e-3)


def test_the_stage_writes_all_its_outputs_and_removes_its_checkpoints(
    start: Path, settings: Settings, tmp_path: Path, own_cache: Path
) -> None:
    stage = runpy.run_path(str(CHECKOUT / "stages/dpo.py"))["dpo"]
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sft").symlink_to(start)
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", PAIRS)
    write_jsonl(tmp_path / "data/dpo/validation.jsonl", [])
    stage(settings, Workspace(tmp_path, tmp_path))
    assert not list((own_cache / "checkpoints").iterdir())
    assert json.loads((tmp_path / "metrics/dpo.json").read_text())["steps"] == 3
    assert len(json.loads((tmp_path / "metrics/dpo_curve.json").read_text())) == 3
    assert "validation" not in json.loads((tmp_path / "metrics/dpo.json").read_text())
    card = (tmp_path / "models/dpo/README.md").read_text()
    assert "No validation pairs were set aside" in card
    assert (tmp_path / "models/dpo/model.safetensors").exists()
    assert not list(tmp_path.glob("models/.*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_weights": [1.0, 2.0]}, r"^dpo\.loss_weights: 2 weight\(s\) for the 1 loss"),
        (
            {"loss_type": [], "loss_weights": []},
            r"^dpo\.loss_weights: 0 weight\(s\) for the 0 loss",
        ),
        ({"merge": False}, r"^dpo\.merge: is false, and llama\.cpp"),
    ],
)
def test_settings_that_do_not_fit_each_other(
    start: Path, settings: Settings, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    settings.dpo = replace(settings.dpo, **changes)
    with pytest.raises(SettingsError, match=message):
        dpo.check(settings.dpo, settings.student, start, start.parent)


def test_which_pairs_are_read(settings: Settings, tmp_path: Path) -> None:
    work = Workspace(tmp_path, tmp_path)
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", PAIRS)
    with pytest.raises(DataError, match=r"validation\.jsonl: cannot be read"):
        dpo.read_pairs(settings.dpo, work)
    write_jsonl(tmp_path / "data/dpo/validation.jsonl", [])
    assert dpo.read_pairs(settings.dpo, work) == (PAIRS, [])
    write_jsonl(tmp_path / "data/dpo/validation.jsonl", PAIRS[:1])
    assert dpo.read_pairs(settings.dpo, work) == (PAIRS, PAIRS[:1])
    write_jsonl(tmp_path / "own.jsonl", PAIRS[1:])
    own = replace(settings.dpo, pairs=str(tmp_path / "own.jsonl"))
    assert dpo.read_pairs(own, work) == (PAIRS[1:], [])  # the DAG's belong to the DAG's pairs
    own = replace(own, validation=str(tmp_path / "data/dpo/validation.jsonl"))
    assert dpo.read_pairs(own, work) == (PAIRS[1:], PAIRS[:1])
    write_jsonl(tmp_path / "data/dpo/pairs.jsonl", [])
    with pytest.raises(DataError, match=r"pairs\.jsonl: has no rows"):
        dpo.read_pairs(settings.dpo, work)


def turns(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi.", "chosen": "Ho.", "rejected": "No."},
        {"prompt": turns("user", "Hi."), "chosen": turns("assistant", "Ho."), "rejected": turns("assistant", "No.")},
        {"chosen": [*turns("user", "Hi."), *turns("assistant", "Ho.")], "rejected": [*turns("user", "Hi."), *turns("assistant", "No.")]},
        {"id": 7, "prompt": turns("user", "Hi."), "chosen": turns("assistant", "Ho."), "rejected": turns("assistant", "No.")},
    ],
    ids=["texts", "messages", "an implicit prompt", "a number as id"],
)  # fmt: skip
def test_pairs_in_any_of_trls_forms(
    row: dict[str, Any], settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    own = replace(settings.dpo, pairs=str(tmp_path / "own.jsonl"))
    ([pair], validation) = dpo.read_pairs(own, Workspace(tmp_path, tmp_path))
    found = [
        [(m.role, m.content) for m in part] for part in (pair.prompt, pair.chosen, pair.rejected)
    ]
    assert found == [[("user", "Hi.")], [("assistant", "Ho.")], [("assistant", "No.")]]
    assert validation == [] and pair.id


def test_a_rejected_answer_that_was_cut_off_has_no_end_of_turn(start: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    whole = tokens.tokenize(PAIRS[1], tokenizer, 128)
    assert tokenizer.decode(whole["rejected_ids"]) == "Rain.<|im_end|>\n"
    cut = tokens.tokenize(PAIRS[1].model_copy(update={"rejected_cut": True}), tokenizer, 128)
    assert tokenizer.decode(cut["rejected_ids"]) == "Rain."
    assert tokenizer.decode(cut["chosen_ids"]).endswith("stops.<|im_end|>\n")


def test_a_template_that_ends_no_turn_is_an_error(start: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_end|>", "")
    with pytest.raises(TrainingError, match=r"^pair river: .*end its answer with <\|im_end\|>"):
        tokens.tokenize(PAIRS[0], tokenizer, 128)


def test_a_bad_pair_is_named_by_processes_of_their_own_too(
    start: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "PAIRS_A_PROCESS", 1)
    monkeypatch.setattr(tokens, "cores", lambda: 2)
    with pytest.raises(TrainingError, match=r"^pair river: \d+ tokens, and dpo\.max_length is 30;"):
        tokens.make_tokens(PAIRS, [], start, 30, settings.student, tmp_path)
    made = tokens.make_tokens(PAIRS, [], start, 128, settings.student, tmp_path)
    found = tokens.open_tokens(made).train
    tokenizer: Any = AutoTokenizer.from_pretrained(start)
    assert found[:] == {
        key: [tokens.tokenize(pair, tokenizer, 128)[key] for pair in PAIRS]
        for key in found.features
    }


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
    found = tokens.tokenize(PAIRS[0], tokenizer, rejected)
    asked = len(found["prompt_ids"])
    assert asked + len(found["chosen_ids"]) == chosen
    assert asked + len(found["rejected_ids"]) == rejected
    for max_length in (chosen, rejected - 1):
        with pytest.raises(
            TrainingError, match=rf"^pair river: {rejected} tokens, .* is {max_length};"
        ):
            tokens.tokenize(PAIRS[0], tokenizer, max_length)
