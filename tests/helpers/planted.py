"""Precision and recall of every rule of the filter on planted rows, English and Chinese.

    PYTHONPATH=tests .venv/bin/python -m helpers.planted

prints a line for each rule, and every row with another verdict than the expected one. The rows are in
tests/data/planted_rows.jsonl, one a line: the rule that is tried, the language of the prompt, the verdict
(`reject`; `keep` of a good row that looks bad) and the row itself. Those that only make sense together
are in planted_sets.py.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from helpers.checkpoints import default_settings, packaged_tokenizer
from helpers.planted_sets import BENCHMARK, COMPARED, MALFORMED

from longwriter.config.schema import Settings
from longwriter.core.workspace import Workspace
from longwriter.dataset.rule_runner import RuleJob, RuleRunner
from longwriter.dataset.stage import filter_rows
from longwriter.text.words import language

ROWS = Path(__file__).parents[1] / "data/planted_rows.jsonl"


class Planted(NamedTuple):
    """A planted row, and what became of it."""

    wanted: str | None
    """The rule that must reject it; None: it is good."""
    found: str | None
    """The rule that rejects it."""
    language: str
    row: dict[str, Any]

    def describe(self) -> str:
        """The verdicts, and enough of the row to find it."""
        response = str(self.row.get("response", ""))
        return (
            f"wanted {self.wanted}, got {self.found}: {str(self.row.get('prompt', ''))[:60]!r}\n"
            f"  {response[:50]!r} … {response[-60:]!r}"
        )


def planted(folder: Path) -> list[Planted]:
    """Runs the default's rules on every planted row. Thresholds that are off by default, or that short
    rows don't reach, are set.

    Args:
        folder: an empty one, for what the rules read.
    """
    settings = default_settings()
    settings.filter.max_words, settings.filter.max_length = 1000, 2500
    settings.filter.min_quality = 60
    settings.filter.tokenizer = str(folder / "tokenizer")
    settings.filter.validation_rows, settings.filter.chat_mix.number = 0, 0
    settings.contamination.benchmarks = [str(folder / "own.jsonl")]
    packaged_tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in BENCHMARK))
    return [*_one_by_one(settings, folder), *_together(settings, folder)]


def _one_by_one(settings: Settings, folder: Path) -> Iterator[Planted]:
    job = RuleJob(
        settings.filter,
        settings.contamination,
        settings.filter.rules,
        [],
        "planted",
        [folder / "own.jsonl"],
        folder / "tokenizer",
    )
    runner = RuleRunner(job)

    def rejecting(line: bytes) -> str | None:
        reason = runner.run("planted:1", line).reason
        return reason[0] if reason else None

    for line in ROWS.read_text().splitlines():
        given = json.loads(line)
        wanted = given["rule"] if given["verdict"] == "reject" else None
        found = rejecting(json.dumps(given["row"]).encode())
        yield Planted(wanted, found, given["language"], given["row"])
    for spoken, lines in MALFORMED.items():
        for malformed in lines:
            row = {"prompt": malformed[:99].decode("utf-8", "replace")}
            yield Planted("malformed", rejecting(malformed), spoken, row)


def _together(settings: Settings, folder: Path) -> Iterator[Planted]:
    rows = [
        {"id": f"{number:03}", "prompt": prompt, "response": response}
        for number, (_, prompt, response) in enumerate(COMPARED)
    ]
    drafts = folder / "compared.jsonl"
    drafts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings.filter.drafts = str(drafts)
    filter_rows(
        settings.filter,
        settings.contamination,
        settings.runtime,
        Workspace(folder, folder / "out"),
        "",
    )
    lines = (folder / "out/data/sft/rejected.jsonl").read_text().splitlines()
    rejected = {row["id"]: row["rule"] for row in map(json.loads, lines)}
    for row, (wanted, _, _) in zip(rows, COMPARED, strict=True):
        yield Planted(wanted, rejected.get(row["id"]), language(row["prompt"]), row)


def main() -> None:
    """Prints precision and recall of every rule."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        rows = planted(Path(folder))
    wanted, found = Counter(row.wanted for row in rows), Counter(row.found for row in rows)
    right = Counter(row.found for row in rows if row.found == row.wanted)
    print(f"{'rule':16} {'rows':>5} {'precision':>10} {'recall':>7}")
    for rule in sorted(wanted | found, key=str):
        precision, recall = right[rule] / max(found[rule], 1), right[rule] / max(wanted[rule], 1)
        print(f"{rule or '(kept)':16} {wanted[rule]:5} {precision:10.2f} {recall:7.2f}")
    for row in rows:
        if row.found != row.wanted:
            print(f"\n{row.describe()}")


if __name__ == "__main__":
    main()
