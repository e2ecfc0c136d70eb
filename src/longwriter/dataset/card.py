"""The data card: what the training set holds, what it was made from, what each rule removed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter

import yaml

from longwriter.dataset.counts import FilterCounts, Sum
from longwriter.dataset.settings import FilterSettings
from longwriter.evaluation.contamination import BenchmarkFiles
from longwriter.evaluation.settings import ContaminationSettings

LISTED = 50
"""Ids of rows over max_length that the card names; rejected.jsonl holds all."""


_SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


@dataclass(frozen=True)
class Writer:
    """Who wrote the drafts."""

    model: str
    prompts: str
    """SHA-256 of the sentences that the agent asked it with."""


@dataclass(frozen=True)
class Provenance:
    """What the rows were made from."""

    writer: Writer
    inputs: Mapping[str, str]
    """Input → its SHA-256, or the hub's revision."""
    benchmarks: BenchmarkFiles
    tokenizer: str
    """Folder whose tokens are counted; empty: there is none."""


def card(
    counts: FilterCounts,
    settings: FilterSettings,
    contamination: ContaminationSettings,
    made: Provenance,
) -> str:
    """The card in Markdown, without YAML header."""
    return "\n".join(
        [
            "# Training set",
            "",
            *_summary(counts, settings, made),
            *_parts(counts),
            *_removed(counts, settings),
            *_provenance(counts, settings, contamination, made),
            *_limits(counts, settings, made),
        ]
    )


def _summary(counts: FilterCounts, settings: FilterSettings, made: Provenance) -> list[str]:
    train, counted = counts.train, counts.counted and counts.train.rows
    tokens = (
        f"{train.tokens:,} tokens by the student's tokenizer" if counted else "tokens not counted"
    )
    return [
        f"{train.rows:,} conversations, {train.words:,} words, {tokens}: drafts that the teacher "
        f"`{made.writer.model}` or the sources below wrote, kept by rule, and {counts.chat['mixed_in']:,} "
        "rows of chat.",
        "",
        f"- drafts read: {counts.drafts:,}; kept: {counts.kept:,}; of these set aside for validation, in "
        f"`validation.jsonl`: {counts.validation.rows:,}",
        f"- chat rows read: {counts.chat['read']:,}; rejected: "
        f"{counts.chat_rejected.total():,}; mixed in: {counts.chat['mixed_in']:,}",
        "",
    ]


def _parts(counts: FilterCounts) -> list[str]:
    lines = []
    for part, title in (
        ("language", "language"), ("type", "type"), ("source", "source"), ("words", "words"),
    ):  # fmt: skip
        found = counts.parts[part]
        order = sorted(found, key=_by_number if part == "words" else str)
        lines += _table(
            f"By {title}",
            (title, "rows", "words", "tokens"),
            [(name, *_numbers(found[name], counts.counted)) for name in order],
        )
    return lines


def _by_number(name: str) -> int:
    return int(name.rstrip("+").split("-")[0])


def _numbers(sums: Sum, counted: bool) -> tuple[str, str, str]:
    return f"{sums.rows:,}", f"{sums.words:,}", f"{sums.tokens:,}" if counted else "–"


def _removed(counts: FilterCounts, settings: FilterSettings) -> list[str]:
    asked = [rule for rule in settings.rules if rule != "low_quality" or settings.min_quality]
    share = max(counts.drafts, 1)
    rows = [(r, f"{counts.rejected[r]:,}", f"{counts.rejected[r] / share:.1%}") for r in asked]
    lines = _table("What each rule removed", ("rule", "drafts", "share"), rows)
    lines += ["The rules in the order they are asked; the first that rejects counts.", ""]
    if counts.over_length:
        named = ", ".join(f"`{name}`" for name in sorted(counts.over_length)[:LISTED])
        more = len(counts.over_length) - LISTED
        lines += [
            f"Over {settings.max_length:,} tokens and so left out, never cut: {named}"
            + (f" and {more:,} more" if more > 0 else "") + ".",
            "",
        ]  # fmt: skip
    return lines


