"""Implements the functions of `import longwriter`, for use in notebooks and scripts.

    >>> import longwriter
    >>> story = longwriter.generate("Write a 300-word story about a bee.", "models/sft")
    >>> story.words, story.wanted, story.length_score
    (287, 300, 94.4...)
    >>> text = longwriter.write("Write a 10000-word history of tea", server="openai")
    >>> longwriter.score({"mine": predictions})["files"]["mine"]["S_l"]

They use the settings in conf/, which the argument `settings` overrides as on the command line.
Finished model calls are kept in the commands' cache, so repeating a call sends no request.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from longwriter.agentwrite.context import TextSoFar
from longwriter.agentwrite.instructions import in_words
from longwriter.agentwrite.plan import call_parameters, make_plan
from longwriter.agentwrite.prompts import read_prompts
from longwriter.agentwrite.settings import AgentWriteSettings, Language
from longwriter.agentwrite.writer import failing_at, write_paragraphs
from longwriter.config.load import ROOT, assignment, compose
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.rows import Instruction, Judgement, Prediction, Step, Usage
from longwriter.core.settings import RuntimeSettings, StatisticsSettings
from longwriter.core.sources import checked
from longwriter.core.statistics import Interval
from longwriter.core.workspace import Workspace
from longwriter.evaluation.judge import read_prompt, ungraded
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.evaluation.scoring import NOT_ASKED, check_unscored, comparison, evaluate
from longwriter.evaluation.settings import BenchSettings, JudgeSettings
from longwriter.llm.answers import Completion
from longwriter.llm.budget import Account
from longwriter.llm.client import ChatClient
from longwriter.llm.session import CallContext, spending, with_client
from longwriter.llm.settings import ServerSettings
from longwriter.models.serving import NAME as STUDENT
from longwriter.models.serving import Placement, model_named, placement, with_student
from longwriter.models.settings import StudentSettings
from longwriter.text.demands import Demand, asking_for, demand_in, words_asked
from longwriter.text.languages import prompt_language
from longwriter.text.lengths import length_score
from longwriter.text.plan_tags import split_plan
from longwriter.text.words import count_words

T = TypeVar("T")


@dataclass(frozen=True)
class Text:
    """A text that a model wrote."""

    text: str
    wanted: int | None
    """Requested words, from the prompt, the plan or `words`; None: no length was requested."""
    finish_reason: str = "stop"
    """`length` if the model's context cut the text off."""
    plan: list[Step] = field(default_factory=list)
    """The agent's plan; empty if the text was written in one call."""
    usage: Usage = field(default_factory=Usage)
    """Calls, tokens and US dollars, including those of calls answered from the cache."""

    @property
    def words(self) -> int:
        """Returns the text's length in words, counted as in the paper."""
        return count_words(self.text)

    @property
    def length_score(self) -> float | None:
        """Returns S_l (0 to 100), how close the length is to `wanted`; None without `wanted`."""
        return length_score(self.wanted, self.words) if self.wanted else None


def write(
    prompt: str,
    *,
    words: int | None = None,
    server: str | None = None,
    model: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    seed: int | None = None,
    settings: Sequence[str] = (),
) -> Text:
    """Plans and writes one long text paragraph by paragraph (AgentWrite), like `longwriter write`.

    Args:
        words: required length; None: the length that the prompt states.
        server: an option of conf/teacher/, such as `openai`; None: `model` at `base_url`, or the
            embedded model if that is None too.
        model, base_url: a model's name and its OpenAI-compatible address, including the /v1.
        api_key_env: name of the environment variable that holds the key.
        seed: sampling seed; change it to get a different text.
        settings: overrides such as `agentwrite.max_cost=1`.

    Raises:
        StepFailed, LongwriterError: the text could not be completed; finished calls are kept.
    """
    chosen = write_settings(server, model, base_url, api_key_env, seed, settings)
    instruction = instruction_for(prompt, words, chosen.agentwrite)
    text, account, plans = TextSoFar(), Account(), list[list[Step]]()
    place, name = agent_place(chosen, None)
    _outside_a_loop(lambda: agent(chosen, place, name, instruction, text, account, plans.append))
    [plan] = plans
    wanted = sum(step.word_count for step in plan)
    return Text("\n\n".join(text.paragraphs), wanted, plan=plan, usage=account.usage)


def generate(
    prompt: str,
    model: str | Path,
    *,
    words: int | None = None,
    seed: int = 0,
    settings: Sequence[str] = (),
    on_text: Callable[[str], None] | None = None,
) -> Text:
    """Writes one text with a trained model in one call, like `longwriter write --with`.

    Args:
        model: base, sft or dpo in models/, a checkpoint folder, or a GGUF file.
        words: required length, added to the prompt if the prompt doesn't state one.
        settings: overrides such as `student.server.temperature=0.8`.
        on_text: called with each piece of the answer as it arrives.

    Raises:
        LongwriterError: the model doesn't exist, or its server fails.
    """
    chosen = compose(WriteSettings, ["student.server.stream=true", *settings])
    checkpoint = model_named(str(model), Path.cwd())
    completion, usage = _outside_a_loop(
        lambda: one_call(chosen, checkpoint, asking_for(prompt, words), seed, on_text)
    )
    text = split_plan(completion.text).text
    wanted = words_asked(prompt) or words
    return Text(text, wanted, completion.finish_reason, usage=usage)


