"""The data card: what the training set holds, what it was made from, what each rule removed."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

import yaml

from longwriter.dataset.contamination import Checked
from longwriter.dataset.settings import FilterSettings
from longwriter.dataset.tally import Sum, Tally

LISTED = 50
"""Ids of rows over max_length that the card names; rejected.jsonl holds all."""

_SIZES = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]


@dataclass(frozen=True)
class Provenance:
    """What the rows were made from."""

    teacher: str
    """Model that wrote the drafts."""
    prompts: str
    """SHA-256 of the agent's prompts."""
    inputs: Mapping[str, str]
    """Input → its SHA-256, or the hub's revision."""
    benchmarks: Checked
    tokenizer: str
    """Folder whose tokens are counted; empty: there is none."""
    seed: int


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def card(tally: Tally, settings: FilterSettings, made: Provenance) -> str:
    """The card in Markdown, without YAML header."""
    return "\n".join(
        [
            "# Training set",
            "",
            *_summary(tally, settings, made),
            *_parts(tally),
            *_removed(tally, settings),
            *_provenance(tally, settings, made),
            *_limits(tally, settings, made),
        ]
    )


def _summary(tally: Tally, settings: FilterSettings, made: Provenance) -> list[str]:
    train, counted = tally.train, tally.counted and tally.train.rows
    tokens = (
        f"{train.tokens:,} tokens by the student's tokenizer" if counted else "tokens not counted"
    )
    return [
        f"{train.rows:,} conversations, {train.words:,} words, {tokens}: drafts that the teacher "
        f"`{made.teacher}` or the sources below wrote, kept by rule, and {tally.general['mixed_in']:,} "
        "rows of general chat.",
        "",
        f"- drafts read: {tally.drafts:,}; kept: {tally.kept:,}; of these held out for measuring, in "
        f"`heldout.jsonl`: {tally.held_out.rows:,}",
        f"- general rows read: {tally.general['read']:,}; rejected: "
        f"{tally.general_rejected.total():,}; mixed in: {tally.general['mixed_in']:,}",
        "",
    ]


def _parts(tally: Tally) -> list[str]:
    lines = []
    for part, title in (
        ("language", "language"), ("type", "type"), ("source", "source"), ("words", "words"),
    ):  # fmt: skip
        found = tally.parts[part]
        order = sorted(found, key=_by_number if part == "words" else str)
        lines += _table(
            f"By {title}",
            (title, "rows", "words", "tokens"),
            [(name, *_numbers(found[name], tally.counted)) for name in order],
        )
    return lines


def _by_number(name: str) -> int:
    return int(name.rstrip("+").split("-")[0])


def _numbers(sums: Sum, counted: bool) -> tuple[str, str, str]:
    return f"{sums.rows:,}", f"{sums.words:,}", f"{sums.tokens:,}" if counted else "–"


def _removed(tally: Tally, settings: FilterSettings) -> list[str]:
    asked = [rule for rule in settings.rules if rule != "low_quality" or settings.min_quality]
    share = max(tally.drafts, 1)
    rows = [(r, f"{tally.rejected[r]:,}", f"{tally.rejected[r] / share:.1%}") for r in asked]
    lines = _table("What each rule removed", ("rule", "drafts", "share"), rows)
    lines += ["The rules in the order they are asked; the first that rejects counts.", ""]
    if tally.over_length:
        named = ", ".join(f"`{name}`" for name in sorted(tally.over_length)[:LISTED])
        more = len(tally.over_length) - LISTED
        lines += [
            f"Over {settings.max_length:,} tokens and so left out, never cut: {named}"
            + (f" and {more:,} more" if more > 0 else "") + ".",
            "",
        ]  # fmt: skip
    return lines


def _provenance(tally: Tally, settings: FilterSettings, made: Provenance) -> list[str]:
    licenses = [(name, license_of(name, settings)) for name in sorted(tally.parts["source"])]
    values = {
        key: value
        for key, value in asdict(settings).items()
        if key not in ("rules", "licenses", "drafts", "revision")
    }
    return [
        *_table("Licence by source", ("source", "licence"), licenses),
        *_table("Made from", ("input", "SHA-256 or revision"), sorted(made.inputs.items())),
        f"Teacher: `{made.teacher}`. The agent's prompts: SHA-256 `{made.prompts}`. Seed: {made.seed}.",
        "",
        "Settings:",
        "",
        "```json",
        json.dumps(values, ensure_ascii=False, indent=1, default=attrgetter("value")),  # an Enum's
        "```",
        "",
    ]


def _limits(tally: Tally, settings: FilterSettings, made: Provenance) -> list[str]:
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


def header(tally: Tally, settings: FilterSettings, held_out: bool) -> str:
    """The YAML header of a data set's README on the Hugging Face hub, `---` lines included.

    Source: https://huggingface.co/docs/hub/datasets-cards
    """
    sources = sorted(tally.parts["source"])
    licenses = {license_of(name, settings).lower() for name in sources}
    files = [{"split": "train", "path": "data/train.parquet"}]
    if held_out:
        files.append({"split": "validation", "path": "data/validation.parquet"})
    values = {
        "language": [name for name in sorted(tally.parts["language"]) if name],
        "license": licenses.pop() if len(licenses) == 1 else "other",
        "size_categories": [_size(tally.train.rows)],
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
