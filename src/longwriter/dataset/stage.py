"""Runs the stage `filter`: reads its inputs, applies the rules and writes its outputs."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import digest, replacing, write_json, write_jsonl, write_text
from longwriter.core.rows import TrainingRow
from longwriter.core.settings import RuntimeSettings
from longwriter.core.sources import Source, open_source
from longwriter.core.workspace import Workspace, cores
from longwriter.dataset.card import Provenance, card, header
from longwriter.dataset.export import export
from longwriter.dataset.filter import Filtering
from longwriter.dataset.grading import grade
from longwriter.dataset.meaning import ask, check_questions, schema
from longwriter.dataset.rule_runner import RuleJob, run_rules
from longwriter.dataset.settings import BASE, CHAT_ROWS, DRAFTS, FilterSettings, Relabel
from longwriter.dataset.tokenizer import has_tokenizer
from longwriter.evaluation.contamination import locate_benchmarks
from longwriter.evaluation.judge import read_prompt
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.llm.check import Parameters
from longwriter.llm.session import CallContext, spending, with_client

FILES = ("train.jsonl", "validation.jsonl", "rejected.jsonl", "card.md", "hf")
OUTPUTS = (*(f"data/sft/{name}" for name in FILES), "metrics/filter.json")


def filter_rows(
    settings: FilterSettings,
    contamination: ContaminationSettings,
    runtime: RuntimeSettings,
    work: Workspace,
    prompts: str,
) -> dict[str, Any]:
    """Filters the inputs that `settings` names and writes the training set.

    Writes train.jsonl, validation.jsonl, rejected.jsonl, card.md and hf/ to data/sft, and
    metrics/filter.json.

    Args:
        prompts: SHA-256 of the agent's prompts, for the card.

    Returns:
        The metrics.

    Raises:
        DataError: an input cannot be read, or no draft passes the rules.
        SettingsError: a rule is unknown, or settings contradict each other.
    """
    check_questions(settings.ask_judge)
    if settings.judge and settings.min_quality is None and not settings.ask_judge:
        raise SettingsError(
            "filter.judge is set but unused; set filter.min_quality or filter.ask_judge"
        )
    if settings.ask_judge and not settings.judge:
        raise SettingsError(
            "filter.ask_judge: is set, and filter.judge is null; set filter.judge=${judge}"
        )
    benchmarks = locate_benchmarks(work.root, contamination.benchmarks)
    tokenizer = _tokenizer(settings, work)
    with Filtering(settings, work.cache) as filtering:
        versions: dict[str, str] = {}
        for given in _inputs(settings, work):
            job = RuleJob(
                settings,
                contamination,
                given.rules,
                [] if given.chat else settings.strip,
                given.origin,
                benchmarks.found,
                tokenizer,
                Relabel.none if given.chat else settings.relabel,
            )
            verdicts = run_rules(given.rows.lines, job, runtime.threads or cores())
            filtering.read(verdicts, given.chat)
            versions[given.rows.name] = given.version
        filtering.compare()
        if settings.ask_judge:
            filtering.ask(partial(_ask, settings, runtime, work))
        if settings.judge and settings.min_quality is not None:
            filtering.grade(partial(_grade, settings, runtime, work))
        filtering.choose()
        counts = filtering.counts
        if not counts.kept:
            rejected = work.output("data/sft/rejected.jsonl")
            with replacing(rejected) as (temporary,), temporary.open("wb") as file:
                file.writelines(filtering.rejected_lines())
            raise DataError(
                f"{settings.drafts or work.root / DRAFTS}: no draft passes the rules: "
                f"{counts.describe()['rejected']}; {rejected} holds each with its reason; see conf/filter"
            )
        counted_with = _relative(tokenizer, work) if tokenizer else ""
        made = Provenance(prompts, versions, benchmarks, counted_with)
        _write(filtering, card(counts, settings, contamination, made), settings, work)
    return counts.describe()


class _Input(NamedTuple):
    """Rows to filter, with the rules they must pass."""

    chat: bool
    """Whether they are chat rows, not drafts."""
    rules: list[str]
    rows: Source
    origin: str
    """Source of rows that don't state their own."""
    version: str
    """SHA-256 of the file, or the Hub revision."""


def _inputs(settings: FilterSettings, work: Workspace) -> Iterator[_Input]:
    """Yields the drafts, then the chat rows, if there are any and they are wanted.

    The output of the stage `short_answers` is used only with the DAG's own drafts.
    """
    path = work.input(settings.drafts, DRAFTS)
    rows = open_source(settings.drafts, settings.revision, path, "filter.drafts")
    origin = "agentwrite" if path == work.root / DRAFTS else rows.name
    version = _version(path, settings.revision)
    yield _Input(False, settings.rules, rows, origin, version)
    chat = settings.chat_mix
    path = work.input(chat.path, CHAT_ROWS)
    wanted = chat.number != 0 and chat.ratio != 0
    if wanted and (chat.path is not None or (settings.drafts is None and path.exists())):
        rows = open_source(chat.path, chat.revision, path, "filter.chat_mix.path")
        yield _Input(True, chat.rules, rows, rows.name, _version(path, chat.revision))


def _version(path: Path, revision: str | None) -> str:
    return digest(path) if path.is_file() else revision or "a folder"


def _tokenizer(settings: FilterSettings, work: Workspace) -> Path | None:
    """Returns the checkpoint whose tokenizer counts tokens; None if the DAG has made none yet."""
    folder = work.input(settings.tokenizer, BASE)
    return folder if settings.tokenizer is not None or has_tokenizer(folder) else None


def _relative(path: Path, work: Workspace) -> str:
    return str(path.relative_to(work.root)) if path.is_relative_to(work.root) else path.name


def _grade(
    settings: FilterSettings, runtime: RuntimeSettings, work: Workspace, rows: Iterator[TrainingRow]
) -> list[float | None]:
    judge = settings.judge
    assert judge is not None
    prompt = read_prompt(judge, work.root)
    scores, _ = with_client(
        lambda client: grade(client, rows, prompt, judge.repeats),
        judge,
        judge_calls(work.cache, settings.seed, runtime.threads, judge, prompt, "filter"),
        name="filter.judge",
    )
    return scores


def _ask(
    settings: FilterSettings, runtime: RuntimeSettings, work: Workspace, rows: Iterator[TrainingRow]
) -> list[str | None]:
    judge, names = settings.judge, settings.ask_judge
    assert judge is not None
    money = spending(judge.max_cost, "filter.ask_judge", judge.model, names)
    calls = CallContext(
        work.cache, settings.seed, runtime.threads, money, Parameters(schema(names))
    )
    found, _ = with_client(
        lambda client: ask(client, rows, names), judge, calls, name="filter.judge"
    )
    return found


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
