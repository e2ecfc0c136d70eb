"""From an answer and from a training row back to draft, plan, instruction, checkpoint and commit."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from training.checkpoints import default_settings

from longwriter.cli.explain import explain
from longwriter.core.errors import DataError
from longwriter.core.workspace import Workspace
from longwriter.tracking.lineage import chain
from longwriter.tracking.runs import stage_run

MADE = {
    "agentwrite": ["data/agentwrite/drafts.jsonl"],
    "filter": ["data/sft/train.jsonl"],
    "sft": ["models/sft"],
    "dpo": ["models/dpo"],
    "predict@base": ["data/predictions/base.jsonl"],
    "predict@sft": ["data/predictions/sft.jsonl"],
}
INPUT = "data/instructions.jsonl"
DRAFT = {
    "id": "bees",
    "prompt": "Write 6 words about bees.",
    "length": 6,
    "language": "en",
    "plan": [{"main_point": "They fly out.", "word_count": 6}],
    "paragraphs": ["In the morning bees fly out."],
    "response": "In the morning bees fly out.",
}
ANSWER = {
    "prompt": "Write 9 words about ants.",
    "type": "",
    "length": 9,
    "response": "Ants walk home.",
    "response_length": 3,
    "finish_reason": "stop",
}


def md5(path: str) -> str:
    return f"md5-of-{path}"


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with one draft, two training rows and an answer; MLflow knows of its stage sft."""
    root = tmp_path_factory.mktemp("checkout")
    lock = {
        name: {"outs": [{"path": p, "md5": md5(p)} for p in outs]} for name, outs in MADE.items()
    }
    lock["agentwrite"]["deps"] = [{"path": INPUT, "md5": md5(INPUT)}]
    (root / "dvc.lock").write_text(json.dumps({"stages": lock}))
    settings = default_settings()
    settings.runtime.system_metrics = False
    (root / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(settings)))
    write(root / INPUT, {"id": "bees", "prompt": DRAFT["prompt"], "length": 6})
    write(root / "data/agentwrite/drafts.jsonl", DRAFT)
    rows = [
        {
            "messages": [
                {"role": "user", "content": DRAFT["prompt"]},
                {"role": "assistant", "content": "word " * words},
            ],
            "id": name,
            "source": "drafts.jsonl",
            "response_length": words,
        }
        for name, words in (("long", 500), ("bees", 6), ("ants", 9), ("tea", 12))
    ]
    write(root / "data/sft/train.jsonl", *rows)
    write(root / "data/predictions/sft.jsonl", ANSWER, ANSWER)
    write(root / "data/predictions/base.jsonl", ANSWER)
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        who = ["-c", "user.name=n", "-c", "user.email=n@e"]
        subprocess.run(["git", "-C", str(root), *who, *command], check=True)
    (root / "src").mkdir()
    (root / "src/new.py").touch()
    with stage_run("sft", settings, Workspace(root, root), []):
        pass
    return root


def commit(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def paths(shown: str) -> list[str]:
    """The chain's paths, in their order."""
    return [
        word.rstrip(":")
        for line in shown.splitlines()
        if ": md5 " in line
        for word in line.split()
        if word.endswith(":")
    ]


def test_an_answer_leads_back_to_the_instructions(root: Path) -> None:
    shown = explain(root, "data/predictions/sft.jsonl:2")
    assert "answer of sft, line 2: Write 9 words about ants.\n  3 of 9 words" in shown
    assert "trained on 4 rows" in shown
    assert "  ants: 9 words, drafts.jsonl\n  bees: 6 words, drafts.jsonl\n  tea: 12" in shown
    assert paths(shown) == [
        "data/predictions/sft.jsonl",
        "models/sft",
        "data/sft/train.jsonl",
        "data/agentwrite/drafts.jsonl",
        INPUT,
    ]
    [trained] = [line for line in shown.splitlines() if "models/sft" in line]
    assert trained.startswith(
        "checkpoint, models/sft: md5 md5-of-models/sft, stage sft, MLflow run "
    )
    assert trained.endswith(f", code {commit(root)} + uncommitted changes")


def test_an_answer_of_the_untrained_model_comes_from_no_data(root: Path) -> None:
    shown = explain(root, "base.jsonl:1")
    assert paths(shown) == ["data/predictions/base.jsonl"]
    assert "trained on" not in shown


def test_a_training_row_leads_to_plan_instruction_and_checkpoint(root: Path) -> None:
    shown = explain(root, "bees")
    assert "instruction (no source): Write 6 words about bees." in shown
    assert "  step 1: They fly out. (6 of 6 words)" in shown
    assert "kept: trained on (train.jsonl), source drafts.jsonl" in shown
    assert paths(shown) == [
        "models/sft",
        "data/sft/train.jsonl",
        "data/agentwrite/drafts.jsonl",
        INPUT,
    ]


def test_a_line_that_is_not_there_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"sft\.jsonl:3: it has 2 lines"):
        explain(root, "data/predictions/sft.jsonl:3")


def test_without_a_lock_there_is_no_chain(tmp_path: Path) -> None:
    assert chain(tmp_path, {}) == []
