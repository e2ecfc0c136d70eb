"""What does not train loads neither torch nor transformers: they take seconds and gigabytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent
HEAVY = ("torch", "transformers", "trl", "peft")


def loaded_by(code: str, *arguments: str, of: tuple[str, ...] = HEAVY) -> list[str]:
    """Those modules of `of` that a fresh interpreter has loaded after `code`."""
    report = f"print([name for name in {of} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{report}", *arguments],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    heavy: list[str] = eval(done.stdout.splitlines()[-1])
    return heavy


def test_package_is_light() -> None:
    assert loaded_by("import longwriter") == []


@pytest.mark.parametrize(
    "stage",
    [
        "params",
        "agentwrite",
        "short_answers",
        "filter",
        "pairs",
        "predict",
        "eval",
        "judge_audit",
        "report",
    ],
)
def test_stage_is_light(stage: str) -> None:
    code = "import runpy\nrunpy.run_path(sys.argv[1], run_name='imported')"
    assert loaded_by(code, str(CHECKOUT / f"stages/{stage}.py")) == []


def test_the_command_is_lighter() -> None:
    code = "import longwriter.cli.main, longwriter.cli.write"
    assert loaded_by(code, of=(*HEAVY, "mlflow", "hydra", "numpy", "scipy")) == []


def test_scoring_files_is_light_too() -> None:
    code = "import longwriter.cli.main, longwriter.cli.score"
    assert loaded_by(code, of=(*HEAVY, "mlflow", "hydra", "scipy", "matplotlib")) == []


def test_what_is_loaded_is_seen() -> None:
    assert loaded_by("import types\nsys.modules['torch'] = types.ModuleType('torch')") == ["torch"]
