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
from longwriter.core.tables import round_floats
from longwriter.core.workspace import Workspace
from longwriter.evaluation.judge import JudgePrompt, read_prompt, ungraded
from longwriter.evaluation.scoring import NOT_ASKED, check_unscored, comparison, evaluate
from longwriter.evaluation.settings import BenchSettings, JudgeSettings
from longwriter.evaluation.summary import summarise
from longwriter.llm.fanout import CallContext, with_client

EMBEDDED = "embedded"
"""The judge of the default pipeline, whose grades mean nothing."""


COLUMNS = (
    "file",
    "S̄",
    "S_l [95 %]",
    "S_q [95 %]",
    "n",
    "unscored",
    "cut off",
    "mean words",
    "longest",
    "deviation",
    "±20 %",
    "obeyed",
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
    judgements = _judged(predictions, settings, bool(arguments.judge))
    bench, statistics = settings.bench, settings.statistics
    summaries = {
        name: summarise(rows, bench.length_bins, statistics) for name, rows in judgements.items()
    }
    compared, refused = _compared(judgements, bench, statistics)
    if arguments.json:
        found = {"files": summaries, "comparisons": compared, "not_compared": refused}
        print(json.dumps(round_floats(found), ensure_ascii=False, indent=2))
    else:
        print(_table(summaries))
        print(_bins(summaries))
        for line in [*_differences(compared), *(f"{pair}: {why}" for pair, why in refused.items())]:
            print(line)


def _settings(arguments: Namespace) -> ScoreSettings:
    """Those in conf/ of the paper's benchmark and of the judge, as the command line changes them."""
    embedded = arguments.judge == EMBEDDED
    overrides = ["bench=longbench_write", f"judge={'smollm2' if embedded else 'endpoint'}"]
    if arguments.judge and not embedded:
        overrides += assignment("judge.model", arguments.judge)
        overrides += assignment("judge.base_url", arguments.base_url)
    overrides += assignment("judge.api_key_env", arguments.api_key_env)
    if arguments.judge_prompt:
        overrides += assignment("judge.prompt_path", str(arguments.judge_prompt.absolute()))
    overrides += assignment("judge.repeats", arguments.repeats)
    return compose(ScoreSettings, overrides)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """The files by stem, or by path where two have the same."""
    stems = [path.stem for path in files]
    apart = len(set(stems)) == len(stems)
    return {path.stem if apart else str(path): path for path in files}


def _judged(
    predictions: Mapping[str, Sequence[Prediction]], settings: ScoreSettings, asked: bool
) -> dict[str, list[Judgement]]:
    if not asked:
        why = f"{NOT_ASKED}: no --judge"
        return {name: [ungraded(row, why) for row in rows] for name, rows in predictions.items()}
    prompt = read_prompt(settings.judge, ROOT)
    every = [row for rows in predictions.values() for row in rows]
    graded, _ = with_client(
        lambda client: evaluate(
            client, every, None, prompt or JudgePrompt(), settings.judge.repeats
        ),
        settings.judge,
        CallContext(
            Workspace(ROOT, Path.cwd()).cache, settings.bench.seed, settings.runtime.threads
        ),
    )
    check_unscored(graded, settings.judge.max_unscored)
    rest = iter(graded)
    return {name: [next(rest) for _ in rows] for name, rows in predictions.items()}


def _compared(
    judgements: Mapping[str, Sequence[Judgement]],
    bench: BenchSettings,
    statistics: StatisticsSettings,
) -> tuple[dict[str, dict[str, dict[str, float]]], dict[str, str]]:
    """Paired differences of every two files, and why the others are not compared."""
    compared, refused = {}, {}
    for (before, a), (after, b) in combinations(judgements.items(), 2):
        try:
            found = comparison(a, b, bench, statistics)
            compared[f"{after} - {before}"] = {
                name: difference._asdict() for name, difference in found.items()
            }
        except DataError as error:
            refused[f"{after} - {before}"] = str(error)
    return compared, refused


def _table(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    for name, found in summaries.items():
        length, health = found["length"], found["health"]
        obedience = length["obedience"]
        cells = (
            name,
            _number(found["S_bar"]),
            _ranged(found, "S_l"),
            _ranged(found, "S_q"),
            f"{found['n']}",
            f"{found['unscored']}",
            f"{found['cut_off']}",
            f"{found['mean_words']:,.0f}",
            f"{length['longest_words']:,}",
            f"{length['deviation']:+.0%}",
            f"{length['within_20']:.0%}",
            f"{obedience['share']:.0%} of {obedience['n']}" if obedience["n"] else "–",
            f"{health['looping']:.0%}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _bins(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    labels = list(
        dict.fromkeys(label for found in summaries.values() for label in found["by_length"])
    )
    lines = [
        f"| S_l by required words | {' | '.join(labels)} |",
        "|---" + "|---:" * len(labels) + "|",
    ]
    for name, found in summaries.items():
        cells = [
            f"{cell['S_l']:.1f} (n {cell['n']})" if (cell := found["by_length"].get(label)) else "–"
            for label in labels
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _differences(compared: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    titles = {"S_l_shortest": "S_l of the shortest bin"}
    return [
        f"{pair}, paired [95 %]: "
        + "; ".join(
            f"{titles.get(name, name)} {_signed(Interval(**found))}"
            for name, found in differences.items()
        )
        for pair, differences in compared.items()
    ]


def _signed(found: Interval) -> str:
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]".replace("-", "−")


def _ranged(found: Mapping[str, Any], key: str) -> str:
    bounds = found["intervals"][key]
    interval = f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""
    return _number(found[key]) + interval


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"
