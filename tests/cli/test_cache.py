import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from longwriter.llm.cache import Cache


def run(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of `longwriter cache`."""
    done = subprocess.run(
        [sys.executable, "-m", "longwriter.cli.main", "cache", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LONGWRITER_CACHE": str(folder)},
    )
    return done.returncode, done.stdout, done.stderr


def day(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A cache of two calls of m, one of n, and one of a version that noted no model."""
    cache = Cache(tmp_path / "calls.sqlite")
    counts = {"prompt_tokens": 10, "completion_tokens": 3}
    for key, told in {
        "a": {"model": "m", "fingerprint": "fp", "at": day("2026-10-01")},
        "b": {"model": "m", "fingerprint": "fp", "at": day("2026-11-02")},
        "c": {"model": "n", "at": day("2026-11-03")},
        "d": {},
    }.items():
        cache.put(key, {"text": f"text {key} 字", **counts, **told})
    cache.close()
    return tmp_path


def keys(folder: Path) -> list[str]:
    status, _, _ = run(folder, "export", str(folder / "out.jsonl"))
    assert status == 0
    return [json.loads(line)["key"] for line in (folder / "out.jsonl").read_text().splitlines()]


def test_calls_by_the_model_that_answered(kept: Path) -> None:
    status, out, _ = run(kept)
    assert status == 0
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in out.splitlines()
        if line.startswith("|")
    ][2:]
    assert cells == [
        ["m", "fp", "2", "20", "6", "2026-10-01", "2026-11-02", "0.0"],
        ["n", "–", "1", "10", "3", "2026-11-03", "2026-11-03", "0.0"],
        ["unknown", "–", "1", "10", "3", "unknown", "unknown", "0.0"],
    ]


@pytest.mark.parametrize(
    ("conditions", "left"),
    [
        (["--before", "2026-11-02"], "bcd"),
        (["--model", "m"], "cd"),
        (["--model", "m", "--before", "2026-11-01"], "bcd"),
        (["--model", "unknown"], "abc"),
    ],
)
def test_prune_removes_what_meets_all_conditions(
    kept: Path, conditions: list[str], left: str
) -> None:
    number = 4 - len(left)
    stays = (
        "1 undated calls from an earlier version are not removed; use --model unknown to remove "
        "them\n"
    )
    undated = stays * ("--before" in conditions)
    assert run(kept, "prune", *conditions, "--dry-run")[1] == (
        f"{number} of 4 calls would be removed\n" + undated
    )
    assert keys(kept) == list("abcd")
    assert run(kept, "prune", *conditions)[1] == f"{number} of 4 calls are removed\n" + undated
    assert keys(kept) == list(left)


def test_export_is_one_object_a_line(kept: Path) -> None:
    keys(kept)
    first = json.loads((kept / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert (first["key"], first["text"], first["fingerprint"]) == ("a", "text a 字", "fp")


def test_nothing_is_pruned_without_a_condition(kept: Path) -> None:
    status, _, err = run(kept, "prune")
    assert (status, "name --before, --model or both" in err) == (2, True)
    status, _, err = run(kept, "prune", "--before", "yesterday")
    assert (status, "'yesterday' is no date like 2026-11-26" in err) == (2, True)


def test_without_a_cache(tmp_path: Path) -> None:
    status, _, err = run(tmp_path / "none")
    assert status == 1
    assert "there is no cache of calls; LONGWRITER_CACHE names its folder" in err
