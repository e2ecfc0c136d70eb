"""`longwriter explain`: traces one row or one benchmark answer through the pipeline."""

import json
import re
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from longwriter.config.load import read_params
from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, Prediction, TrainingRow
from longwriter.core.sources import open_source, parse_line, read_jsonl, stream_lines
from longwriter.core.workspace import Workspace
from longwriter.dataset.relabel import origin
from longwriter.dataset.rule_runner import RuleJob, RuleRunner
from longwriter.dataset.rules import BETWEEN_ROWS, MALFORMED
from longwriter.dataset.settings import BASE, CHAT_ROWS, DRAFTS, FilterSettings
from longwriter.dataset.tokenizer import has_tokenizer
from longwriter.evaluation.contamination import locate_benchmarks
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.text.words import count_words
from longwriter.tracking.lineage import walk_back
from longwriter.tracking.runs import maker_finder

ANSWER = re.compile(r"(?:.*/)?(\w+)\.jsonl:(\d+)")
"""Matches a benchmark answer: the model's name and the line number."""

TRAINING_ROWS = "data/sft/train.jsonl"
TRAINED = "models/sft"
"""The model that is trained on TRAINING_ROWS."""

GONE = f"are no longer in {TRAINING_ROWS}, which has been rewritten since"

SHOWN = 300
"""Maximum characters shown of an instruction or a paragraph."""

NEAREST = 3
"""Number of training rows listed for an answer: those closest to its required length."""


def show(arguments: Namespace) -> None:
    """Prints what is known about the row or the answer that the command line names."""
    print(explain(arguments.root.absolute(), arguments.id))


def explain(root: Path, name: str) -> str:
    """Returns what is known about `name` in the checkout `root`, and where it came from.

    Args:
        name: the id of a row, or a benchmark answer as file and line, such as
            `data/predictions/sft.jsonl:3`.

    Raises:
        DataError: no file of the pipeline contains it.
        SettingsError: there is no params.yaml.
    """
    answer = ANSWER.fullmatch(name)
    if answer:
        return explain_answer(root, answer[1], int(answer[2]))
    row = explain_row(root, name)
    links = walk_back(root, maker_finder(root), TRAINED)
    return "\n".join([row, "where it went and came from:", *map(str, links)])


def explain_answer(root: Path, model: str, number: int) -> str:
    """Returns what is known about line `number` (counted from 1) of `model`'s predictions.

    Raises:
        DataError: the predictions have no such line.
    """
    path = root / f"data/predictions/{model}.jsonl"
    rows = read_jsonl(path, Prediction)
    if not 1 <= number <= len(rows):
        raise DataError(f"{path}:{number}: it has {len(rows)} lines")
    row = rows[number - 1]
    parts = [
        f"answer of {model}, line {number}: {_short(row.prompt)}",
        f"  {row.response_length} of {row.length} words; begins: {_short(row.response)}",
    ]
    judgements = root / f"data/judgements/{model}.jsonl"
    if judgements.exists():
        judged = read_jsonl(judgements, Judgement)[number - 1]
        parts.append(f"  S_l {judged.length_score:.1f}, judged: {judged.scores or judged.unscored}")
    links = walk_back(root, maker_finder(root), f"data/predictions/{model}.jsonl")
    for link in links:
        if link.path == TRAINING_ROWS:  # absent if the model was not trained on them
            parts += (
                _nearest(root, row.length) if link.current else [f"trained on rows that {GONE}"]
            )
    return "\n".join([*parts, "where it came from:", *map(str, links)])


def _nearest(root: Path, length: int) -> Iterator[str]:
    trained = read_jsonl(root / TRAINING_ROWS, TrainingRow)
    near = sorted(trained, key=lambda row: abs((row.response_length or 0) - length))[:NEAREST]
    yield f"trained on {len(trained)} rows; the nearest in length (`longwriter explain ID` shows one):"
    yield from (f"  {row.id}: {row.response_length} words, {row.source}" for row in near)


def explain_row(root: Path, name: str) -> str:
    """Returns what is known about the row `name` in the checkout `root`.

    Raises:
        DataError: no file of the pipeline contains it.
        SettingsError: there is no params.yaml.
    """
    settings, work = read_params(root), Workspace(root, root)
    given = settings.agentwrite.instructions, settings.short_answers.instructions
    parts = [
        *_instruction(work, given, name),
        *_failures(work, name),
        *_draft(work, settings.filter, settings.contamination, name),
        *_fate(work, name),
        *_packs(work, name),
    ]
    if not parts:
        raise DataError(
            f"{name}: in no file of the pipeline; ids are in data/agentwrite/drafts.jsonl and "
            "data/sft/rejected.jsonl"
        )
    return "\n".join(parts)


