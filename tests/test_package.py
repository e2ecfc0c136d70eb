"""The wheel, used outside the checkout: conf/ and the templates are in it, and its base install needs
neither torch nor DVC nor MLflow."""

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import Answer, ChatServer

CHECKOUT = Path(__file__).parents[1]
EXTRAS = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "dvc", "mlflow")
RUN = (
    f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))\n"  # None: importing one raises
    "from longwriter.cli.main import main; main()"
)


def test_a_clone_on_windows_has_the_same_bytes(tmp_path: Path) -> None:
    """With core.autocrlf git would write CRLF, and DVC would take every file for modified."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.mkdir()
    (source / ".gitattributes").write_bytes((CHECKOUT / ".gitattributes").read_bytes())
    texts = {
        "a.py": b"a\nb\n",
        "b.jsonl": b"{}\n{}\n",
        "c.yaml": b"a: 1\n",
        "d.png": b"\x89PNG\r\n\n",
    }
    for name, content in texts.items():
        (source / name).write_bytes(content)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
        ["-c", "core.autocrlf=true", "clone", "-q", str(source), str(copy)],
    ):
        subprocess.run(["git", *command], cwd=source, check=True)
    assert {name: (copy / name).read_bytes() for name in texts} == texts


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=CHECKOUT, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`longwriter …` of the unpacked wheel, in `folder`, without the extras' packages."""
    environment = {k: v for k, v in os.environ.items() if k != "LONGWRITER_CACHE"}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_wheel_holds_all_of_conf_and_the_templates(installed: Path) -> None:
    conf = {p.relative_to(CHECKOUT) for p in (CHECKOUT / "conf").rglob("*") if p.is_file()}
    assert {
        p.relative_to(installed / "longwriter")
        for p in (installed / "longwriter/conf").rglob("*")
        if p.is_file()
    } == conf
    package = CHECKOUT / "src/longwriter"
    ours = {
        p.relative_to(package)
        for p in package.rglob("*")
        if p.is_file() and p.suffix in (".py", ".html", ".md", ".jinja")
    }
    assert ours <= {
        p.relative_to(installed / "longwriter")
        for p in installed.rglob("*")
        if p.is_relative_to(installed / "longwriter")
    }


def test_it_shows_its_help(installed: Path, tmp_path: Path) -> None:
    done = run(installed, tmp_path, "--help")
    assert done.returncode == 0
    assert "write" in done.stdout and "score" in done.stdout


def test_it_scores(installed: Path, tmp_path: Path) -> None:
    row = {"prompt": "Write 4 words.", "type": "t", "length": 4, "response": "One two three four."}
    (tmp_path / "pred.jsonl").write_text(json.dumps(row) + "\n")
    done = run(installed, tmp_path, "score", "pred.jsonl", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"]["pred"]["S_l"] == 100.0


def test_it_writes(
    installed: Path,
    tmp_path: Path,
    chat_server: Callable[[Callable[[dict[str, Any]], Answer]], ChatServer],
) -> None:
    words = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(250))

    def answer(request: dict[str, Any]) -> Answer:
        if "response_format" in request:
            return json.dumps({"plan": [{"main_point": "All of it at once.", "word_count": 250}]})
        return words

    server = chat_server(answer)
    to = ["--base-url", server.base_url, "--model", "m"]
    done = run(installed, tmp_path, "write", "Write 250 words about bees.", *to)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == words
    assert (tmp_path / "write-250-words-about-bees.md").read_text().strip() == words
    assert (tmp_path / "cache/longwriter/calls.sqlite").is_file()  # the user's, not the package's
    assert not (installed / "longwriter/.cache").exists() and not (installed / ".cache").exists()
