"""`import longwriter`: its five functions, as a notebook calls them."""

import ast
import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import ChatServer
from helpers.providers import answered

import longwriter
from longwriter.core.errors import DataError, LongwriterError
from longwriter.text.demands import Demand

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs/notebooks").glob("*.ipynb"))
PLAN = '{"plan": [{"main_point": "Leaves.", "word_count": 400}, {"main_point": "Water.", "word_count": 400}]}'
PARAGRAPHS = {
    f"{name.title()}.": " ".join(
        f"{name}{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(number)
    )
    for name, number in (("leaves", 400), ("water", 380))
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def teacher(request: dict[str, Any]) -> str:
    if "response_format" in request:
        return PLAN
    last = request["messages"][-1]["content"].rsplit("\n\n", 1)[-1]
    return next(text for point, text in PARAGRAPHS.items() if point in last)


def test_write(chat_server: Any) -> None:
    server: ChatServer = chat_server(teacher)

    def write() -> Any:
        return longwriter.write(
            "Write a 800-word text about tea.", base_url=server.base_url, model="m"
        )

    text = write()
    assert text.text == "\n\n".join(PARAGRAPHS.values())
    # S_l of 780 words for 800: 100 · (1 − (800/780 − 1) / 2)
    assert (text.words, text.wanted, round(text.length_score, 2)) == (780, 800, 98.72)
    assert [step.main_point for step in text.plan] == ["Leaves.", "Water."]
    calls = len(server.asked)
    assert text.usage.calls == calls == 3

    async def in_a_notebook() -> Any:  # where an event loop runs already
        return write()

    assert asyncio.run(in_a_notebook()).text == text.text
    assert len(server.asked) == calls  # from the cache


def test_generate(chat_server: Any, tmp_path: Path) -> None:
    (tmp_path / "models/sft").mkdir(parents=True)
    (tmp_path / "models/sft/model.safetensors").write_bytes(b"weights")
    server: ChatServer = chat_server(lambda request: answered(request, "Tea is hot."))
    at = ["student.server.kind=endpoint", f"student.server.base_url={server.base_url}"]
    pieces: list[str] = []
    text = longwriter.generate(
        "Write about tea.", "sft", words=40, settings=at, on_text=pieces.append
    )
    assert (text.text, text.words, text.wanted) == ("Tea is hot.", 3, 40)
    assert "".join(pieces) == "Tea is hot."
    assert server.asked[0]["messages"][0]["content"] == "Write about tea.\n\nWrite about 40 words."
    with pytest.raises(LongwriterError, match="`dvc repro dpo` makes it"):
        longwriter.generate("Write about tea.", "dpo", settings=at)


def test_score_is_what_the_command_prints(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{n}", "type": "story", "length": 100, "response": "word " * (60 + 20 * n)}
        for n in range(4)
    ]
    other = [row | {"response": "word " * 100} for row in rows]
    found = longwriter.score({"mine": rows, "other": other})
    for name, part in (("mine", rows), ("other", other)):
        lines = [json.dumps(row) for row in part]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    command = [sys.executable, "-m", "longwriter.cli.main", "score", "mine.jsonl", "other.jsonl"]
    said = subprocess.run([*command, "--json"], capture_output=True, check=True, env=os.environ)
    printed = json.loads(said.stdout)
    assert printed["files"]["mine"]["S_l"] == round(found["files"]["mine"]["S_l"], 4)
    assert found["files"]["other"]["S_l"] == 100
    assert printed["comparisons"].keys() == found["comparisons"].keys() == {"other - mine"}
    with pytest.raises(DataError, match=r"mine\[0\]"):
        longwriter.score({"mine": [{"prompt": "p"}]})


def test_lengths_and_words() -> None:
    assert longwriter.length_asked("Write 300 to 400 words on sleep.") == Demand(
        None, 300, 400, "words", ["300 to 400 words"]
    )
    assert longwriter.count_words("Tea 茶, 3 cups") == 3


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, longwriter; print([m for m in ('hydra', 'openai', 'torch') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.slow
@pytest.mark.xdist_group("embedded")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its cells one after the other, in a running event loop as Jupyter has one."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell.get("outputs") for cell in cells)

    async def run() -> None:
        names: dict[str, Any] = {}
        for source in sources:
            code = compile(source, notebook.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            exec(code, names)

    asyncio.run(run())
    said = capsys.readouterr().out
    assert said.startswith("80 120 words ['between 80 and 120 words']\n")
    assert " words of " in said
    assert "seed 1 " in said
