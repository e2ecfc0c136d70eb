"""The commands of docs/guide: programs, options, files and settings are there.

They are not run: that takes minutes, and what they do has tests of its own.
"""

import re
import shlex
from pathlib import Path

import hydra
import pytest
import yaml
from dvc.cli import parse_args
from gto.cli import app as gto_cli
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from mlflow.cli import cli as mlflow_cli
from omegaconf import OmegaConf

from longwriter.cli.main import build_parser, without_overrides
from longwriter.config.load import validate, validate_as
from longwriter.sweep.settings import SweepConfig
from longwriter.text.demands import demand_in

CHECKOUT = Path(__file__).parent.parent
ARTIFACTS = yaml.safe_load((CHECKOUT / "dvc.yaml").read_text())["artifacts"]
SHELL = ("cat", "cd", "export", "for", "git", "mv", "name=", "rsync", "sed", "{")
"""What a shell knows; and rows of data."""


def commands(page: Path) -> list[str]:
    """The lines of a page's blocks, without a shell's own."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:bash|text)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    lines = [line.removesuffix(" &") for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith(("ROWS", *SHELL))]


COMMANDS = {
    f"{page.stem}: {line}": line
    for page in sorted((CHECKOUT / "docs/guide").glob("*.md"))
    for line in commands(page)
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_command_is_understood(command: str) -> None:
    line = command.replace("$PWD", str(CHECKOUT)).replace("$name", "name")
    match shlex.split(line):
        case ["dvc", *arguments]:
            parsed = parse_args(arguments)
            if arguments[:2] == ["artifacts", "get"]:
                assert parsed.name in ARTIFACTS
            if overrides := getattr(parsed, "params", None):
                compose("config", overrides)
        case ["mlflow", name, *arguments]:
            mlflow_cli.commands[name].make_context(name, arguments)
        case ["python", "-m", "longwriter.sweep", *arguments]:
            for job in jobs([word for word in arguments if word != "-m"]):
                compose("sweep", job)
        case ["longwriter", "explain", "--prompt", prompt]:
            assert demand_in(prompt).target == 5000
        case ["longwriter", "check", "teacher", *overrides]:
            compose("config", overrides)
        case ["longwriter", *words]:
            rest, _ = without_overrides(words[: words.index(">")] if ">" in words else words)
            build_parser().parse_args(rest)
        case ["gto", name, *arguments]:
            gto_cli.commands[name].make_context(name, arguments)
        case ["python", "-m", "longwriter.tracking.server"]:
            pass
        case ["sky", "launch", "--cluster", name, file, *secrets]:
            task = yaml.safe_load((CHECKOUT / file).read_text())
            assert name == task["name"]
            assert set(secrets) == {"--secret", *task["secrets"]}
        case ["sky", "down", name]:
            assert name == "longwriter"
        case ["python", stage, *overrides]:
            assert (CHECKOUT / stage).is_file()
            compose("config", overrides)
        case other:
            pytest.fail(f"no way to check {other}")


def jobs(overrides: list[str]) -> list[list[str]]:
    """The first and the last job of a sweep; of a search, at the ends of what it searches."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    return [[f"{o.get_key_element()}={ends(o)[which]}" for o in parsed] for which in (0, -1)]


def ends(override: Override) -> list[str]:
    value = override.value()
    if isinstance(value, IntervalSweep):
        return [str(value.start), str(value.end)]
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def compose(name: str, overrides: list[str]) -> None:
    with hydra.initialize_config_dir(str(CHECKOUT / "conf"), version_base=None):
        # With Hydra's own settings, so that launchers are checked too.
        config = hydra.compose(name, overrides=overrides, return_hydra_config=True)
    if name == "sweep":
        config.sweep.id = config.sweep.id or "x"
        validate_as(SweepConfig, OmegaConf.masked_copy(config, "sweep"), None)
    groups = [str(key) for key in config if key not in ("sweep", "hydra")]
    validate(OmegaConf.masked_copy(config, groups))
