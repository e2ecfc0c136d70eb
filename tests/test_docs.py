"""Commands in docs/ are not only words: their overrides compose and validate."""

import re
import shlex
from pathlib import Path

import hydra
import pytest

from longwriter.config.load import loosened, validate

CHECKOUT = Path(__file__).parent.parent
COMMANDS = [
    command
    for page in ("servers", "training", "dpo", "evaluation")
    for command in re.findall(
        r"^python (stages/.*)$",
        (CHECKOUT / f"docs/{page}.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
]


def test_servers_has_commands_of_every_kind() -> None:
    words = {word for command in COMMANDS for word in command.split()}
    assert {"teacher=openai", "teacher=vllm", "teacher=endpoint", "judge=vllm"} <= words


@pytest.mark.parametrize("command", COMMANDS)
def test_command_composes_and_validates(command: str) -> None:
    stage, *overrides = shlex.split(command.replace("$PWD", str(CHECKOUT)))
    assert (CHECKOUT / stage).is_file()
    with hydra.initialize_config_dir(str(CHECKOUT / "conf"), version_base=None):
        validate(hydra.compose("config", overrides=loosened(overrides)))
