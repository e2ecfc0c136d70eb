import io
import subprocess
import tarfile
from pathlib import Path

import pytest
from helpers.finished_pipeline import write_finished

from longwriter.core.errors import DataError
from longwriter.report.readme import committed_table, main, with_results

README = "# longwriter\n\nbefore\n\n<!-- results -->\nold\n<!-- /results -->\n\nafter\n"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    return write_finished(tmp_path)


@pytest.fixture
def checkout(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (finished / "README.md").write_text(README, encoding="utf-8")
    monkeypatch.chdir(finished)
    return finished


def test_block_is_written_from_the_metrics(checkout: Path) -> None:
    assert main([]) == 0
    written = (checkout / "README.md").read_text(encoding="utf-8")
    table = committed_table(checkout)
    assert "sft − base +12.2 [+5.1, +19.4]" in table
    assert written == README.replace("old\n", table)


def test_check_finds_a_difference_and_writes_nothing(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"]) == 1
    assert "README.md" in capsys.readouterr().err
    assert (checkout / "README.md").read_text(encoding="utf-8") == README
    assert main([]) == 0
    assert main(["--check"]) == 0
    (checkout / "metrics/comparison.json").write_text("{}")
    assert main(["--check"]) == 1


def test_missing_metrics_are_named(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "metrics/eval/dpo.json").unlink()
    assert main([]) == 1
    assert "metrics/eval/dpo.json: is missing" in capsys.readouterr().err


def test_readme_of_this_commit_shows_the_metrics_of_this_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is committed, not what lies here: `make repro` may just have measured anew.
    root = Path(__file__).resolve().parents[2]
    archive = subprocess.run(
        ["git", "archive", "HEAD", "README.md", "metrics"], cwd=root, capture_output=True
    )
    if archive.returncode:
        pytest.skip("not a git checkout")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    assert main(["--check"]) == 0, "run `make readme` and commit README.md with metrics/"


@pytest.mark.parametrize(
    "readme",
    ["no marks", "<!-- results -->\n", "<!-- /results -->\n<!-- results -->\n", README + README],
)
def test_marks_must_be_there_once(readme: str) -> None:
    with pytest.raises(DataError, match=r"README\.md: needs"):
        with_results(readme, "table\n")
