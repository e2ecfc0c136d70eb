"""Reads the stages' outputs for the report."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.core.errors import DataError
from longwriter.core.rows import Judgement, RejectedRow
from longwriter.core.settings import StatisticsSettings
from longwriter.core.sources import checked, parse_line, read_jsonl, stream_lines
from longwriter.core.statistics import Interval
from longwriter.core.tables import round_floats
from longwriter.evaluation.health import health, marks
from longwriter.evaluation.judge import quality_score
from longwriter.evaluation.scoring import comparison, reason
from longwriter.evaluation.settings import BenchSettings
from longwriter.models.lineup import MODELS, STEPS
from longwriter.report.samples import Rejections, pick_rejected
from longwriter.text.languages import benchmark_language
from longwriter.tracking.provenance import GitState, git_state, locked_stages

STAGES = ("agentwrite", "short_answers", "filter", "sft", "pairs", "dpo", "judge_audit")
"""Stages that write a file directly in metrics/, in pipeline order."""

OWN = ("comparison", "summary")
"""Files in metrics/ that the report itself writes."""

MOST_CHARACTERS = 300
"""Maximum characters of a prompt or a text in MLflow's table."""


class Output(NamedTuple):
    """A stage's output as recorded in dvc.lock."""

    path: str
    md5: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Results:
    """Everything the report is built from."""

    metrics: Mapping[str, Any]
    """Name → metrics/<name>.json: an object, or a list of points for a curve. Has no intervals
    until `intervals.with_intervals` adds them."""
    evals: Mapping[str, Mapping[str, Any]]
    """Model → metrics/eval/<model>.json, in the order of training."""
    predicts: Mapping[str, Mapping[str, Any]]
    """Model → metrics/predict/<model>.json, in the order of training."""
    judgements: Mapping[str, Sequence[Judgement]]
    outputs: Sequence[Output]
    git: GitState
    rejected: Sequence[Rejections] = ()
    """Rejected drafts by filter rule."""

    @property
    def graded(self) -> bool:
        """Whether the judge passed its audit, so that S_q and S̄ are shown."""
        return bool(self.metrics.get("judge_audit", {}).get("trusted"))

    @property
    def numbers(self) -> dict[str, Any]:
        """All metrics as one nested object."""
        return {**self.metrics, "predict": dict(self.predicts), "eval": dict(self.evals)}

    @property
    def pointers(self) -> dict[str, str]:
        """Path → md5 of every output in dvc.lock, except the report's own."""
        return {output.path: output.md5 for output in self.outputs}


def read_results(root: Path) -> Results:
    """Reads the stages' outputs in the checkout `root`; stages that have not run are left out.

    Raises:
        DataError: no model has been evaluated, or a file is malformed.
    """
    evals = _by_model(root / "metrics/eval")
    if not evals:
        raise DataError(f"{root}/metrics/eval: holds no scores; `dvc repro eval` writes them")
    return Results(
        metrics={
            path.stem: _read_json(path)
            for path in sorted((root / "metrics").glob("*.json"), key=_place)
            if path.stem not in OWN
        },
        evals=evals,
        predicts=_by_model(root / "metrics/predict"),
        judgements={
            model: read_jsonl(root / f"data/judgements/{model}.jsonl", Judgement) for model in evals
        },
        outputs=_outputs(root),
        git=git_state(root),
        rejected=_rejected(root / "data/sft/rejected.jsonl"),
    )


def read_audit(root: Path) -> Mapping[str, Any] | None:
    """Returns metrics/judge_audit.json; None if the judge was not audited."""
    path = root / "metrics/judge_audit.json"
    return _read_json(path) if path.exists() else None


def compare_models(
    results: Results, bench: BenchSettings, statistics: StatisticsSettings
) -> dict[str, dict[str, Interval]]:
    """Returns step → name → paired difference (see `comparison`).

    Includes every step, such as `sft-base`, whose two models have been evaluated.
    """
    found = {}
    rows = results.judgements
    for step, model in STEPS.items():
        if model.before and model.before in rows and model.name in rows:
            differences = comparison(rows[model.before], rows[model.name], bench, statistics)
            found[step] = {
                name: Interval(*round_floats(difference))
                for name, difference in differences.items()
            }
    return found


