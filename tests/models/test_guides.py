"""The commands of docs/guide/writing.md, serving.md and export.md, run where `dvc repro` has made models."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs/guide"

pytestmark = pytest.mark.xdist_group("embedded")  # with what else uses the checkpoint


def commands(page: str) -> list[str]:
    text = (GUIDE / f"{page}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def checkout(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three models, all of them the starting one."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "models").mkdir()
    for name in ("base", "sft", "dpo"):
        (folder / "models" / name).symlink_to(base)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    cache = tmp_path_factory.mktemp("cache")
    return os.environ | {"PATH": path, "LONGWRITER_CACHE": str(cache)}


EXPORTS = [command for command in commands("export") if command.endswith("vllm")]
"""Quantising the student takes half a minute: test_gguf.py and test_export.py have the others, with less."""


def written(folder: Path) -> set[tuple[Path, int]]:
    """Files and when they were written: one command may write over what another one left."""
    return {(file, file.stat().st_mtime_ns) for file in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize("command", commands("writing") + EXPORTS)
def test_a_command_does_what_the_page_says(
    command: str, checkout: Path, environment: dict[str, str]
) -> None:
    before = written(checkout)
    if " write " in command:  # the untrained model writes until its context is full
        head, redirection, file = command.partition(" > ")
        command = f"{head} student.server.context=512{redirection}{file}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True
    )
    # It may not end its text, or repeat itself, which the command says.
    ended = re.search("error: (?:cut off after|write 2: BadCompletion: no usable)", done.stderr)
    assert done.returncode == (1 if ended else 0), done.stderr
    made = {file for file, _ in written(checkout) - before}
    if "vllm" in command:
        assert done.stdout.startswith("vllm serve ")
        assert made == set()
    else:
        assert len(made) >= 1
        assert all(file.stat().st_size for file in made if file.is_file())


@pytest.mark.slow
@pytest.mark.parametrize("command", commands("serving"))
def test_a_model_is_served_as_the_page_says(
    command: str, checkout: Path, environment: dict[str, str]
) -> None:
    command = re.sub("--port [0-9]+", "", command) + " --port 0"
    process = subprocess.Popen(
        command.split(), cwd=checkout, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.readline()
    assert ": the page is http://127.0.0.1:" in said, process.communicate()
    address = said.split("the page is ")[1].strip()
    body = b'{"messages": [{"role": "user", "content": "Say tea."}], "max_tokens": 3}'
    with urllib.request.urlopen(f"{address}v1/chat/completions", body, timeout=120) as answer:
        assert b'"content"' in answer.read()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.endswith("stopped\n")
