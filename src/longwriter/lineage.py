"""From a result back to the words it came from: answer, checkpoint, training rows, drafts with their
plans, instructions; with the md5 in dvc.lock, the commit and the MLflow run of each.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from longwriter.errors import DataError
from longwriter.records import Judgement, Prediction, TrainingRow, read_jsonl
from longwriter.tracking import StageRun, locked_stages, stage_runs

CHAIN = {
    "data/predictions/base.jsonl": "answers of base",
    "data/predictions/sft.jsonl": "answers of sft",
    "data/predictions/dpo.jsonl": "answers of dpo",
    "models/dpo": "checkpoint",
    "data/dpo/pairs.jsonl": "preference pairs",
    "models/sft": "checkpoint",
    "data/sft/train.jsonl": "training rows",
    "data/agentwrite/drafts.jsonl": "drafts with their plans",
    "data/general/rows.jsonl": "general rows",
    "data/instructions.jsonl": "instructions",
    "data/instructions_long.jsonl": "instructions",
    "models/base": "starting checkpoint",
}
"""Path → what it is, from the results back."""
ANSWER = re.compile(r"(?:.*/)?(\w+)\.jsonl:(\d+)")
NEAREST = 3
"""Training rows that are named for an answer: those whose length is nearest to the one asked for."""


class Link(NamedTuple):
    """A link of the chain."""

    what: str
    path: str
    md5: str
    stage: str
    """Which made it, as DVC calls it; empty for an input."""
    run: StageRun | None
    """The last run that MLflow knows of that stage."""

    def __str__(self) -> str:
        made = f", stage {self.stage}" if self.stage else ""
        run = f", MLflow run {self.run.run_id}, code {self.run.code}" if self.run else ""
        return f"{self.what}, {self.path}: md5 {self.md5}{made}{run}"


def chain(root: Path, runs: Mapping[str, StageRun]) -> list[Link]:
    """Returns the links that dvc.lock of the checkout `root` knows, from the results back.

    Args:
        runs: as of `stage_runs`.
    """
    stages = locked_stages(root)
    made = {
        out["path"]: (out["md5"], name)
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    inputs = {dep["path"]: (dep["md5"], "") for dep in stages.get("agentwrite", {}).get("deps", [])}
    known = inputs | made
    found = []
    for path, what in CHAIN.items():
        if path in known:
            md5, stage = known[path]
            found.append(Link(what, path, md5, stage, runs.get(stage.replace("@", " "))))
    return found


def explain(root: Path, name: str) -> str:
    """What is known of `name` in the checkout `root`: the id of a row, or an answer of the benchmark
    as file and line, such as `data/predictions/sft.jsonl:3`.

    Raises:
        DataError: no file of the pipeline holds it.
        SettingsError: there is no params.yaml.
    """
    answer = ANSWER.fullmatch(name)
    if answer:
        return "\n".join(_answer(root, answer[1], int(answer[2])))
    from longwriter.dataset.explain import explain as explain_row  # the filter, for this only

    found = _back_from(root, "models/sft")
    return "\n".join([explain_row(root, name), "where it went and came from:", *map(str, found)])


def _answer(root: Path, model: str, number: int) -> Iterator[str]:
    path = root / f"data/predictions/{model}.jsonl"
    rows = read_jsonl(path, Prediction)
    if not 1 <= number <= len(rows):
        raise DataError(f"{path}:{number}: it has {len(rows)} lines")
    row = rows[number - 1]
    yield f"answer of {model}, line {number}: {_short(row.prompt)}"
    yield f"  {row.response_length} of {row.length} words; begins: {_short(row.response)}"
    judgements = root / f"data/judgements/{model}.jsonl"
    if judgements.exists():
        judged = read_jsonl(judgements, Judgement)[number - 1]
        yield f"  S_l {judged.length_score:.1f}, judged: {judged.scores or judged.unscored}"
    if model != "base":
        yield from _nearest(root, row.length)
    yield "where it came from:"
    yield from map(str, _back_from(root, f"data/predictions/{model}.jsonl"))


def _nearest(root: Path, length: int) -> Iterator[str]:
    trained = read_jsonl(root / "data/sft/train.jsonl", TrainingRow)
    near = sorted(trained, key=lambda row: abs((row.response_length or 0) - length))[:NEAREST]
    yield f"trained on {len(trained)} rows; nearest in length, `longwriter explain ID` shows each:"
    yield from (f"  {row.id}: {row.response_length} words, {row.source}" for row in near)


def _back_from(root: Path, path: str) -> list[Link]:
    """The chain from `path` on, without other models' answers and what came after it."""
    links = chain(root, stage_runs(root))
    model = Path(path).stem
    later = {"base": ("dpo", "sft"), "sft": ("dpo",)}.get(model, ())
    found = []
    for link in links:
        answers = link.path.startswith("data/predictions/")
        if answers and link.path != path:
            continue
        if any(link.path.startswith((f"models/{name}", f"data/{name}/")) for name in later):
            continue
        if model == "base" and not answers and link.path != "models/base":
            continue
        found.append(link)
    return found


def _short(text: str, most: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
