"""From an answer and from a training row back to draft, plan, instruction, checkpoint and commit."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from helpers.checkpoints import default_settings
from omegaconf import OmegaConf

from longwriter.cli.explain import explain
from longwriter.core.errors import DataError
from longwriter.core.files import dvc_md5
from longwriter.core.workspace import Workspace
from longwriter.tracking.lineage import Link, walk_back
from longwriter.tracking.runs import stage_run

INSTRUCTIONS = "data/instructions.jsonl"
INPUT = f"sha256:{'1' * 64}"
STAGES: dict[str, tuple[list[str], list[str]]] = {
    "agentwrite": ([INSTRUCTIONS, "src/longwriter/core"], ["data/agentwrite/drafts.jsonl"]),
    "filter": (
        ["data/agentwrite/drafts.jsonl", "data/short_answers/rows.jsonl"],
        ["data/sft/train.jsonl", "metrics/filter.json"],
    ),
    "base": ([], ["models/base"]),
    "sft": (["models/base", "data/sft/train.jsonl"], ["models/sft"]),
    "pairs": (["models/sft"], ["data/dpo/pairs.jsonl"]),
    "dpo": (["models/sft", "data/dpo/pairs.jsonl"], ["models/dpo"]),
    "predict@base": (["models/base"], ["data/predictions/base.jsonl"]),
    "predict@sft": (["models/sft"], ["data/predictions/sft.jsonl"]),
}
"""Stage → what it reads and writes, as dvc.lock has it."""
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


class Checkout(NamedTuple):
    root: Path
    made: dict[str, str]
    """Stage → the MLflow run that wrote its outputs."""


def write(path: Path, *rows: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """One draft, four training rows and answers. MLflow knows the stages filter and sft, and a later
    run of each by hand."""
    root = tmp_path_factory.mktemp("checkout")
    settings = default_settings()
    (root / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(settings)))
    write(root / INSTRUCTIONS, {"id": "bees", "prompt": DRAFT["prompt"], "length": 6})
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
    write(root / "models/sft/weights.safetensors", {"w": 1})
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "one"]):
        who = ["-c", "user.name=n", "-c", "user.email=n@e"]
        subprocess.run(["git", "-C", str(root), *who, *command], check=True)
    (root / "src").mkdir()
    (root / "src/new.py").touch()

    def run(stage: str, path: str, out: Path) -> str:
        work = Workspace(root, out)
        with stage_run(stage, {}, work, settings.runtime) as log:
            log.wrote(work, work.output(path))
        return log.id

    outputs = {"filter": "data/sft/train.jsonl", "sft": "models/sft"}
    made = {stage: run(stage, path, root) for stage, path in outputs.items()}
    by_hand = root / "outputs/by_hand"  # the same stages later, with other bytes
    write(by_hand / "data/sft/train.jsonl", rows[0])
    write(by_hand / "models/sft/weights.safetensors", {"w": 2})
    for stage, path in outputs.items():
        run(stage, path, by_hand)
    lock = {
        stage: {
            "deps": [{"path": path, "md5": md5(root, path)} for path in deps],
            "outs": [{"path": path, "md5": md5(root, path)} for path in outs],
        }
        for stage, (deps, outs) in STAGES.items()
    }
    lock["filter"]["params"] = {  # type: ignore[assignment]
        "inputs.yaml": {"contamination": {"benchmarks": {"data/b.jsonl": "sha256:3"}}}
    }
    lock["agentwrite"]["params"] = {  # type: ignore[assignment]
        "params.yaml": {"agentwrite": {"limit": 7}},
        "inputs.yaml": {
            "agentwrite": {"instructions": INPUT, "prompts": {"en": "sha256:2", "zh": None}},
            "predict.benchmark": None,
        },
    }
    (root / "dvc.lock").write_text(json.dumps({"stages": lock}))
    return Checkout(root, made)


def md5(root: Path, path: str) -> str:
    """Of outputs that are not there a number of its own."""
    there = (root / path).exists()
    return dvc_md5(root / path) if there else hashlib.sha256(path.encode()).hexdigest()[:32]


def commit(root: Path) -> str:
    command = ["git", "-C", str(root), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def lineage(shown: str) -> list[str]:
    """The paths at the end of what `explain` shows, in their order."""
    _, lines = shown.split("came from:\n")
    return [line.partition(": ")[0] for line in lines.splitlines()]


FROM_SFT = [
    "models/sft",
    "models/base",
    "data/sft/train.jsonl",
    "contamination.benchmarks data/b.jsonl",
    "data/agentwrite/drafts.jsonl",
    "agentwrite.instructions",
    "agentwrite.prompts.en",
]
FROM_SFT_BEFORE = [
    "data/predictions/sft.jsonl",
    "models/sft",
    "models/base",
    "data/sft/train.jsonl (overwritten since)",
]


def test_an_answer_leads_back_to_the_instructions(checkout: Checkout) -> None:
    shown = explain(checkout.root, "data/predictions/sft.jsonl:2")
    assert "answer of sft, line 2: Write 9 words about ants.\n  3 of 9 words" in shown
    assert "trained on 4 rows" in shown
    assert "  ants: 9 words, drafts.jsonl\n  bees: 6 words, drafts.jsonl\n  tea: 12" in shown
    assert lineage(shown) == ["data/predictions/sft.jsonl", *FROM_SFT]
    assert f"agentwrite.instructions: {INPUT}, an input" in shown


def test_the_run_is_named_that_wrote_these_very_bytes(checkout: Checkout) -> None:
    root, made = checkout
    lines = explain(root, "data/predictions/sft.jsonl:1").splitlines()
    code = f"{commit(root)} + uncommitted changes"
    for stage, path in (("sft", "models/sft"), ("filter", "data/sft/train.jsonl")):
        assert (
            f"{path}: {dvc_md5(root / path)}, stage {stage}, MLflow run {made[stage]}, code {code}"
        ) in lines
    [unknown] = [line for line in lines if line.startswith("data/agentwrite/drafts.jsonl: ")]
    assert unknown.endswith(", stage agentwrite")


@pytest.fixture
def rewritten(checkout: Checkout) -> Iterator[Checkout]:
    """After `dvc repro filter` with another setting: dvc.lock has other training rows, and answers and
    checkpoints still of the old ones."""
    lock = checkout.root / "dvc.lock"
    before = lock.read_text()
    changed = json.loads(before)
    changed["stages"]["filter"]["outs"][0]["md5"] = "f" * 32
    changed["stages"]["filter"]["deps"][0]["md5"] = "e" * 32
    lock.write_text(json.dumps(changed))
    yield checkout
    lock.write_text(before)


def test_an_answer_leads_to_what_it_was_made_of_not_to_what_replaced_it(
    rewritten: Checkout,
) -> None:
    root, made = rewritten
    shown = explain(root, "data/predictions/sft.jsonl:1")
    assert lineage(shown) == FROM_SFT_BEFORE
    assert "trained on rows that are no longer in data/sft/train.jsonl" in shown
    assert "trained on 4 rows" not in shown
    [rows] = [line for line in shown.splitlines() if line.startswith("data/sft/train.jsonl (")]
    before = dvc_md5(root / "data/sft/train.jsonl")
    assert f": {before}, stage filter, MLflow run {made['filter']}, code " in rows


def test_both_of_two_states_of_a_file_are_links(rewritten: Checkout) -> None:
    found = walk_back(rewritten.root, lambda path, md5: None, "models/sft", "data/sft/train.jsonl")
    rows = [link for link in found if link.path == "data/sft/train.jsonl"]
    assert [(link.digest, link.current) for link in rows] == [
        ("f" * 32, True),
        (md5(rewritten.root, "data/sft/train.jsonl"), False),
    ]
    [drafts] = [link for link in found if link.path == "data/agentwrite/drafts.jsonl"]
    assert (drafts.digest, drafts.current) == ("e" * 32, False)


def test_an_answer_of_the_untrained_model_comes_from_no_data(checkout: Checkout) -> None:
    shown = explain(checkout.root, "base.jsonl:1")
    assert lineage(shown) == ["data/predictions/base.jsonl", "models/base"]
    assert "trained on" not in shown


def test_a_training_row_leads_to_plan_instruction_and_checkpoint(checkout: Checkout) -> None:
    shown = explain(checkout.root, "bees")
    assert "instruction (no source): Write 6 words about bees." in shown
    assert "  step 1: They fly out. (6 of 6 words)" in shown
    assert "kept: trained on (train.jsonl), source drafts.jsonl" in shown
    assert lineage(shown) == FROM_SFT


def test_a_line_that_is_not_there_is_named(checkout: Checkout) -> None:
    with pytest.raises(DataError, match=r"sft\.jsonl:3: it has 2 lines"):
        explain(checkout.root, "data/predictions/sft.jsonl:3")


def test_each_link_comes_once_and_the_nearest_first(checkout: Checkout) -> None:
    root = checkout.root
    found = walk_back(root, lambda path, md5: None, "models/dpo", "models/sft", "models/rl")
    assert [link.path for link in found] == [
        "models/dpo",
        "models/sft",
        "data/dpo/pairs.jsonl",
        "models/base",
        "data/sft/train.jsonl",
        "contamination.benchmarks data/b.jsonl",
        "data/agentwrite/drafts.jsonl",
        "agentwrite.instructions",
        "agentwrite.prompts.en",
    ]
    assert found[2] == Link(
        "data/dpo/pairs.jsonl", md5(root, "data/dpo/pairs.jsonl"), "pairs", None
    )
    assert found[-1] == Link("agentwrite.prompts.en", "sha256:2", "", None)


def test_without_a_lock_there_is_no_lineage(tmp_path: Path) -> None:
    assert walk_back(tmp_path, lambda path, md5: None, "models/sft") == []


PIPELINE = """
stages:
  make:
    cmd: python make.py
    outs: [file.jsonl, folder, empty]
"""
MAKE = """
from pathlib import Path

def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())

write(Path("file.jsonl"), '{"a": "字"}\\r\\n')
for name in ("b.txt", "a/b.txt", "a/zwölf 字.txt", "a.txt", "a-b/c.txt", "ä/ü.txt", "tief/er/x"):
    write(Path("folder") / name, name)
Path("empty").mkdir()
"""


def test_dvc_s_md5(tmp_path: Path) -> None:
    """dvc.lock of a real repository: a file with Windows' line ends, and folders."""
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    (tmp_path / "make.py").write_text(MAKE)
    for arguments in (["init", "--no-scm", "-q"], ["repro", "-q"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=tmp_path, check=True)
    outs = yaml.safe_load((tmp_path / "dvc.lock").read_text())["stages"]["make"]["outs"]
    found = {out["path"]: out["md5"] for out in outs}
    assert found == {name: dvc_md5(tmp_path / name) for name in ("file.jsonl", "folder", "empty")}
    assert [name for name, value in found.items() if value.endswith(".dir")] == ["empty", "folder"]
