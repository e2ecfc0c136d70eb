"""`longwriter score`: any predictions in the paper's format scored, and compared pairwise."""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from longwriter.config.load import ROOT, assignment, compose
from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, Prediction
from longwriter.core.settings import RuntimeSettings, StatisticsSettings
from longwriter.core.sources import read_jsonl
from longwriter.core.statistics import Interval
from longwriter.core.tables import (
    NONE,
    Table,
    count,
    markdown,
    number,
    percent,
    round_floats,
    signed_interval,
    signed_percent,
)
from longwriter.core.workspace import Workspace
from longwriter.evaluation.judge import read_prompt, ungraded
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.evaluation.scoring import NOT_ASKED, check_unscored, comparison, evaluate
from longwriter.evaluation.settings import BenchSettings, JudgeSettings
from longwriter.evaluation.summary import summarise
from longwriter.llm.session import with_client
from longwriter.report.tables import COMPARED, SCORES, bin_title, constraints_met, score_cells

EMBEDDED = "embedded"
"""The judge of the default pipeline, whose grades mean nothing."""

COLUMNS = (
    "file",
    *SCORES,
    "longest",
    "deviation",
    "±20 %",
    "length constraints met",
    "looping",
)


@dataclass(kw_only=True)
class ScoreSettings:
    """The groups of conf/ that scoring files needs."""

    bench: BenchSettings
    judge: JudgeSettings
    statistics: StatisticsSettings
    runtime: RuntimeSettings


def score_files(arguments: Namespace) -> None:
    """Scores the files that the command line names and prints a table, or with --json everything.

    Raises:
        DataError: a file cannot be read.
        TooFewGrades: the judge left too many texts without grades.
    """
    settings = _settings(arguments)
    predictions = {
        name: read_jsonl(path, Prediction) for name, path in _named(arguments.files).items()
    }
    asked = bool(arguments.judge or arguments.server)
    judgements = _judged(predictions, settings, asked)
    bench, statistics = settings.bench, settings.statistics
    summaries = {
        name: summarise(rows, bench.length_bins, statistics) for name, rows in judgements.items()
    }
    compared, refused = _compared(judgements, bench, statistics)
    if arguments.json:
        differences = {
            pair: {name: difference._asdict() for name, difference in found.items()}
            for pair, found in compared.items()
        }
        found = {"files": summaries, "comparisons": differences, "not_compared": refused}
        print(json.dumps(round_floats(found), indent=2))  # ASCII, whatever reads it
    else:
        print(markdown(_scores(summaries)), markdown(_by_length(summaries)), sep="\n\n", end="\n\n")
        for line in [*_differences(compared), *(f"{pair}: {why}" for pair, why in refused.items())]:
            print(line)


def _settings(arguments: Namespace) -> ScoreSettings:
    """The settings of the paper's benchmark and of the judge in conf/, changed by the command line."""
    embedded = arguments.judge == EMBEDDED
    judge = arguments.server or ("smollm2" if embedded else "endpoint")
    overrides = ["bench=longbench_write", f"judge={judge}"]
    if not embedded:
        overrides += assignment("judge.model", arguments.judge)
    overrides += assignment("judge.base_url", arguments.base_url)
    overrides += assignment("judge.api_key_env", arguments.api_key_env)
    if arguments.judge_prompt:
        overrides += assignment("judge.prompt_path", str(arguments.judge_prompt.absolute()))
    overrides += assignment("judge.repeats", arguments.repeats) + arguments.overrides
    return compose(ScoreSettings, overrides)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """The files by stem, or by path where two have the same."""
    stems = [path.stem for path in files]
    distinct = len(set(stems)) == len(stems)
    return {path.stem if distinct else str(path): path for path in files}


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


def _compared(
    judgements: Mapping[str, Sequence[Judgement]],
    bench: BenchSettings,
    statistics: StatisticsSettings,
) -> tuple[dict[str, dict[str, Interval]], dict[str, str]]:
    """Paired differences of every two files, and why the others are not compared."""
    compared, refused = {}, {}
    for (before, a), (after, b) in combinations(judgements.items(), 2):
        try:
            compared[f"{after} - {before}"] = comparison(a, b, bench, statistics)
        except DataError as error:
            refused[f"{after} - {before}"] = str(error)
    return compared, refused


def _scores(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        [
            name,
            *score_cells(found),
            count(found["length"]["longest_words"]),
            signed_percent(found["length"]["deviation"]),
            percent(found["length"]["within_20"]),
            constraints_met(found["length"]["obedience"]),
            percent(found["health"]["looping"]),
        ]
        for name, found in summaries.items()
    ]
    return Table(COLUMNS, rows)


def _by_length(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    bins = list(dict.fromkeys(name for found in summaries.values() for name in found["by_length"]))
    rows = [
        [name, *(_bin_cell(found["by_length"].get(label)) for label in bins)]
        for name, found in summaries.items()
    ]
    return Table(["S_l by required length", *map(bin_title, bins)], rows)


def _bin_cell(cell: Mapping[str, Any] | None) -> str:
    return f"{number(cell['S_l'])} (n {cell['n']})" if cell else NONE


def _differences(compared: Mapping[str, Mapping[str, Interval]]) -> list[str]:
    return [
        f"{pair}, paired [95 %]: "
        + "; ".join(
            f"{COMPARED[name]} {signed_interval(found)}" for name, found in differences.items()
        )
        for pair, differences in compared.items()
    ]
