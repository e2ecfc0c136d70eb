"""The stage `filter` from its inputs to its files."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import digest, replacing, write_json, write_jsonl, write_text
from longwriter.core.rows import TrainingRow
from longwriter.core.settings import RuntimeSettings
from longwriter.core.sources import Source, open_source
from longwriter.core.workspace import Workspace, cores
from longwriter.dataset.card import Provenance, Writer, card, header
from longwriter.dataset.export import export
from longwriter.dataset.filter import Filtering
from longwriter.dataset.grading import grade
from longwriter.dataset.rule_runner import RuleJob, run_rules
from longwriter.dataset.settings import FilterSettings
from longwriter.dataset.tokenizer import has_tokenizer
from longwriter.evaluation.contamination import locate_benchmarks
from longwriter.evaluation.judge import read_prompt
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.llm.fanout import CallContext, with_client

DRAFTS, CHAT_ROWS, BASE = (
    "data/agentwrite/drafts.jsonl",
    "data/short_answers/rows.jsonl",
    "models/base",
)
"""Where the DAG puts the inputs that no setting names."""
FILES = ("train.jsonl", "validation.jsonl", "rejected.jsonl", "card.md", "hf")
OUTPUTS = (*(f"data/sft/{name}" for name in FILES), "metrics/filter.json")


def filter_rows(
    settings: FilterSettings,
    contamination: ContaminationSettings,
    runtime: RuntimeSettings,
    work: Workspace,
    writer: Writer,
) -> dict[str, Any]:
    """Filters what `settings` names and writes train.jsonl, validation.jsonl, rejected.jsonl, card.md
    and hf/ below data/sft, and metrics/filter.json.

    Args:
        writer: of the drafts, for the card.

    Returns:
        The metrics.

    Raises:
        DataError: an input cannot be read, or no draft passes the rules.
        SettingsError: a rule is unknown or its settings do not go together.
    """
    if settings.judge and settings.min_quality is None:
        raise SettingsError("filter.judge: is set, and filter.min_quality is null; set a threshold")
    benchmarks = locate_benchmarks(work.root, contamination.benchmarks)
    tokenizer = _tokenizer(settings, work)
    with Filtering(settings, work.cache) as filtering:
        inputs: dict[str, str] = {}
        for chat, source, path in _sources(settings, work):
            rules = settings.chat_mix.rules if chat else settings.rules
            default = "agentwrite" if path == work.root / DRAFTS else source.name
            job = RuleJob(settings, contamination, rules, default, benchmarks.found, tokenizer)
            filtering.read(run_rules(source.lines, job, runtime.threads or cores()), chat)
            revision = (settings.chat_mix if chat else settings).revision
            inputs[source.name] = digest(path) if path.is_file() else revision or "a folder"
        filtering.compare()
        if settings.judge:
            filtering.grade(partial(_ask, settings, runtime, work))
        filtering.choose()
        counts = filtering.counts
        metrics = counts.describe()
        if not counts.kept:
            raise DataError(
                f"{settings.drafts or work.root / DRAFTS}: no draft passes the rules: "
                f"{metrics['rejected']}; see conf/filter"
            )
        made = Provenance(
            writer=writer,
            inputs=inputs,
            benchmarks=benchmarks,
            tokenizer=_relative(tokenizer, work) if tokenizer else "",
        )
        _write(filtering, card(counts, settings, contamination, made), settings, work)
    return metrics


def _sources(settings: FilterSettings, work: Workspace) -> Iterator[tuple[bool, Source, Path]]:
    """Drafts, then chat rows where there are any: whether they are chat rows, rows, where they lie."""
    path = work.input(settings.drafts, DRAFTS)
    yield False, open_source(settings.drafts, settings.revision, path, "filter.drafts"), path
    chat = settings.chat_mix
    path = work.input(chat.path, CHAT_ROWS)
    wanted = chat.number != 0 and chat.ratio != 0
    if wanted and (chat.path is not None or path.exists()):
        yield True, open_source(chat.path, chat.revision, path, "filter.chat_mix.path"), path


def _tokenizer(settings: FilterSettings, work: Workspace) -> Path | None:
    """The checkpoint whose tokens are counted; None where the DAG has made none yet."""
    folder = work.input(settings.tokenizer, BASE)
    return folder if settings.tokenizer is not None or has_tokenizer(folder) else None


def _relative(path: Path, work: Workspace) -> str:
    return str(path.relative_to(work.root)) if path.is_relative_to(work.root) else path.name


def _ask(
    settings: FilterSettings, runtime: RuntimeSettings, work: Workspace, rows: Iterator[TrainingRow]
) -> list[float | None]:
    judge = settings.judge
    assert judge is not None
    prompt = read_prompt(judge, work.root)
    scores, _ = with_client(
        lambda client: grade(client, rows, prompt, judge.repeats),
        judge,
        CallContext(work.cache, settings.seed, runtime.threads),
    )
    return scores


def _write(filtering: Filtering, text: str, settings: FilterSettings, work: Workspace) -> None:
    has_validation = bool(filtering.counts.validation.rows)
    readme = f"{header(filtering.counts, settings, has_validation)}\n{text}"
    with replacing(*map(work.output, OUTPUTS)) as temporary:
        train, validation, rejected, sheet, hub, numbers = temporary
        write_jsonl(train, filtering.training_rows())
        write_jsonl(validation, filtering.validation_rows())
        with rejected.open("wb") as file:
            file.writelines(filtering.rejected_lines())
        write_text(sheet, text)
        export(hub, filtering.training_rows(), filtering.validation_rows(), readme)
        write_json(numbers, filtering.counts.describe())
