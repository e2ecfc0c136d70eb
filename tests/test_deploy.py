"""deploy/skypilot.yaml: what it runs composes here, and SkyPilot reads it where it is installed."""

import re
from pathlib import Path

import hydra
import pytest
import yaml

from longwriter.config.load import validate

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "deploy/skypilot.yaml"


def test_its_settings_compose_and_its_commands_are_those_of_the_project() -> None:
    task = yaml.safe_load(FILE.read_text())
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base=None):
        settings = validate(hydra.compose("config", task["envs"]["SETTINGS"].split()))
    assert (settings.runtime.accelerate or {})["num_processes"] == 1
    assert "make .venv/.installed" in task["setup"]
    assert re.findall(r"^dvc (\w+)", task["run"], re.MULTILINE) == ["pull", "exp", "push"]
    assert set(task["secrets"].values()) == {None}  # they come from who launches it


def test_skypilot_reads_it() -> None:
    sky = pytest.importorskip("sky")
    task = sky.Task.from_yaml(str(FILE))
    assert {str(each.accelerators) for each in task.resources} == {
        "{'L40S': 1}",
        "{'A100-80GB': 1}",
        "{'H100': 1}",
    }