def _rows(path: Path, name: str, beginnings: bool = False) -> Iterator[dict[str, Any]]:
    """Yields the rows of a file whose id is `name`; none if the file doesn't exist.

    Args:
        beginnings: whether to yield rows made from the beginnings of its text too.
    """
    if not path.is_file():
        return
    quick = json.dumps(name, ensure_ascii=False)[1:-1].encode()  # an id may be a number in the file
    for number, line in stream_lines(path):
        if quick in line:
            row = parse_line(line, f"{path}:{number}")
            if not isinstance(row, dict):
                continue
            found = str(row.get("id"))
            if found == name or (beginnings and origin(found) == name):
                yield row


def _instruction(work: Workspace, files: Sequence[str], name: str) -> Iterator[str]:
    for file in files:
        for row in _rows(work.root / file, name):
            yield f"instruction ({row.get('source') or 'no source'}): {_short(row['prompt'])}"
            length = row.get("length")
            yield f"  requires {length} words" if length else "  states no length"


def _failures(work: Workspace, name: str) -> Iterator[str]:
    for stage in ("agentwrite", "short_answers"):
        for row in _rows(work.root / f"data/{stage}/failures.jsonl", name):
            yield f"failed in {stage}, step {row['step']}, after {row['attempts']} attempts:"
            yield f"  {row['error']}: {row['detail']}"


def _draft(
    work: Workspace, drafts: FilterSettings, contamination: ContaminationSettings, name: str
) -> Iterator[str]:
    """Yields the plan with what was written for each step, and every rule's verdict."""
    chat_mix = drafts.chat_mix
    for what, key, given, revision, default, rules in (
        ("draft", "filter.drafts", drafts.drafts, drafts.revision, DRAFTS, drafts.rules),
        ("chat row", "filter.chat_mix.path", chat_mix.path, chat_mix.revision, CHAT_ROWS, chat_mix.rules),
    ):  # fmt: skip
        path = work.input(given, default)
        if given is None and not path.exists():
            continue
        runner = _runner(work, drafts, contamination, rules)
        for where, line in open_source(given, revision, path, key).lines:
            try:
                row = runner.read(line, where)
            except DataError as error:
                if name in where:
                    yield f"malformed: {error}"
                continue
            if row.id != name:
                continue
            yield f"{what}, {where}: {_short(row.prompt)}"
            yield from _steps(row.record)
            tokens = f", {row.tokens} tokens" if row.tokens else ""
            yield f"{row.words} words{tokens}, {row.language}; rules:"
            yield f"  {'ok':6} {MALFORMED}"
            for rule, detail in runner.verdicts(row).items():
                yield f"  {'REJECT' if detail else 'ok':6} {rule}" + (
                    f": {detail}" if detail else ""
                )
            yield from _between_rows(work, rules, name)


def _between_rows(work: Workspace, rules: list[str], name: str) -> Iterator[str]:
    """Yields the filter stage's verdicts from the rules that compare rows, which run last."""
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
    """Returns whether the judge rejected the row; it grades only rows that passed all rules."""
    return rejected["rule"] == "low_quality" and "quality_score" not in rejected


def _runner(
    work: Workspace,
    settings: FilterSettings,
    contamination: ContaminationSettings,
    rules: list[str],
) -> RuleRunner:
    folder = work.input(settings.tokenizer, BASE)
    benchmarks = locate_benchmarks(work.root, contamination.benchmarks).found
    tokenizer = folder if has_tokenizer(folder) else None
    return RuleRunner(
        RuleJob(settings, contamination, rules, settings.strip, "", benchmarks, tokenizer)
    )


def _steps(record: dict[str, Any]) -> Iterator[str]:
    plan, paragraphs = record.get("plan"), record.get("paragraphs")
    if not isinstance(plan, list) or not isinstance(paragraphs, list):  # fields of another format
        return
    for number, step in enumerate(plan, start=1):
        if not isinstance(step, dict) or not {"main_point", "word_count"} <= step.keys():
            return
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
    for file, what in (
        ("train", "trained on"),
        ("validation", "not trained on, to measure the loss on"),
    ):
        for row in _rows(folder / f"{file}.jsonl", name, beginnings=True):
            part = "" if str(row["id"]) == name else f", its first {row['response_length']} words"
            yield f"kept{part}: {what} ({file}.jsonl), source {row['source'] or '(none)'}"


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
