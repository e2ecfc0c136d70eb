"""Progress where stderr is not a terminal: whole lines, and none of short work."""

import re
import time

import pytest

from longwriter.core import progress as module
from longwriter.core.progress import progress


def test_long_work_prints_a_line_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.02)
    monkeypatch.setenv("TQDM_DISABLE", "1")  # as training sets it
    for _ in progress("rows", range(5)):
        time.sleep(0.03)
    *_, last = lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 1
    assert all(
        re.fullmatch(r"rows: +\d+% \d/5 \[[\d:]+<[\d:]+, +[\d.]+/s\]", line) for line in lines
    )
    assert last.startswith("rows: 100% 5/5 ")


def test_short_work_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress("rows", [1, 2])) == [1, 2]
    with progress("calls", total=3) as bar:
        bar.update(3)
    assert capsys.readouterr().err == ""


def test_work_that_goes_on_counts_what_was_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 0.01)
    with progress("steps", total=4, done=3) as bar:
        time.sleep(0.02)
        bar.update()
    assert "steps: 100% 4/4 " in capsys.readouterr().err