def _provenance(
    counts: FilterCounts,
    settings: FilterSettings,
    contamination: ContaminationSettings,
    made: Provenance,
) -> list[str]:
    licenses = [(name, license_of(name, settings)) for name in sorted(counts.parts["source"])]
    values = {
        key: value
        for key, value in asdict(settings).items()
        if key not in ("rules", "licenses", "drafts", "revision")
    } | {"contamination": asdict(contamination)}
    return [
        *_table("Licence by source", ("source", "licence"), licenses),
        *_table("Made from", ("input", "SHA-256 or revision"), sorted(made.inputs.items())),
        f"Teacher: `{made.writer.model}`. The agent's prompts: SHA-256 `{made.writer.prompts}`. Seed: {settings.seed}.",
        "",
        "Settings:",
        "",
        "```json",
        json.dumps(values, ensure_ascii=False, indent=1, default=attrgetter("value")),  # an Enum's
        "```",
        "",
    ]


def _limits(counts: FilterCounts, settings: FilterSettings, made: Provenance) -> list[str]:
    on = set(settings.rules)
    checked = ", ".join(path.name for path in made.benchmarks.found) or "none"
    missing = ", ".join(path.name for path in made.benchmarks.missing)
    contamination = (
        f"Benchmark prompts were looked for in the instructions: {checked}."
        + (f" Not there, so not looked for: {missing}." if missing else "")
        if "contaminated" in on
        else "Benchmark prompts were not looked for (`contaminated` is off)."
    )
    return [
        "## Known limits",
        "",
        "- The texts are a model's: what they state as fact was not checked, and they carry its biases.",
        "- The rules see form (length, loops, language, labels, endings), not whether a text is good"
        + (
            "."
            if settings.min_quality is not None
            else "; no judge's score was asked for (`min_quality`)."
        ),
        "- Rules speak English and Chinese. Words are counted as the paper does: a Chinese character or "
        "an English word is one; other scripts count nothing.",
        f"- {contamination} A paraphrase is not found.",
        "- Near duplicates are found by shared 3-word sequences: a retelling in other words stays.",
        "- Tokens were "
        + (f"counted with `{made.tokenizer}`." if made.tokenizer else "not counted: no tokenizer was there."),
        "",
    ]  # fmt: skip


def license_of(source: str, settings: FilterSettings) -> str:
    """The licence of a source, by conf/filter; of a data set of the hub at any revision."""
    return settings.licenses.get(_hub_id(source), settings.licenses.get("default", "unknown"))


def _hub_id(source: str) -> str:
    return source.partition(" at ")[0]


def header(counts: FilterCounts, settings: FilterSettings, has_validation: bool) -> str:
    """The YAML header of a data set's README on the Hugging Face hub, `---` lines included.

    Source: https://huggingface.co/docs/hub/datasets-cards
    """
    sources = sorted(counts.parts["source"])
    licenses = {license_of(name, settings).lower() for name in sources}
    files = [{"split": "train", "path": "data/train.parquet"}]
    if has_validation:
        files.append({"split": "validation", "path": "data/validation.parquet"})
    values = {
        "language": [name for name in sorted(counts.parts["language"]) if name],
        "license": licenses.pop() if len(licenses) == 1 else "other",
        "size_categories": [_size(counts.train.rows)],
        "task_categories": ["text-generation"],
        "source_datasets": sorted({_hub_id(name) for name in sources if "/" in name})
        or ["original"],
        "tags": ["long-form-generation", "longwriter", "synthetic"],
        "pretty_name": "longwriter training set",
        "configs": [{"config_name": "default", "data_files": files}],
    }
    if values["license"] == "unknown":
        values["license"] = "other"
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "n>1M")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"## {title}", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return [*lines, ""]
