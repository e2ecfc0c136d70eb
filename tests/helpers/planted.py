"""Precision and recall of every rule on planted rows, English and Chinese.

PYTHONPATH=tests python tests/dataset/planted.py   # a line for each rule, and what was judged wrong
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from helpers.planted_rows import ROWS, Planted
from helpers.planted_sets import BENCHMARK, COMPARED, MALFORMED
from training.checkpoints import default_settings, packaged_tokenizer

from longwriter.config.schema import Settings
from longwriter.core.workspace import Workspace
from longwriter.dataset.rule_runner import RuleJob, RuleRunner
from longwriter.dataset.stage import filter_rows

Verdict = tuple[Planted, str | None]
"""A row and the rule that rejects it."""


def verdicts(folder: Path) -> Iterator[Verdict]:
    """Each planted row with the rule of the default that rejects it; thresholds that are off there, or
    that short rows do not reach, are set."""
    settings = default_settings()
    settings.filter.max_words, settings.filter.max_length = 1000, 2500
    settings.filter.min_quality = 60
    settings.filter.tokenizer = str(folder / "tokenizer")
    settings.filter.benchmarks = [str(folder / "own.jsonl")]
    settings.filter.held_out, settings.filter.general.number = 0, 0
    packaged_tokenizer().save_pretrained(folder / "tokenizer")
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in BENCHMARK))
    yield from _alone(settings, folder)
    yield from _together(settings, folder)


def _alone(settings: Settings, folder: Path) -> Iterator[Verdict]:
    chosen = settings.filter
    job = RuleJob(chosen, chosen.rules, "planted", [folder / "own.jsonl"], folder / "tokenizer")
    judge = RuleRunner(job)
    lines = [_line(row) for row in ROWS]
    no_rows = [
        Planted("malformed", line[:99].decode("utf-8", "replace"), "", {}) for line in MALFORMED
    ]
    for row, line in zip([*ROWS, *no_rows], [*lines, *MALFORMED], strict=True):
        reason = judge.judge("planted:1", line).reason
        yield row, reason[0] if reason else None


def _together(settings: Settings, folder: Path) -> Iterator[Verdict]:
    rows = [_line(row, id=f"{number:03}") for number, row in enumerate(COMPARED)]
    (folder / "compared.jsonl").write_bytes(b"\n".join(rows))
    settings.filter.drafts = str(folder / "compared.jsonl")
    filter_rows(settings, Workspace(folder, folder / "out"), "")
    lines = (folder / "out/data/sft/rejected.jsonl").read_text().splitlines()
    rejected = {row["id"]: row["rule"] for row in map(json.loads, lines)}
    for number, row in enumerate(COMPARED):
        yield row, rejected.get(f"{number:03}")


def _line(row: Planted, **fields: str) -> bytes:
    record = {"prompt": row.prompt, "response": row.response} | row.fields | fields
    return json.dumps(record).encode()


def main() -> None:
    """Prints precision and recall of every rule."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        found = list(verdicts(Path(folder)))
    planted, said = Counter(row.rule for row, _ in found), Counter(rule for _, rule in found)
    right = Counter(rule for row, rule in found if row.rule == rule)
    print(f"{'rule':16} {'rows':>5} {'precision':>10} {'recall':>7}")
    for rule in sorted(planted | said, key=str):
        precision, recall = right[rule] / max(said[rule], 1), right[rule] / max(planted[rule], 1)
        print(f"{rule or '(kept)':16} {planted[rule]:5} {precision:10.2f} {recall:7.2f}")
    for row, rule in found:
        if row.rule != rule:
            print(f"\nwanted {row.rule}, got {rule}: {row.prompt[:60]!r}")
            print(f"  {row.response[:50]!r} … {row.response[-60:]!r}")


if __name__ == "__main__":
    import sys

    sys.path.insert(0, str(Path(__file__).parents[1]))  # as pytest does
    main()
