"""`longwriter score` as a process, on files in the paper's format."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longwriter.evaluation.judge import DIMENSIONS

CHECKOUT = Path(__file__).parents[2]
ROWS = [
    {"prompt": "Write at most 4 words.", "type": "Poem", "length": 100},
    {"prompt": "写三个字", "type": "News", "length": 600},
]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "score", *arguments],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(CHECKOUT / "src"),
            "LONGWRITER_CACHE": str(folder / "cache"),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def write(path: Path, *responses: str, **fields: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    rows = [row | fields | {"response": text} for row, text in zip(ROWS, responses, strict=True)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write(tmp_path / "a.jsonl", "word " * 50, "字" * 300)
    write(tmp_path / "b.jsonl", "word " * 100, "字" * 300, response_length=7)
    return tmp_path


def test_json_of_two_files(files: Path) -> None:
    done = run(files, "a.jsonl", "b.jsonl", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    a, b = found["files"]["a"], found["files"]["b"]
    # a: 50 of 100 and 300 of 600 words: both 100 · (1 - (2 - 1) / 2); b: 100 of 100, counted anew
    assert (a["S_l"], b["S_l"]) == (50.0, 75.0)
    assert (a["S_q"], a["unscored_reasons"]) == (None, {"NotAsked": 2})
    assert b["by_language"]["en"]["S_l"] == 100.0
    assert list(b["by_length"]) == ["[0,500)", "[500,2000)"]
    assert found["comparisons"]["b - a"]["S_l"]["mean"] == 25.0
    assert found["not_compared"] == {}


def test_texts_whose_words_do_not_count_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", "Море было спокойно. " * 9, "字" * 300)
    lines = run(tmp_path, "a.jsonl").stdout.splitlines()
    assert lines[-1].startswith(
        "a: most letters of 1 of 2 texts are in words that don't count (kana,"
    )


def test_the_table_says_the_same(files: Path) -> None:
    lines = run(files, "a.jsonl", "b.jsonl").stdout.splitlines()
    assert lines[0].startswith("| file | S_l [95 %] | within ±20 % [95 %] |")
    assert lines[3] == (
        "| b | 75.0 [0.0, 100.0] | 50% [9%, 91%] | 1.00 | 0 | 2 | 200 | 2 | 300 | −25% | – |"
    )
    # repeated 8-grams of a: (42 / 43 + 292 / 293) / 2, of b: (92 / 93 + 292 / 293) / 2
    assert lines[10:14] == [
        "| text health | repeated 8-grams | copied sentences | repeated paragraphs | "
        "texts that loop | unfinished texts | other language | distinct bigrams |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        "| a | 99% | 0% | 0% | 100% | 100% | 0% | 1% |",
        "| b | 99% | 0% | 0% | 100% | 100% | 0% | 1% |",
    ]
    assert lines[-1].startswith(
        "b - a, paired [95 %]: length score S_l +25.0 [−292.7, +342.7]; S_l of the shortest bin +50.0"
    )
    assert lines[5:8] == [
        "| S_l by required length | under 500 words | 500 to 1,999 words |",
        "|---|---:|---:|",
        "| a | 50.0 (n 1) | 50.0 (n 1) |",
    ]


def test_files_of_other_prompts_are_scored_but_not_compared(files: Path) -> None:
    row = ROWS[0] | {"prompt": "Another.", "response": "word"}
    (files / "c.jsonl").write_text(json.dumps(row) + "\n")
    found = json.loads(run(files, "a.jsonl", "c.jsonl", "--json").stdout)
    assert found["comparisons"] == {}
    assert found["not_compared"]["c - a"].startswith(
        "the two do not answer the same prompts: 2 only"
    )


def test_files_of_one_name_are_told_apart_by_path(files: Path) -> None:
    write(files / "other/a.jsonl", "word", "字")
    found = json.loads(run(files, "a.jsonl", "other/a.jsonl", "--json").stdout)
    assert list(found["files"]) == ["a.jsonl", "other/a.jsonl"]


def test_a_judge_grades_every_text_of_every_file(files: Path, chat_server: Any) -> None:
    server = chat_server(lambda request: json.dumps(dict.fromkeys(DIMENSIONS, 4)))
    (files / "judge.txt").write_text("Grade $RESPONSE$ for $INST$.")
    done = run(
        files, "a.jsonl", "b.jsonl", "--json", "--judge", "m", "--base-url", server.base_url,
        "--judge-prompt", "judge.txt", "--repeats", "2",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert [found["files"][name]["S_q"] for name in "ab"] == [75.0, 75.0]
    assert found["files"]["a"]["S_bar"] == 62.5
    assert found["comparisons"]["b - a"]["S_q"] == {"mean": 0.0, "low": None, "high": None}
    # Two texts of a, one more of b (the other is the same call), twice each.
    asked = {request["messages"][0]["content"] for request in server.asked}
    assert len(asked) == 3
    assert f"Grade {'字' * 300} for 写三个字." in asked


def test_a_judge_that_answers_in_prose_fails_the_command(files: Path, chat_server: Any) -> None:
    server = chat_server(lambda request: "Very nice.")
    done = run(files, "a.jsonl", "--judge", "m", "--base-url", server.base_url)
    assert (done.returncode, done.stdout) == (1, "")
    assert "2 of 2 texts have no grades (BadCompletion 2)" in done.stderr


def test_a_missing_field_is_named_with_its_line(files: Path) -> None:
    (files / "a.jsonl").write_text('{"prompt": "p", "type": "t", "length": 9}\n')
    done = run(files, "a.jsonl")
    assert done.returncode == 1
    assert "a.jsonl:1: response: Field required" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--judge", "m"], ["--base-url", "http://h/v1"], ["--repeats", "2"], ["--judge-prompt", "x"]],
)
def test_options_of_a_judge_need_a_judge(files: Path, arguments: list[str]) -> None:
    done = run(files, "a.jsonl", *arguments)
    assert done.returncode == 2
    assert "usage: longwriter score" in done.stderr


def test_installed_without_a_checkout(files: Path, chat_server: Any) -> None:
    """As in a wheel: conf/ is inside the package, and the cache is the user's."""
    site = files / "site"
    shutil.copytree(CHECKOUT / "src/longwriter", site / "longwriter")
    shutil.copytree(CHECKOUT / "conf", site / "longwriter/conf")
    environment = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("LONGWRITER_", "DVC_", "XDG_"))
    }
    environment |= {"PYTHONPATH": str(site), "HOME": str(files / "home")}
    server = chat_server(lambda request: json.dumps(dict.fromkeys(DIMENSIONS, 3)))
    command = ["score", "a.jsonl", "--json", "--judge", "m", "--base-url", server.base_url]
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", *command],
        cwd=files,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["files"]["a"]["S_q"] == 50.0
    assert len(server.asked) == 2
    assert [path for path in (files / "home").rglob("*") if path.is_file()]  # the calls
    assert not [path for path in files.rglob(".cache") if path.parent != files / "home"]