def score(
    predictions: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    judge: str | None = None,
    server: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Scores texts as LongBench-Write does, with intervals, and compares the models pairwise.

    `longwriter score --json` does the same for files.

    Args:
        predictions: model → rows of `prompt`, `type`, `length` (required words) and `response`.
        judge: a model at `base_url` that grades the texts. With neither `judge` nor `server` there
            is no S_q.
        server: an option of conf/judge/; its model, or `judge` if given, grades the texts.

    Returns:
        `files` (model → scores), `comparisons` (pair → name → paired difference: mean, low, high)
        and `not_compared` (pair → why).

    Raises:
        DataError: a row is not a valid prediction.
        TooFewGrades: the judge left too many texts without grades.
    """
    overrides = assignment("judge.base_url", base_url) + assignment(
        "judge.api_key_env", api_key_env
    )
    chosen = score_settings(judge, server, [*overrides, *settings])
    rows = {
        name: [
            checked(dict(row), Prediction, f"{name}[{place}]") for place, row in enumerate(found)
        ]
        for name, found in predictions.items()
    }
    return _outside_a_loop(lambda: scored(rows, chosen, bool(judge or server)))


def length_asked(prompt: str) -> Demand:
    """Returns the length that a prompt asks for.

    `length`, `least` and `most` are counted in `unit`; `quotes` are the words they were read from.
    """
    return demand_in(prompt)


@dataclass(kw_only=True)
class WriteSettings:
    """Config groups needed to write one text."""

    teacher: ServerSettings
    student: StudentSettings
    agentwrite: AgentWriteSettings
    runtime: RuntimeSettings


@dataclass(kw_only=True)
class ScoreSettings:
    """Config groups needed for scoring."""

    bench: BenchSettings
    judge: JudgeSettings
    statistics: StatisticsSettings
    runtime: RuntimeSettings


def write_settings(
    server: str | None,
    model: str | None,
    base_url: str | None,
    api_key_env: str | None,
    seed: int | None,
    overrides: Sequence[str],
) -> WriteSettings:
    """Returns the settings of a server or the embedded teacher, changed by the arguments."""
    chosen = [f"teacher={server or 'smollm2'}"]
    if server or model:
        chosen = [f"teacher={server or 'endpoint'}", "agentwrite=paper"]
    named = {"model": model, "base_url": base_url, "api_key_env": api_key_env}
    for name, value in named.items():
        chosen += assignment(f"teacher.{name}", value)
    chosen += assignment("agentwrite.seed", seed)
    settings = compose(WriteSettings, [*chosen, *overrides])
    if not settings.agentwrite.parallel:  # more slots would cost start-up time and memory
        settings.teacher.concurrency = settings.student.server.concurrency = 1
    return settings


def instruction_for(prompt: str, words: int | None, settings: AgentWriteSettings) -> Instruction:
    """Returns a prompt as an instruction, with its language and required length.

    Raises:
        SettingsError: the prompt asks for a language other than English and Chinese.
    """
    language = prompt_language(prompt)
    if language not in tuple(Language):
        raise SettingsError(
            f"the prompt asks for a text in {language}, and longwriter writes English and Chinese; "
            "ask for one of them (`… in English`)"
        )
    demand = in_words(demand_in(prompt), settings)
    length = words or (demand.target if demand.unit == "words" else None)
    row = {"prompt": prompt, "length": length, "language": language}
    return checked(row, Instruction, "longwriter write")


def agent(
    settings: WriteSettings,
    place: Placement,
    name: str,
    instruction: Instruction,
    text: TextSoFar,
    account: Account,
    planned: Callable[[list[Step]], None],
    live: Callable[[str], None] | None = None,
) -> int:
    """Plans a text and writes it into `text`.

    Args:
        place: how the writing model is served.
        name: the name of its server in the settings.
        planned: called with the plan.
        live: called with each piece of a paragraph as it arrives.

    Returns:
        Number of calls answered from the cache.

    Raises:
        StepFailed: a step failed for good.
        LongwriterError: no call can succeed.
    """
    chosen = settings.agentwrite
    wording = read_prompts(chosen.prompts, ROOT)[instruction.language]

    async def work(client: ChatClient) -> int:
        with failing_at("plan"):
            plan = await make_plan(client, instruction, chosen, wording, account)
        planned(plan)
        await write_paragraphs(client, instruction, plan, text, chosen, wording, account, live)
        return client.from_cache

    kept, _ = with_client(
        work,
        place.settings,
        CallContext(
            Workspace(ROOT, Path.cwd()).cache,
            chosen.seed,
            settings.runtime.threads,
            spending(chosen.max_cost, "write", chosen, instruction.prompt),
            call_parameters(chosen, place.settings),
        ),
        name=name,
        checkpoint=place.checkpoint,
        version=place.version,
    )
    return kept


def agent_place(settings: WriteSettings, model: str | None) -> tuple[Placement, str]:
    """Returns how the agent's model is served, and the name of its server in the settings.

    Args:
        model: a trained model; None: the teacher.
    """
    if model is None:
        return Placement(settings.teacher, None, ""), "teacher"
    cache = Workspace(ROOT, Path.cwd()).cache
    return placement(model_named(model, Path.cwd()), settings.student, cache), STUDENT


def one_call(
    settings: WriteSettings,
    checkpoint: Path,
    prompt: str,
    seed: int,
    on_text: Callable[[str], None] | None,
) -> tuple[Completion, Usage]:
    """Returns a trained model's answer to a prompt, and the usage.

    The answer may take all of the context that the prompt leaves.

    Raises:
        SettingsError: the prompt leaves no room for an answer.
        LongwriterError: the call failed.
    """
    server = settings.student.server
    server.concurrency = 1  # more slots would cost start-up time and memory
    room = server.context - len(prompt.encode()) // 3 - 64
    if room < 16:
        raise SettingsError(
            f"the prompt leaves no room in student.server.context={server.context}; raise it"
        )
    account = Account()

    async def work(client: ChatClient) -> Completion:
        messages = [{"role": "user", "content": prompt}]
        return await client.complete(messages, max_tokens=room, account=account, on_text=on_text)

    calls = CallContext(Workspace(ROOT, Path.cwd()).cache, seed, settings.runtime.threads)
    completion, _ = with_student(work, checkpoint, settings.student, calls)
    return completion, account.usage


EMBEDDED = "embedded"
"""Name of the default pipeline's judge, whose grades are meaningless."""


def score_settings(
    judge: str | None, server: str | None, overrides: Sequence[str]
) -> ScoreSettings:
    """Returns the settings of the paper's benchmark and of the judge, changed by `overrides`."""
    embedded = judge == EMBEDDED
    chosen = ["bench=longbench_write", f"judge={server or ('smollm2' if embedded else 'endpoint')}"]
    if not embedded:
        chosen += assignment("judge.model", judge)
    return compose(ScoreSettings, [*chosen, *overrides])


def scored(
    predictions: Mapping[str, Sequence[Prediction]], settings: ScoreSettings, asked: bool
) -> dict[str, Any]:
    """Returns scores and comparisons in the form that `score` returns.

    Args:
        asked: whether the judge grades the texts.
    """
    from longwriter.evaluation.summary import summarise  # loads numpy, which only scoring needs

    bench, statistics = settings.bench, settings.statistics
    judgements = _judged(predictions, settings, asked)
    compared: dict[str, dict[str, Interval]] = {}
    refused: dict[str, str] = {}
    for (before, a), (after, b) in combinations(judgements.items(), 2):
        try:
            compared[f"{after} - {before}"] = comparison(a, b, bench, statistics)
        except DataError as error:
            refused[f"{after} - {before}"] = str(error)
    return {
        "files": {
            name: summarise(rows, bench.length_bins, statistics)
            for name, rows in judgements.items()
        },
        "comparisons": {
            pair: {name: difference._asdict() for name, difference in found.items()}
            for pair, found in compared.items()
        },
        "not_compared": refused,
    }


def _judged(
    predictions: Mapping[str, Sequence[Prediction]], settings: ScoreSettings, asked: bool
) -> dict[str, list[Judgement]]:
    if not asked:
        why = f"{NOT_ASKED}: no --judge"
        return {name: [ungraded(row, why) for row in rows] for name, rows in predictions.items()}
    prompt = read_prompt(settings.judge, ROOT)
    every = [row for rows in predictions.values() for row in rows]
    graded, _ = with_client(
        lambda client: evaluate(client, every, None, prompt, settings.judge.repeats),
        settings.judge,
        judge_calls(
            Workspace(ROOT, Path.cwd()).cache,
            settings.bench.seed,
            settings.runtime.threads,
            settings.judge,
            prompt,
            "score",
        ),
        name="judge",
    )
    check_unscored(graded, settings.judge.max_unscored)
    rest = iter(graded)
    return {name: [next(rest) for _ in rows] for name, rows in predictions.items()}


def _outside_a_loop(work: Callable[[], T]) -> T:
    """Returns the result of `work`, which starts its own event loop.

    If a loop is already running, as in a notebook, `work` runs in a separate thread.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as other:
        return other.submit(work).result()
