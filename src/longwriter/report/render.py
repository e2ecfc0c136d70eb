"""Renders the report as one self-contained HTML page, and as Markdown."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from longwriter.core import templates
from longwriter.core.rows import Judgement
from longwriter.core.statistics import Interval
from longwriter.core.tables import NONE, Table, count, number, signed
from longwriter.models.lineup import STEPS
from longwriter.report.samples import pick_samples
from longwriter.report.tables import (
    Comparisons,
    Metrics,
    costs_table,
    differences,
    scores_table,
    sections,
)

if TYPE_CHECKING:
    from longwriter.report.load import Results
    from longwriter.report.style import ReportFigure
    from longwriter.tracking.lineage import Link


class ReportProvenance(NamedTuple):
    """Where the results come from."""

    run: str
    """Id of the pipeline's MLflow run."""
    address: str
    """URL at which `make ui` shows the run."""
    links: Sequence["Link"]
    """Lineage from the scores back to the instructions."""
    params: str
    """Content of params.yaml."""

    @property
    def table(self) -> Table:
        """The links as a table, one row each."""
        columns = ("path", "digest", "stage", "MLflow run", "code")
        rows = [
            (link.marked_path, link.digest, link.stage or NONE)
            + ((link.run.run_id, link.run.code) if link.run else (NONE, NONE))
            for link in self.links
        ]
        return Table(columns, rows)


def headline(evals: Mapping[str, Metrics], comparisons: Mapping[str, Interval]) -> str:
    """Returns how each training step changed S_l, and whether its interval excludes 0."""
    parts = []
    for step, found in comparisons.items():
        title, after, before = STEPS[step].title, STEPS[step].name, STEPS[step].before
        assert before is not None
        verb, verdict = _verdict(found)
        parts.append(
            f"{title} {verb} the length score S_l from {number(evals[before]['S_l'])} to "
            f"{number(evals[after]['S_l'])} ({signed(found.mean)}, 95 % interval "
            f"{signed(found.low)} to {signed(found.high)}, {verdict})"
        )
    if not parts:
        parts = [f"{model} has S_l {number(evals[model]['S_l'])}" for model in evals]
    return "; ".join(parts) + "."


def lengths_line(judgements: Mapping[str, Sequence[Judgement]]) -> str:
    """Returns the mean words that were required and that each model wrote."""
    required = fmean(row.length for row in next(iter(judgements.values())))
    parts = [
        f"{model} {count(fmean(row.response_length for row in rows))}"
        for model, rows in judgements.items()
    ]
    return f"Mean words: required {count(required)}; written by {', '.join(parts)}."


def _verdict(found: Interval) -> tuple[str, str]:
    if found.sign > 0:
        return "raised", "which excludes 0"
    if found.sign < 0:
        return "lowered", "which excludes 0"
    return "moved", "which includes 0: no change is shown"


def judge_remark(audit: Metrics | None) -> str:
    """Returns why S_q and S̄ are not shown; empty if the judge passed its audit.

    Args:
        audit: metrics/judge_audit.json; None if the judge was not audited.
    """
    if audit is None:
        return "S_q is not shown: the judge was not audited (stage judge_audit)."
    if audit.get("trusted"):
        return ""
    faults = "; ".join(audit.get("faults", ["it was audited by an earlier version"]))
    return (
        f"S_q, the judge's quality score, is hidden because the judge failed its audit: {faults}."
    )


def render(
    results: "Results",
    comparisons: Comparisons,
    figures: Sequence["ReportFigure"],
    seconds: Mapping[str, float],
    origin: ReportProvenance,
) -> str:
    """Returns the report as an HTML page that needs no other file and no network.

    Args:
        comparisons: step → name → paired difference.
        seconds: stage → duration of its last run, where MLflow knows it.
        origin: where the results come from.
    """
    shown = [(_data_address(drawn.path), drawn.caption) for drawn in figures]
    return templates.render(
        "longwriter.report",
        "page.html",
        **_shared(results, comparisons, seconds),
        origin=origin,
        figures=shown,
        requests=(requests := pick_samples(results.judgements)),
        models=list(results.judgements),
        answer_marks=sorted({mark for request in requests for mark in request.marks}),
        rejected=results.rejected,
    )


def render_markdown(
    results: "Results",
    comparisons: Comparisons,
    figures: Sequence["ReportFigure"],
    seconds: Mapping[str, float],
    origin: ReportProvenance,
) -> str:
    """Returns the report as Markdown, without the sample texts.

    Links to the figures are relative, so save it next to the figures' folder. Arguments as for
    `render`.
    """
    shown = [(f"{drawn.path.parent.name}/{drawn.path.name}", drawn.caption) for drawn in figures]
    return templates.render(
        "longwriter.report",
        "report.md",
        **_shared(results, comparisons, seconds),
        origin=origin,
        figures=shown,
    )


def _shared(
    results: "Results", comparisons: Comparisons, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Returns the variables that both templates use."""
    of_length = {step: found["S_l"] for step, found in comparisons.items() if "S_l" in found}
    return {
        "headline": headline(results.evals, of_length),
        "scores": scores_table(results.evals, graded=results.graded),
        "lengths": lengths_line(results.judgements),
        "judge_remark": judge_remark(results.metrics.get("judge_audit")),
        "differences": differences(of_length) if of_length else "",
        "sections": sections(
            results.evals, comparisons, results.metrics.get("judge_audit"), graded=results.graded
        ),
        "costs": costs_table(results.numbers, seconds),
        "git": results.git,
        "last_model": list(results.evals)[-1],
        "outputs": Table(
            ("path", "md5", "bytes"),
            [(output.path, output.md5, count(output.size)) for output in results.outputs],
        ),
    }


def _data_address(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"