def test_a_reader_that_has_enough(files: Path) -> None:
    """As `longwriter score a.jsonl --json | head -1`."""
    read, written = os.pipe()
    os.close(read)
    with os.fdopen(written, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "longwriter.cli.main", "score", "a.jsonl", "--json"],
            cwd=files, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
            stdout=closed, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (141, "")


def test_a_file_named_like_a_setting_is_a_file(files: Path) -> None:
    write(files / "judge.a=1.jsonl", "word " * 100, "字" * 600)
    done = run(files, "judge.a=1.jsonl", "--json")
    assert list(json.loads(done.stdout)["files"]) == ["judge.a=1"]


def test_a_server_of_conf_grades(files: Path, chat_server: Any) -> None:
    server = chat_server(lambda request: json.dumps(dict.fromkeys(DIMENSIONS, 5)))
    done = run(
        files, "a.jsonl", "--json", "--server", "anthropic", "--base-url", server.base_url,
        "judge.api_key_env=null", "judge.stream=false", "judge.repeats=1",
    )  # fmt: skip
    assert json.loads(done.stdout)["files"]["a"]["S_q"] == 100.0
    for request in server.requests:
        assert request["model"] == "claude-sonnet-5-5"
        assert not {"temperature", "top_p", "seed", "response_format"} & set(request)
