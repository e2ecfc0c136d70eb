"""Measures precision and recall of the filter's rules on texts that were read by hand.

    python benchmarks/rules.py                          # drafts of the embedded teacher
    python benchmarks/rules.py --texts real_texts.jsonl # also texts of many models
    python benchmarks/rules.py --ask                    # also `filter.ask_judge`, default judge
    python benchmarks/rules.py --ask judge.kind=endpoint judge.base_url=… judge.model=…

The labels are in tests/data/read_rows.jsonl, one row per line: `id`, `language`, `verdict` (keep,
strip or reject), `findings` (each a `kind`, with the decisive `words` if there are any) and `read`.
The latter is `whole`, or `ends` if only beginning and end were read; faults in the middle were then
looked for with looser rules. Where a rule and the reader disagreed, the row was read again, so
precision is biased in favour of the rules. For drafts of the embedded teacher the file has prompt
and response; for other people's texts only the `sha256` of the response. For those, --texts names a
JSON Lines file of `id` and `messages`.

The first table has the precision of each rule by language: a finding is right if the reader found
one of the kinds that the rule is for, or named the same words. The second has the recall of each
kind: how many of the rows that have it are rejected by the rules for it, and by any rule. Intervals
are Wilson's, at 95 %. The lines below count the rows with verdict `keep` that a content rule
rejects.

With --ask, a last table covers the faults that `filter.ask_judge` knows: how many of the rows that
have one are found, and how many good rows are flagged, by the rules, by the judge and by either.
"""

import argparse
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from scipy.stats import binomtest

from longwriter.config.load import compose_params, validate
from longwriter.config.schema import Settings
from longwriter.core.rows import Message, TrainingRow
from longwriter.core.tables import Table, markdown
from longwriter.core.workspace import Workspace
from longwriter.dataset.meaning import QUESTIONS, ask, schema
from longwriter.dataset.rule_runner import RuleJob, RuleRunner
from longwriter.dataset.rules import BETWEEN_ROWS, CONTAMINATED, MALFORMED
from longwriter.llm.check import Parameters
from longwriter.llm.session import CallContext, with_client

ROOT = Path(__file__).resolve().parent.parent
LABELS = ROOT / "tests/data/read_rows.jsonl"

LOOPS = ("repetition", "copied", "repeated_span", "low_variety", "near_copy", "stuttering")
RULES_OF_KIND = {
    "opener": ("opener",),
    "closer": ("closer",),
    "note": ("note", "residue"),
    "soft_refusal": ("soft_refusal", "refusal"),
    "refusal": ("refusal", "soft_refusal"),
    "placeholder": ("placeholder",),
    "self_judgement": ("self_judgement", "note"),
    "outline": ("outline", "soft_refusal"),
    "control_token": ("control_tokens",),
    "foreign_word": ("foreign_word", "mixed_script"),
    "near_copy": LOOPS,
    "loop": LOOPS,
    "prompt_copy": ("prompt_copy",),
    "continuation": ("continuation", "unfinished"),
    "after_end": ("after_end",),
    "numbering": ("numbering",),
    "fence": ("fence",),
    "word_count": ("residue", "note"),
    "label": ("residue",),
    "unfinished": ("unfinished",),
    "wrong_language": ("wrong_language", "unsupported_language", "mixed_script", "too_short"),
    "garbage": ("low_variety", "wrong_language"),
}
NOT_CONTENT = {
    "length_missed", "too_short", "too_long", "too_many_tokens", "low_quality", "unsupported_language",
}  # fmt: skip
"""Rules on numbers, and on whether the language is supported: readers did not label these."""


def read_labels(texts: Path | None) -> list[dict[str, Any]]:
    """Returns the labelled rows with `messages`; rows whose text is not available are left out.

    Raises:
        SystemExit: a text is not the one that was read.
    """
    known: dict[str, Any] = {}
    if texts is not None:
        known = {row["id"]: row["messages"] for row in _rows(texts)}
    found = []
    for row in _rows(LABELS):
        if "response" in row:
            asked, answered = {"role": "user"}, {"role": "assistant"}
            asked["content"], answered["content"] = row["prompt"], row["response"]
            found.append(row | {"messages": [asked, answered]})
        elif row["id"] in known:
            messages = known[row["id"]]
            digest = hashlib.sha256(messages[-1]["content"].encode()).hexdigest()
            if digest != row["sha256"]:
                raise SystemExit(f"{texts}: {row['id']} is another text than the one that was read")
            found.append(row | {"messages": messages})
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(line) for line in file]


def default_settings(overrides: Iterable[str] = ()) -> Settings:
    """Returns the settings of conf/ with `overrides` such as `judge.model=m`."""
    config = OmegaConf.create(compose_params(ROOT))
    assert isinstance(config, DictConfig)
    config.merge_with_dotlist(list(overrides))
    return validate(config)


