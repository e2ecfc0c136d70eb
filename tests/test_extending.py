"""docs/extending.md: its rule is applied, its options of conf/ compose."""

import re
import shutil
from pathlib import Path
from typing import Any

import hydra
import pytest
from helpers.checkpoints import default_settings
from omegaconf import DictConfig, OmegaConf

from longwriter.config.load import validate
from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError
from longwriter.dataset.rule_runner import RuleJob, RuleRunner

CHECKOUT = Path(__file__).parent.parent
BLOCKS = re.findall(
    r"^```(python|yaml)\n# (\S+)\n(.*?)^```$",
    (CHECKOUT / "docs/extending.md").read_text(encoding="utf-8"),
    re.MULTILINE | re.DOTALL,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of conf/ with what the page adds."""
    shutil.copytree(CHECKOUT / "conf", tmp_path / "conf")
    for _, name, text in BLOCKS:
        (tmp_path / name).write_text(text)
    return tmp_path


def composed(root: Path, *overrides: str) -> Settings:
    with hydra.initialize_config_dir(str(root / "conf"), version_base=None):
        config = hydra.compose("config", list(overrides))
    assert isinstance(config, DictConfig)
    groups = [str(key) for key in config if key != "hydra"]
    return validate(OmegaConf.masked_copy(config, groups))


def test_the_page_has_five_examples() -> None:
    assert [name for _, name, _ in BLOCKS] == [
        "my_rules.py",
        "conf/server/mine.yaml",
        "conf/teacher/mine.yaml",
        "conf/judge/mine.yaml",
        "conf/bench/mine.yaml",
        "conf/student/mine.yaml",
    ]


def test_a_rule(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(root)
    settings = default_settings()
    rules = ["too_short", "my_rules:too_loud", "duplicate"]
    job = RuleJob(settings.filter, settings.contamination, rules, [], "", [], None)
    words = "A quiet text of many words that says nothing loud. " * 3
    row = b'{"id": "a", "prompt": "Write.", "response": "%s"}'
    runner = RuleRunner(job)
    assert runner.run("f:1", row % words.encode()).reason is None
    loud = runner.run("f:2", row % words.replace(".", "!!").encode())
    assert loud.reason == ("my_rules:too_loud", "6 exclamation marks")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:rule", "No module named 'no_such_module'"),
        ("json:no_such_rule", "has no attribute 'no_such_rule'"),
        ("json:__name__", "is not a function"),
    ],
)
def test_a_rule_that_is_not_there_is_named(name: str, said: str) -> None:
    settings = default_settings()
    job = RuleJob(settings.filter, settings.contamination, [name], [], "", [], None)
    with pytest.raises(SettingsError, match=re.escape(f"filter.rules: {name}")) as raised:
        RuleRunner(job)
    assert said in str(raised.value)


def test_a_server_a_teacher_and_a_judge(root: Path) -> None:
    settings = composed(root, "teacher=mine", "judge=mine")
    for role in (settings.teacher, settings.judge):
        assert (role.base_url, role.model) == ("http://gpu-box:8000/v1", "my-model")
        assert role.api_key_env == "MY_KEY"
    assert (settings.judge.max_tokens, settings.judge.repeats) == (1024, 1)


def test_a_benchmark(root: Path) -> None:
    settings = composed(root, "bench=mine")
    assert (settings.bench.path, settings.bench.limit) == ("data/my_benchmark.jsonl", None)
    assert settings.contamination.benchmarks[0] == "data/my_benchmark.jsonl"


def test_a_student(root: Path) -> None:
    student: Any = composed(root, "student=mine").student
    assert (student.checkpoint, student.eos_token) == ("my-org/my-model", "<|im_end|>")
    assert student.server.max_tokens == 8192
