"""`longwriter score`: scores predictions in the paper's format and compares them pairwise."""

import json
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from longwriter.config.load import assignment
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
from longwriter.evaluation.benchmark import read_predictions
from longwriter.library import score_settings, scored
from longwriter.report.tables import (
    COMPARED,
    GRADES,
    HEALTH,
    SCORES,
    bin_title,
    constraints_met,
    score_cells,
)

LENGTH = ("longest", "deviation", "length constraints met")


def score_files(arguments: Namespace) -> None:
    """Scores the files that the command line names; prints tables, or everything with --json.

    Raises:
        DataError: a file cannot be read.
        TooFewGrades: the judge left too many texts without grades.
    """
    overrides = assignment("judge.base_url", arguments.base_url)
    overrides += assignment("judge.api_key_env", arguments.api_key_env)
    if arguments.judge_prompt:
        overrides += assignment("judge.prompt_path", str(arguments.judge_prompt.absolute()))
    overrides += assignment("judge.repeats", arguments.repeats) + arguments.overrides
    settings = score_settings(arguments.judge, arguments.server, overrides)
    predictions = {name: read_predictions(path) for name, path in _named(arguments.files).items()}
    found = scored(predictions, settings, bool(arguments.judge or arguments.server))
    if arguments.json:
        print(json.dumps(round_floats(found), indent=2))  # ASCII only, safe for any reader
        return
    summaries, refused = found["files"], found["not_compared"]
    tables = _scores(summaries), _by_length(summaries), _health(summaries)
    print(*map(markdown, tables), sep="\n\n", end="\n\n")
    for line in _uncounted(summaries):
        print(line)
    lines = _differences(found["comparisons"])
    for line in [*lines, *(f"{pair}: {why}" for pair, why in refused.items())]:
        print(line)


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """Returns the files by stem, or by path if two have the same stem."""
    stems = [path.stem for path in files]
    distinct = len(set(stems)) == len(stems)
    return {path.stem if distinct else str(path): path for path in files}


def _scores(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    graded = any(found["S_q"] is not None for found in summaries.values())
    columns = ("file", *SCORES, *(GRADES if graded else ()), *LENGTH)
    rows = [
        [
            name,
            *score_cells(found, graded=graded),
            count(found["length"]["longest_words"]),
            signed_percent(found["length"]["deviation"]),
            constraints_met(found["length"]["obedience"]),
        ]
        for name, found in summaries.items()
    ]
    return Table(columns, rows)


def _by_length(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    bins = list(dict.fromkeys(name for found in summaries.values() for name in found["by_length"]))
    rows = [
        [name, *(_bin_cell(found["by_length"].get(label)) for label in bins)]
        for name, found in summaries.items()
    ]
    return Table(["S_l by required length", *map(bin_title, bins)], rows)


def _health(summaries: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [
        [name, *(percent(found["health"][key]) for key in HEALTH)]
        for name, found in summaries.items()
    ]
    return Table(["text health", *HEALTH.values()], rows)


def _uncounted(summaries: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Returns a warning for each file with texts whose words the paper's rule mostly ignores."""
    return [
        f"{name}: most letters of {share * found['n']:.0f} of {found['n']} texts are in words that don't count "
        "(kana, Hangul, Cyrillic, accents): S_l says nothing about them"
        for name, found in summaries.items()
        if (share := found["health"]["mostly_uncounted"])
    ]


def _bin_cell(cell: Mapping[str, Any] | None) -> str:
    return f"{number(cell['S_l'])} (n {cell['n']})" if cell else NONE


def _differences(compared: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    return [
        f"{pair}, paired [95 %]: "
        + "; ".join(
            f"{COMPARED[name]} {signed_interval(Interval(**found))}"
            for name, found in differences.items()
        )
        for pair, differences in compared.items()
    ]
