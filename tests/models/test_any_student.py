"""Students of other families, by nothing but student.checkpoint, through the stages that see the student."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.checkouts import copy_checkout, set_value, stage_environment
from helpers.families import write_speaker

STAGES = ["params", "base", "sft", "pairs", "dpo", "predict@dpo", "eval@dpo"]
THINGS = [
    "a lighthouse",
    "a mill",
    "a ferry",
    "an orchard",
    "a clock",
    "a harbour",
    "a bakery",
    "a loom",
]

pytestmark = pytest.mark.slow


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with training rows, and instructions and a benchmark that ask for 20 words."""
    root = tmp_path / "checkout"
    copy_checkout(root)
    asked = [
        {
            "id": f"{n}",
            "prompt": f"Write a 20-word text about {thing}.",
            "length": 20,
            "type": "Other",
        }
        for n, thing in enumerate(THINGS)
    ]
    write_rows(root / "data/instructions_dpo.jsonl", asked[:5])
    write_rows(root / "data/benchmark.jsonl", asked[5:])
    chats = [
        {
            "id": name,
            "messages": [
                {"role": "user", "content": f"Say {name}."},
                {"role": "assistant", "content": name},
            ],
        }
        for name in ("tea", "milk", "honey")
    ]
    write_rows(root / "data/sft/train.jsonl", chats[:2])
    write_rows(root / "data/sft/validation.jsonl", chats[2:])
    set_value(root, "bench/own", "judged", 1)
    return root


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("qwen3", "llama_cpp"),
        ("gemma3_text", "llama_cpp"),
        ("olmo3", "llama_cpp"),
        ("mistral", "llama_cpp"),
        ("phi3", "transformers"),
        ("glm", "transformers"),
    ],
)
def test_a_student_goes_through_the_stages(
    name: str, server: str, root: Path, tmp_path: Path
) -> None:
    student = write_speaker(name, tmp_path / "student")
    set_value(root, "student/smollm2", "checkpoint", student)
    environment = stage_environment(root, tmp_path)
    said = {}
    for stage in STAGES:
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", stage]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{stage}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        said[stage] = done.stdout
    assert f"its checkpoints will be served by {server}: " in said["base"]
    config = json.loads((root / "models/dpo/config.json").read_bytes())
    assert config["model_type"] == name.split(",")[0]
    answers = [json.loads(row) for row in (root / "data/predictions/dpo.jsonl").open()]
    assert len(answers) == 3
    scored = json.loads((root / "metrics/eval/dpo.json").read_bytes())
    assert scored["n"] == 3
    assert scored["cut_off"] == 0