def as_json(comparisons: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    """Returns metrics/comparison.json: per step, S_l's difference inline and the others by name."""
    return {
        step: found["S_l"]._asdict()
        | {name: each._asdict() for name, each in found.items() if name != "S_l"}
        for step, found in comparisons.items()
    }


def summary(results: Results) -> dict[str, dict[str, float | None]]:
    """Returns metrics/summary.json, which `dvc metrics show` prints: model → main scores."""
    return {
        model: {
            "S_l": found["S_l"],
            "within_20": found["length"]["within_20"],
            "rank_correlation": (found["length"].get("rank_correlation") or {}).get("value"),
        }
        for model, found in results.evals.items()
    }


def compared_numbers(
    results: Results, comparisons: Mapping[str, Mapping[str, Interval]]
) -> dict[str, dict[str, float | None]]:
    """Returns the numbers to compare between pipelines: score → model or step → value.

    The form and the names are those that MLflow's charts show.
    """
    found: dict[str, dict[str, float | None]] = {}
    for model, scores in summary(results).items():
        result = results.evals[model]
        more = {
            "cut_off": result["cut_off"] / result["n"],
            "looping": result["health"]["looping"],
            "mean_words": result["mean_words"],
        }
        graded = {"S_q": result["S_q"], "S_bar": result["S_bar"]} if results.graded else {}
        for name, value in {**scores, **more, **graded}.items():
            found.setdefault(name, {})[model] = value
    for step, differences in comparisons.items():
        found["S_l"][step] = differences["S_l"].mean
    return found


def row_table(judgements: Mapping[str, Sequence[Judgement]], *, graded: bool) -> dict[str, Any]:
    """Returns every answer with its marks as a table in MLflow's form: `columns` and `data`.

    MLflow's view matches rows of different runs by the first column and compares the second. Texts
    are truncated; the full ones are in data/judgements/.

    Args:
        graded: whether S_q is shown.
    """
    rows = [
        {
            "answer": f"{model}: {row.prompt[:MOST_CHARACTERS]}",
            "result": f"{row.response_length:,} of {row.length:,} words, S_l {row.length_score:.0f}: "
            f"{row.response[:MOST_CHARACTERS]}",
            "model": model,
            "type": row.type,
            "language": benchmark_language(row.prompt),
            "required": row.length,
            "written": row.response_length,
            "S_l": round(row.length_score, 1),
            "marks": ", ".join(marks(health(row))),
            "finish_reason": row.finish_reason,
        }
        | (_grades(row) if graded else {})
        for model, answers in judgements.items()
        for row in answers
    ]
    return {"columns": list(rows[0]) if rows else [], "data": [list(row.values()) for row in rows]}


def _grades(row: Judgement) -> dict[str, Any]:
    s_q = None if row.scores is None else round(quality_score(row.scores), 1)
    return {"S_q": s_q, "unscored": reason(row.unscored)}


def _place(path: Path) -> tuple[int, str]:
    """Returns a sort key that puts metric files in pipeline order, other names last."""
    known = path.stem in STAGES
    return (STAGES.index(path.stem) if known else len(STAGES), path.stem)


def _rejected(path: Path) -> list[Rejections]:
    if not path.exists():
        return []
    lines = ((f"{path}:{number}", line) for number, line in stream_lines(path))
    return pick_rejected(
        checked(parse_line(line, where), RejectedRow, where) for where, line in lines
    )


def _by_model(folder: Path) -> dict[str, Any]:
    paths = {model.name: folder / f"{model.name}.json" for model in MODELS}
    return {model: _read_json(path) for model, path in paths.items() if path.exists()}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); run the stage that writes it again") from None


def _outputs(root: Path) -> list[Output]:
    """Reads the outputs in dvc.lock, except those of the report stage.

    A page that contained the md5 of the page before it would differ on every run.
    """
    return [
        Output(out["path"], out["md5"], out["size"])
        for name, stage in locked_stages(root).items()
        if name != "report"
        for out in stage.get("outs", [])
    ]
