"""The stage `filter` from its inputs to its files."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from longwriter.chat.calls import with_client
from longwriter.dataset.card import Provenance, card, file_digest, header
from longwriter.dataset.contamination import locate_benchmarks
from longwriter.dataset.export import export
from longwriter.dataset.filter import Filtering
from longwriter.dataset.judge import Job, judge_all
from longwriter.dataset.quality import grade
from longwriter.dataset.source import Source, open_source
from longwriter.dataset.tokenizer import has_tokenizer
from longwriter.errors import DataError, SettingsError
from longwriter.evaluation.judge_prompt import read_prompt
from longwriter.evaluation.settings import JudgeSettings
from longwriter.records import TrainingRow, replacing, write_json, write_jsonl, write_text
from longwriter.settings import RuntimeSettings, Settings, Workspace

DRAFTS, GENERAL, BASE = "data/agentwrite/drafts.jsonl", "data/general/rows.jsonl", "models/base"


def filter_rows(settings: Settings, work: Workspace, prompts: str) -> dict[str, Any]:
    """Filters what `settings.filter` names and writes train.jsonl, heldout.jsonl, rejected.jsonl,
    card.md and hf/ below data/sft, and metrics/filter.json.

    Args:
        prompts: SHA-256 of the agent's prompts, for the card.

    Returns:
        The metrics.

    Raises:
        DataError: an input cannot be read, or no draft passes the rules.
        SettingsError: a rule is unknown or its settings do not go together.
    """
    chosen = settings.filter
    judge = chosen.judge
    if judge and chosen.min_quality is None:
        raise SettingsError("filter.judge: is set, and filter.min_quality is null; set a threshold")
    benchmarks = locate_benchmarks(work.root, chosen.benchmarks)
    tokenizer = _tokenizer(settings, work)
    with Filtering(chosen, settings.runtime.seed, work.cache) as filtering:
        inputs: dict[str, str] = {}
        for general, source, path in _sources(settings, work):
            rules = chosen.general.rules if general else chosen.rules
            default = "agentwrite" if path == work.root / DRAFTS else source.name
            job = Job(chosen, rules, default, benchmarks.found, tokenizer)
            filtering.read(judge_all(source.lines, job, processes(settings)), general)
            if path.is_file():
                inputs[source.name] = file_digest(path)
            else:
                inputs[source.name] = (chosen.general if general else chosen).revision or "a folder"
        filtering.compare()
        if judge:
            filtering.grade(partial(_ask, judge, settings.runtime, work))
        filtering.choose()
        tally = filtering.tally
        metrics = tally.describe()
        if not tally.kept:
            raise DataError(
                f"{chosen.drafts or work.root / DRAFTS}: no draft passes the rules: {metrics['rejected']}; see "
                "conf/filter"
            )
        made = Provenance(
            teacher=settings.teacher.model or "",
            prompts=prompts,
            inputs=inputs,
            benchmarks=benchmarks,
            tokenizer=_relative(tokenizer, work) if tokenizer else "",
            seed=settings.runtime.seed,
        )
        _write(filtering, card(tally, chosen, made), settings, work)
    return metrics


def processes(settings: Settings) -> int:
    """Processes that judge rows: runtime.threads, or one for each core that this one may use."""
    return settings.runtime.threads or len(os.sched_getaffinity(0))


def _sources(settings: Settings, work: Workspace) -> Iterator[tuple[bool, Source, Path]]:
    """Drafts, then general rows where there are any: whether they are general, rows, where they lie."""
    chosen = settings.filter
    path = work.input(chosen.drafts, DRAFTS)
    yield False, open_source(chosen.drafts, chosen.revision, path, "filter.drafts"), path
    general = chosen.general
    path = work.input(general.path, GENERAL)
    wanted = general.number != 0 and general.ratio != 0
    if wanted and (general.path is not None or path.exists()):
        yield True, open_source(general.path, general.revision, path, "filter.general.path"), path


def _tokenizer(settings: Settings, work: Workspace) -> Path | None:
    """The checkpoint whose tokens are counted; None where the DAG has made none yet."""
    folder = work.input(settings.filter.tokenizer, BASE)
    return folder if settings.filter.tokenizer is not None or has_tokenizer(folder) else None


def _relative(path: Path, work: Workspace) -> str:
    return str(path.relative_to(work.root)) if path.is_relative_to(work.root) else path.name


def _ask(
    judge: JudgeSettings, runtime: RuntimeSettings, work: Workspace, rows: Iterator[TrainingRow]
) -> list[float | None]:
    prompt = read_prompt(judge, work.root)
    scores, _ = with_client(
        lambda client: grade(client, rows, prompt, judge.repeats),
        judge,
        work.cache,
        seed=runtime.seed,
        threads=runtime.threads,
    )
    return scores


def _write(filtering: Filtering, text: str, settings: Settings, work: Workspace) -> None:
    folder = work.output("data/sft")
    names = "train.jsonl", "heldout.jsonl", "rejected.jsonl", "card.md", "hf"
    outputs = [folder / name for name in names]
    held_out = bool(filtering.tally.held_out.rows)
    readme = f"{header(filtering.tally, settings.filter, held_out)}\n{text}"
    with replacing(*outputs, work.output("metrics/filter.json")) as temporary:
        train, held, rejected, sheet, hub, numbers = temporary
        write_jsonl(train, filtering.training_rows())
        write_jsonl(held, filtering.held_out_rows())
        with rejected.open("wb") as file:
            file.writelines(filtering.rejected_lines())
        write_text(sheet, text)
        export(hub, filtering.training_rows(), filtering.held_out_rows(), readme)
        write_json(numbers, filtering.tally.describe())
