"""`longwriter explain ID`: one row's whole life, from its instruction to the packs it was trained in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longwriter.dataset.contamination import locate_benchmarks
from longwriter.dataset.judge import Job, Judge
from longwriter.dataset.rules import BETWEEN_ROWS, MALFORMED
from longwriter.dataset.source import open_source
from longwriter.dataset.tokenizer import has_tokenizer
from longwriter.errors import DataError
from longwriter.records import parse_line, stream_lines
from longwriter.settings import Settings, Workspace, read_params
from longwriter.text import count_words

SHOWN = 300
"""Characters of an instruction or a paragraph that are shown."""


def explain(root: Path, name: str) -> str:
    """What is known of the row `name` in the checkout `root`, as text.

    Raises:
        DataError: no file of the pipeline holds it.
        SettingsError: there is no params.yaml.
    """
    settings, work = read_params(root), Workspace(root, root)
    parts = [
        *_instruction(work, settings, name),
        *_failures(work, name),
        *_draft(work, settings, name),
        *_fate(work, name),
        *_packs(work, name),
    ]
    if not parts:
        raise DataError(
            f"{name}: in no file of the pipeline; ids stand in data/agentwrite/drafts.jsonl and "
            "data/sft/rejected.jsonl"
        )
    return "\n".join(parts)


def _rows(path: Path, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a file with that id; none where there is no such file."""
    if not path.is_file():
        return
    quick = json.dumps(name, ensure_ascii=False).encode()
    for number, line in stream_lines(path):
        if quick in line:
            row = parse_line(line, f"{path}:{number}")
            if isinstance(row, dict) and row.get("id") == name:
                yield row


def _instruction(work: Workspace, settings: Settings, name: str) -> Iterator[str]:
    for given, default in (
        (settings.agentwrite.instructions, "data/instructions.jsonl"),
        (settings.general.instructions, "data/instructions_short.jsonl"),
    ):
        for row in _rows(work.input(given, default), name):
            yield f"instruction ({row.get('source') or 'no source'}): {_short(row['prompt'])}"
            length = row.get("length")
            yield f"  asks for {length} words" if length else "  states no length"


def _failures(work: Workspace, name: str) -> Iterator[str]:
    for stage in ("agentwrite", "general"):
        for row in _rows(work.root / f"data/{stage}/failures.jsonl", name):
            yield f"failed in {stage}, step {row['step']}, after {row['attempts']} attempts:"
            yield f"  {row['error']}: {row['detail']}"


def _draft(work: Workspace, settings: Settings, name: str) -> Iterator[str]:
    """The plan with what was written for each step, and the verdict of every rule."""
    chosen = settings.filter
    for general in (False, True):
        given = chosen.general.path if general else chosen.drafts
        revision = chosen.general.revision if general else chosen.revision
        default = "data/general/rows.jsonl" if general else "data/agentwrite/drafts.jsonl"
        path = work.input(given, default)
        if given is None and not path.exists():
            continue
        rules = chosen.general.rules if general else chosen.rules
        judge = _judge(work, settings, rules)
        key = "filter.general.path" if general else "filter.drafts"
        for where, line in open_source(given, revision, path, key).lines:
            try:
                row = judge.read(line, where)
            except DataError as error:
                if name in where:
                    yield f"malformed: {error}"
                continue
            if row.id != name:
                continue
            yield f"{'general row' if general else 'draft'}, {where}: {_short(row.prompt)}"
            yield from _steps(row.record)
            tokens = f", {row.tokens} tokens" if row.tokens else ""
            yield f"{row.words} words{tokens}, {row.language}; rules:"
            yield f"  {'ok':6} {MALFORMED}"
            for rule, detail in judge.verdicts(row).items():
                yield f"  {'REJECT' if detail else 'ok':6} {rule}" + (
                    f": {detail}" if detail else ""
                )
            yield from _between_rows(work, rules, name)


def _between_rows(work: Workspace, rules: list[str], name: str) -> Iterator[str]:
    """What the stage said of the row where it compared rows: it asks only those that pass all else."""
    folder = work.root / "data/sft"
    rejected = next(_rows(folder / "rejected.jsonl", name), None)
    if not (folder / "train.jsonl").is_file():
        return
    for rule in (rule for rule in rules if rule in BETWEEN_ROWS):
        if rejected and rejected["rule"] == rule:
            yield f"  REJECT {rule}: {rejected['detail']}"
            return
        compared = not rejected or rejected["rule"] in BETWEEN_ROWS or _by_judge(rejected)
        yield f"  {'ok' if compared else '-':6} {rule}" + ("" if compared else ": not asked")


def _by_judge(rejected: dict[str, Any]) -> bool:
    """Whether the judge rejected it, who is asked after all rules."""
    return rejected["rule"] == "low_quality" and "quality_score" not in rejected


def _judge(work: Workspace, settings: Settings, rules: list[str]) -> Judge:
    folder = work.input(settings.filter.tokenizer, "models/base")
    benchmarks = locate_benchmarks(work.root, settings.filter.benchmarks).found
    tokenizer = folder if has_tokenizer(folder) else None
    return Judge(Job(settings.filter, rules, "", benchmarks, tokenizer))


def _steps(record: dict[str, Any]) -> Iterator[str]:
    plan, paragraphs = record.get("plan") or [], record.get("paragraphs") or []
    for number, step in enumerate(plan, start=1):
        text = paragraphs[number - 1] if number <= len(paragraphs) else ""
        yield (
            f"  step {number}: {_short(step['main_point'])} "
            f"({count_words(text)} of {step['word_count']} words)"
        )
        yield f"    {_short(text, 80)}"


def _fate(work: Workspace, name: str) -> Iterator[str]:
    folder = work.root / "data/sft"
    for row in _rows(folder / "rejected.jsonl", name):
        yield f"rejected by {row['rule']}: {row['detail']}"
    for file, what in (("train", "trained on"), ("heldout", "held out, to measure the loss on")):
        for row in _rows(folder / f"{file}.jsonl", name):
            yield f"kept: {what} ({file}.jsonl), source {row['source'] or '(none)'}"


def _packs(work: Workspace, name: str) -> Iterator[str]:
    for row in _rows(work.root / "data/sft/packs.jsonl", name):
        if row["pack"] is None:
            yield f"not trained: {row['tokens']} tokens are more than sft.max_length"
            continue
        yield (
            f"trained in pack {row['pack']}, tokens {row['position']} to "
            f"{row['position'] + row['tokens'] - 1}, {row['epochs']:g} epochs"
        )


def _short(text: str, most: int = SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