def verdicts(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Returns for each row the default rules that reject it, with what they say."""
    settings = default_settings()
    apart = {MALFORMED, CONTAMINATED, *BETWEEN_ROWS}
    names = [name for name in settings.filter.rules if name not in apart]
    runner = RuleRunner(RuleJob(settings.filter, settings.contamination, names, [], "", [], None))
    read = [runner.read(json.dumps(row).encode(), str(row["id"])) for row in rows]
    return [{k: v for k, v in runner.verdicts(each).items() if v} for each in read]


def answers(rows: Iterable[Mapping[str, Any]], settings: Settings) -> list[str | None]:
    """Returns for each row the fault that the judge finds in it.

    An empty text means no fault, None that the answer cannot be read.
    """
    asked = [
        TrainingRow(
            id=row["id"], source="read_rows", messages=[Message(**m) for m in row["messages"]]
        )
        for row in rows
    ]
    calls = CallContext(
        Workspace(ROOT, ROOT).cache,
        0,
        settings.runtime.threads,
        parameters=Parameters(schema(tuple(QUESTIONS))),
    )
    found, _ = with_client(
        lambda client: ask(client, asked, tuple(QUESTIONS)), settings.judge, calls, name="judge"
    )
    return found


def gain(
    rows: Iterable[Mapping[str, Any]],
    said: Iterable[Mapping[str, str]],
    judged: Iterable[str | None],
) -> Table:
    """Returns how often rules and judge flag rows with a fault the judge knows, and good rows."""
    hits: dict[str, tuple[list[bool], list[bool]]] = {
        who: ([], []) for who in ("rules", "judge", "either")
    }
    own = {rule for kind in QUESTIONS for rule in RULES_OF_KIND[kind]}
    for row, rules_said, answer in zip(rows, said, judged, strict=True):
        faulty = any(finding["kind"] in QUESTIONS for finding in row["findings"])
        if not faulty and row["verdict"] != "keep":
            continue
        found = {"rules": bool(own & rules_said.keys()), "judge": bool(answer)}
        for who, each in (found | {"either": any(found.values())}).items():
            hits[who][0 if faulty else 1].append(each)
    return Table(
        ["who", "finds of the faulty", "finds in good rows"],
        [[who, *(share(sum(each), len(each)) for each in both)] for who, both in hits.items()],
    )


def share(hits: int, of: int) -> str:
    """Returns a share with its interval, such as `0.97 [0.90, 0.99] of 63`."""
    if not of:
        return "–"
    found = binomtest(hits, of).proportion_ci(method="wilson")
    return f"{hits / of:.2f} [{found.low:.2f}, {found.high:.2f}] of {of}"


def _overlap(one: str, other: str) -> bool:
    """Returns whether both texts share a run of twenty characters."""
    one, other = (re.sub(r"\W+", " ", text).lower() for text in (one, other))
    return any(one[place : place + 20] in other for place in range(len(one) - 19))


def main() -> None:
    """Prints the tables and the share of good rows that are rejected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="JSON Lines of id and messages")
    parser.add_argument(
        "--wrong", action="store_true", help="print each row that is judged wrongly"
    )
    parser.add_argument("--whole", action="store_true", help="only rows that were read whole")
    parser.add_argument(
        "--ask",
        nargs="*",
        metavar="KEY=VALUE",
        help="ask the judge, too; settings that differ from conf/, such as judge.model=…",
    )
    arguments = parser.parse_args()
    rows = read_labels(arguments.texts)
    if arguments.whole:
        rows = [row for row in rows if row["read"] == "whole"]
    found = verdicts(rows)
    right: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    caught: defaultdict[tuple[str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for row, said in zip(rows, found, strict=True):
        kinds = {finding["kind"] for finding in row["findings"]}
        for rule in said.keys() - NOT_CONTENT:
            meant = any(rule in RULES_OF_KIND.get(kind, ()) for kind in kinds)
            meant = meant or any(_overlap(said[rule], each["words"]) for each in row["findings"])
            right[rule, row["language"]].append(meant)
            if arguments.wrong and not meant:
                print(f"{row['id']}: {rule} {said[rule]}; read: {row['verdict']} {sorted(kinds)}")
        for kind in kinds & RULES_OF_KIND.keys():
            own = any(rule in said for rule in RULES_OF_KIND[kind])
            caught[kind, row["language"]].append((own, bool(said.keys() - NOT_CONTENT)))
            if arguments.wrong and not own:
                words = [each["words"] for each in row["findings"] if each["kind"] == kind]
                print(f"{row['id']}: {kind} missed, {words}; found {sorted(said)}")
    print(f"{len(rows)} rows\n")
    table = [[*key, share(sum(hits), len(hits))] for key, hits in sorted(right.items())]
    print(markdown(Table(["rule", "language", "precision [95 %]"], table)), end="\n\n")
    table = [
        [
            *key,
            share(sum(own for own, _ in hits), len(hits)),
            share(sum(any_ for _, any_ in hits), len(hits)),
        ]
        for key, hits in sorted(caught.items())
    ]
    print(markdown(Table(["kind", "language", "recall [95 %]", "by any rule"], table)), end="\n\n")
    for language in ("en", "zh"):
        good = [
            s
            for row, s in zip(rows, found, strict=True)
            if row["verdict"] == "keep" and row["language"] == language
        ]
        alarms = sum(bool(said.keys() - NOT_CONTENT) for said in good)
        rejected = f"{alarms}, {share(alarms, len(good))}"
        print(f"{language}: good rows rejected for their content: {rejected}")
    if arguments.ask is not None:
        judged = answers(rows, default_settings(arguments.ask))
        print(f"\n{markdown(gain(rows, found, judged))}")
        print(f"answers of the judge that could not be read: {judged.count(None)} of {len(judged)}")


if __name__ == "__main__":
    main()
