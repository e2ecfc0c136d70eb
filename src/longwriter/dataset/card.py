"""The data card: what the training set contains, what it was made from, what each rule removed.

The text is in templates/card.md.jinja; this module supplies its values.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import attrgetter
from typing import Any

import yaml

from longwriter.core.tables import count
from longwriter.core.templates import render
from longwriter.dataset.counts import FilterCounts, lower_edge
from longwriter.dataset.settings import FilterSettings
from longwriter.evaluation.contamination import BenchmarkFiles
from longwriter.evaluation.settings import ContaminationSettings

LISTED = 50
"""Ids of rows over max_length that the card lists at most; rejected.jsonl has them all."""
_SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


@dataclass(frozen=True)
class Provenance:
    """What the rows were made from."""

    prompts: str
    """SHA-256 of the agent's prompts."""
    inputs: Mapping[str, str]
    """Input → its SHA-256, or its Hub revision."""
    benchmarks: BenchmarkFiles
    tokenizer: str
    """Folder of the tokenizer that counted the tokens; empty if there was none."""


def card(
    counts: FilterCounts,
    settings: FilterSettings,
    contamination: ContaminationSettings,
    made: Provenance,
) -> str:
    """Returns the card in Markdown, without a YAML header."""
    return render(
        "longwriter.dataset",
        "card.md.jinja",
        counts=counts,
        tokens_counted=counts.counted and counts.train.rows,
        parts={name: _part(counts, name) for name in counts.parts},
        removed=_removed(counts, settings),
        listed=LISTED,
        licenses=[(name, license_of(name, settings)) for name in sorted(counts.parts["source"])],
        settings=settings,
        values=_values(settings, contamination),
        made=made,
    )


def _part(counts: FilterCounts, part: str) -> list[tuple[str, ...]]:
    """Returns rows, words and tokens by language, type, source, writer or length bin."""
    sums = counts.parts[part]
    order = sorted(sums, key=lower_edge if part == "words" else str)
    return [
        (
            name,
            count(sums[name].rows),
            count(sums[name].words),
            count(sums[name].tokens if counts.counted else None),
        )
        for name in order
    ]


def _removed(counts: FilterCounts, settings: FilterSettings) -> list[tuple[str, ...]]:
    """Returns what each active rule removed, and its share of the drafts."""
    drafts = max(counts.drafts, 1)
    return [
        (rule, count(counts.rejected[rule]), f"{counts.rejected[rule] / drafts:.1%}")
        for rule in settings.rules
        if rule != "low_quality" or settings.min_quality
    ]


def _values(settings: FilterSettings, contamination: ContaminationSettings) -> str:
    """Returns the settings that the card shows nowhere else, as JSON."""
    shown_elsewhere = ("rules", "licenses", "drafts", "revision")
    values: dict[str, Any] = {k: v for k, v in asdict(settings).items() if k not in shown_elsewhere}
    values["contamination"] = asdict(contamination)
    return json.dumps(values, ensure_ascii=False, indent=1, default=attrgetter("value"))  # of Enums


def license_of(source: str, settings: FilterSettings) -> str:
    """Returns the licence of a source as set in conf/filter, for a Hub dataset at any revision."""
    return settings.licenses.get(_hub_id(source), settings.licenses.get("default", "unknown"))


def _hub_id(source: str) -> str:
    return source.partition(" at ")[0]


def header(counts: FilterCounts, settings: FilterSettings, has_validation: bool) -> str:
    """Returns the YAML header of a dataset's README on the Hugging Face Hub, `---` lines included.

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
