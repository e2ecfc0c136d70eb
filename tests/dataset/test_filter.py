"""The stage `filter` as a whole, on files."""

import random
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings, packaged_tokenizer
from helpers.drafts import draft, filtered, read, write
from helpers.texts import EN, FABLE, STORY
from omegaconf import OmegaConf

from longwriter.cli.explain import explain_row
from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError
from longwriter.dataset.settings import Relabel


def variation(number: int) -> str:
    """A text of its own words: no two are near duplicates."""
    drawn = random.Random(number)
    return " ".join(
        f"The {drawn.randbytes(3).hex()}n {drawn.randbytes(3).hex()}z met the old "
        f"{drawn.randbytes(3).hex()}k near the river."
        for _ in range(12)
    )


CHANGED = STORY.replace("orchards", "gardens")
"""One word of 96: 3 of 98 sequences differ, a similarity of 95 / 101."""

HALF = " ".join(STORY.split()[:58]) + " " + " ".join(variation(98).split()[:38]) + "."
"""56 of its 94 sequences are those of STORY, which has 94 too: a similarity of 56 / 132 = 42 %."""

DRAFTS = [
    *(draft(f"n{number:02}", f"Tell me about {number * 'x'}th things.", variation(number)) for number in range(1, 13)),
    draft("a", "Write a short story about a village by the sea.", STORY),
    draft("b", "Describe an island, please, and its people.", STORY.upper()),
    draft("c", "What do fishermen do all day? Tell a tale.", CHANGED),
    draft("d", "write a short story about a village by the sea!", variation(99)),
    draft("g", "write a short story about a village by the sea!!", HALF),
    draft("e", "请写一篇关于海边村庄的短文。", FABLE),
    draft("f", "Say more.", "Too short."),
]  # fmt: skip


def settings(drafts: Path, **changes: Any) -> Settings:
    loaded = default_settings()
    loaded.filter.drafts = str(drafts)
    for key, value in changes.items():
        setattr(loaded.filter, key, value)
    return loaded


def run(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> tuple[Path, dict[str, Any]]:
    drafts = write(folder / "drafts.jsonl", rows)
    return folder / "out/data/sft", filtered(settings(drafts, **changes), folder, folder / "out")


def test_duplicates_and_near_duplicates(tmp_path: Path) -> None:
    folder, metrics = run(tmp_path, DRAFTS, validation_rows=0)
    rejected = {row["id"]: (row["rule"], row["detail"]) for row in read(folder / "rejected.jsonl")}
    assert rejected == {
        "b": ("duplicate", "the same response as a"),
        "c": ("near_duplicate", "94% of its response as in a"),
        "g": ("near_duplicate", "100% of its instruction as in a"),
        "f": ("too_short", "2 words"),
    }
    assert metrics["rejected"] == {"duplicate": 1, "near_duplicate": 2, "too_short": 1}
    assert (metrics["drafts"], metrics["kept"], metrics["rows"]) == (19, 15, 15)
    assert metrics["by_language"]["zh"] == {"drafts": 1, "kept": 1, "rejected": {}}
    assert sum(metrics["histogram"]["before"]) == 19
    assert sum(metrics["histogram"]["after"]) == 15


def test_a_chain_of_near_duplicates_keeps_what_no_kept_row_is_like(tmp_path: Path) -> None:
    lines = [f"Line {chr(97 + n)} tells of {variation(n)[:60]}." for n in range(12)]
    texts = [" ".join(lines[start : start + 9]) for start in (0, 1, 3)]
    rows = [
        draft(name, f"About {name * 9}?", text) for name, text in zip("abc", texts, strict=True)
    ]
    folder, _ = run(tmp_path, rows, validation_rows=0)
    assert {row["id"] for row in read(folder / "train.jsonl")} == {"a", "c"}


def test_of_near_duplicates_the_best_is_kept(tmp_path: Path) -> None:
    # STORY has 99 words: a better S_l for 96 words than for 80
    rows = [
        draft("a", "Write a story about the sea in 80 words.", STORY),
        draft("b", "Tell a tale about the sea in 96 words.", CHANGED),
    ]
    folder, _ = run(tmp_path / "length", rows, validation_rows=0)
    assert [row["id"] for row in read(folder / "train.jsonl")] == ["b"]
    rows[0]["quality_score"] = 90
    folder, _ = run(tmp_path / "quality", rows, validation_rows=0)
    assert [row["id"] for row in read(folder / "train.jsonl")] == ["a"]


def test_what_is_stripped_is_recorded_and_the_words_counted_again(tmp_path: Path) -> None:
    text = f"```markdown\nHere is a story about the sea:\n\n---\n\n{STORY}\n\nGood luck with your novel!\n```"
    rows = [draft("a", "Write a story about the sea.", text)]
    folder, metrics = run(tmp_path / "strip", rows, strip=["opener", "closer", "fence"])
    (row,) = read(folder / "train.jsonl")
    assert row["messages"][-1]["content"] == STORY
    assert row["response_length"] == 99
    assert row["stripped"] == {
        "fence": "```",
        "opener": "Here is a story about the sea:",
        "closer": "Good luck with your novel!",
    }
    assert metrics["stripped"] == {"closer": 1, "fence": 1, "opener": 1}
    folder, _ = run(tmp_path / "whole", [*rows, DRAFTS[0]])
    assert [row["rule"] for row in read(folder / "rejected.jsonl")] == ["closer"]


def test_only_what_stands_at_an_end_can_be_stripped(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match="'outline' cannot be stripped; fence, opener, closer can"
    ):
        run(tmp_path, DRAFTS, strip=["outline"])


def test_another_order_gives_the_same_bytes(tmp_path: Path) -> None:
    names = ("train.jsonl", "validation.jsonl", "card.md", "hf/data/train.parquet")
    expected = None
    for seed in range(4):
        shuffled = random.Random(seed).sample(DRAFTS, len(DRAFTS))
        folder, metrics = run(tmp_path / str(seed), shuffled)
        found = [(folder / name).read_bytes() for name in names if name != "card.md"]
        reasons = sorted((r["id"], r["rule"], r["detail"]) for r in read(folder / "rejected.jsonl"))
        expected = expected or (found, reasons, metrics)
        assert (found, reasons, metrics) == expected


def test_validation_rows_are_not_trained_on(tmp_path: Path) -> None:
    folder, metrics = run(tmp_path, DRAFTS, validation_rows=4)
    validation = {row["id"] for row in read(folder / "validation.jsonl")}
    train = {row["id"] for row in read(folder / "train.jsonl")}
    assert (len(validation), len(train), validation & train) == (
        3,
        12,
        set(),
    )  # a quarter of 15 at most
    assert (metrics["validation"], metrics["kept"], metrics["rows"]) == (3, 15, 12)


def test_chat_rows_are_checked_and_mixed_in(tmp_path: Path) -> None:
    good = [
        {"id": f"g{n}", "messages": [{"role": "user", "content": f"What is {n}?"}, {"role": "assistant", "content": f"It is {n}."}]}
        for n in range(8)
    ]  # fmt: skip
    odd = {"messages": [{"role": "assistant", "content": "Hi."}]}
    path = write(tmp_path / "chat.jsonl", [*good, odd])
    loaded = settings(write(tmp_path / "drafts.jsonl", DRAFTS), validation_rows=0)
    loaded.filter.chat_mix.path, loaded.filter.chat_mix.number = str(path), 5
    metrics = filtered(loaded, tmp_path, tmp_path / "out")
    assert metrics["chat_mix"] == {"read": 9, "mixed_in": 5, "rejected": {"malformed": 1}}
    loaded.filter.chat_mix.ratio = 0.15  # of 14 drafts: 2.1
    metrics = filtered(loaded, tmp_path, tmp_path / "out")
    assert (metrics["chat_mix"]["mixed_in"], metrics["rows"]) == (2, 17)
    sources = [row["source"] for row in read(tmp_path / "out/data/sft/train.jsonl")]
    assert sources.count("chat.jsonl") == 2


def test_parquet_in_and_a_hugging_face_folder_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    rows = [
        {"messages": [{"role": "user", "content": r["prompt"]}, {"role": "assistant", "content": r["response"]}]}
        for r in DRAFTS
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "longwriter6k.parquet")
    loaded = settings(tmp_path / "longwriter6k.parquet", licenses={"default": "Apache-2.0"})
    metrics = filtered(loaded, tmp_path, tmp_path / "out")
    # Ids are hashes here, so another of a, b and c stays: not a, and g is like none that is kept.
    assert metrics["kept"] == 16
    folder = tmp_path / "out/data/sft"
    found = load_dataset(str(folder / "hf"), cache_dir=str(tmp_path / "cache"))
    assert {split: len(found[split]) for split in found} == {"train": 12, "validation": 4}
    train = read(folder / "train.jsonl")
    assert found["train"]["messages"][0] == train[0]["messages"]
    assert {row["source"] for row in train} == {"longwriter6k.parquet"}
    header = (folder / "hf/README.md").read_text().split("---\n")[1]
    assert "license: apache-2.0\n" in header
    assert "size_categories:\n- n<1K\n" in header


def test_many_rows_in_processes_of_their_own_get_the_same_verdicts(tmp_path: Path) -> None:
    rows = [draft(f"r{n:04}", f"About {n} {variation(n)[:30]}", " ".join(variation(n * 50 + k) for k in range(9))) for n in range(350)]  # fmt: skip
    kept = []
    for threads in (1, 2):
        loaded = settings(write(tmp_path / "drafts.jsonl", rows))
        loaded.runtime.threads = threads
        out = tmp_path / str(threads)
        filtered(loaded, tmp_path, out)
        kept.append((out / "data/sft/train.jsonl").read_bytes())
    assert (tmp_path / "drafts.jsonl").stat().st_size > 2_000_000
    assert kept[0] == kept[1]


def test_beginnings_that_pass_the_rules_are_trained_on(tmp_path: Path) -> None:
    prompt = "Write about 20 words on the sea."
    paragraphs = [
        "The sea is wide and blue and old.",
        "What it needs:",
        "Salt, wind and a moon that pulls it twice a day.",
    ]
    text = "\n\n".join(paragraphs)
    rows = [{"id": "a", "prompt": prompt, "response": text, "length": 20}]
    folder, metrics = run(
        tmp_path, rows, relabel=Relabel.paragraphs, min_words=5, validation_rows=0
    )
    trained = read(folder / "train.jsonl")
    assert [(each["id"], each["length"]) for each in trained] == [("a", 22), ("a to 1", 8)]
    assert trained[1]["messages"][0]["content"] == "Write about 8 words on the sea."
    assert (metrics["kept"], metrics["rows"]) == (1, 2)


TWO_ENDS = "The sea is wide.\n\nIt is also blue.\n\nSalt, wind and a moon pull it twice a day."
"""18 words; paragraphs end after 4, 8 and 18."""


@pytest.mark.parametrize(
    ("limit", "length", "kept"),
    [
        ({"max_words": 15}, 20, ["a to 2", "a to 1"]),
        ({"max_words": 7}, 20, ["a to 1"]),
        ({"max_words": 15}, 60, []),  # which is also far from the 60 words of its prompt
        ({"max_words": 15, "relabel": Relabel.text}, 20, []),
    ],
)
def test_beginnings_of_a_text_that_is_only_too_long_are_trained_on(
    tmp_path: Path, limit: dict[str, Any], length: int, kept: list[str]
) -> None:
    prompt = f"Write about {length} words on the sea."
    other = {"id": "b", "prompt": "Greet me.", "response": "A very good day!"}
    rows = [{"id": "a", "prompt": prompt, "response": TWO_ENDS, "length": length}, other]
    given = {"relabel": Relabel.paragraphs, "min_words": 2, "validation_rows": 0} | limit
    folder, metrics = run(tmp_path, rows, **given)
    assert sorted(row["id"] for row in read(folder / "train.jsonl")) == sorted([*kept, "b"])
    assert sum(metrics["rejected"].values()) == (0 if kept else 1)
    assert metrics["longest_words"] == (8 if len(kept) == 2 else 4)


def test_a_beginning_s_tokens_count_too(tmp_path: Path) -> None:
    packaged_tokenizer().save_pretrained(tmp_path / "tokenizer")
    prompt = "Write about 20 words on the sea."
    rows = [{"id": "a", "prompt": prompt, "response": TWO_ENDS, "length": 20}]
    given = {"relabel": Relabel.paragraphs, "min_words": 2, "validation_rows": 0}
    given["tokenizer"] = str(tmp_path / "tokenizer")

    def tokens(limit: int) -> dict[str, int]:
        folder, _ = run(tmp_path, rows, max_length=limit, **given)
        return {row["id"]: row["tokens"] for row in read(folder / "train.jsonl")}

    whole = tokens(1000)
    assert list(whole) == ["a", "a to 2", "a to 1"]
    assert whole["a"] > whole["a to 2"] > whole["a to 1"]
    for longest, kept in (("a", ["a to 2", "a to 1"]), ("a to 2", ["a to 1"])):
        assert list(tokens(whole[longest] - 1)) == kept


def test_the_same_beginning_of_two_texts_that_are_too_long_is_kept_once(tmp_path: Path) -> None:
    ends = (
        "Salt, wind and a moon pull it twice a day.",
        "Nobody has ever counted all of its fish.",
    )
    opening = TWO_ENDS.rpartition("\n\n")[0]
    rows = [
        {
            "id": name,
            "prompt": f"Write about 20 words on {what}.",
            "response": f"{opening}\n\n{end}",
            "length": 20,
        }
        for name, what, end in zip("ab", ("the sea", "fish and men"), ends, strict=True)
    ]
    given = {"relabel": Relabel.paragraphs, "min_words": 2, "validation_rows": 0, "max_words": 12}
    folder, metrics = run(tmp_path, rows, **given)
    assert [row["id"] for row in read(folder / "train.jsonl")] == ["a to 2", "a to 1"]
    assert metrics["rejected"] == {"duplicate": 1}


def test_a_plan_is_trained_on_if_it_is_wanted_and_no_rule_sees_it(tmp_path: Path) -> None:
    plan = [{"main_point": "The sea", "word_count": 95}]
    rows = [row | ({"plan": plan} if row["id"] == "a" else {}) for row in DRAFTS]
    drafts = write(tmp_path / "drafts.jsonl", rows)
    found, kept = {}, {}
    for asked in (False, True):
        out = tmp_path / str(asked)
        filtered(settings(drafts, plan=asked), tmp_path, out)
        rows = [
            row for name in ("train", "validation") for row in read(out / f"data/sft/{name}.jsonl")
        ]
        kept[asked] = {row["id"] for row in rows}
        [found[asked]] = [row for row in rows if row["id"] == "a"]
    answers = {asked: row["messages"][-1]["content"] for asked, row in found.items()}
    assert answers == {False: STORY, True: f"<plan>\n1. The sea (95 words)\n</plan>\n\n{STORY}"}
    assert found[True]["response_length"] == found[False]["response_length"]
    assert kept[True] == kept[False]


def test_explain_shows_the_beginnings_that_are_trained_on(tmp_path: Path) -> None:
    row = draft("a", "Write about 20 words on the sea.", TWO_ENDS, length=20)
    write(tmp_path / "data/agentwrite/drafts.jsonl", [row])
    loaded = settings(tmp_path, relabel=Relabel.paragraphs, min_words=2, max_words=15)
    loaded.filter.drafts, loaded.filter.validation_rows = None, 0
    (tmp_path / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(loaded)))
    filtered(loaded, tmp_path)
    shown = explain_row(tmp_path, "a").splitlines()
    assert "  REJECT too_long: 18 words" in shown
    assert shown[-2:] == [
        "kept, its first 8 words: trained on (train.jsonl), source own",
        "kept, its first 4 words: trained on (train.jsonl), source own",
    ]


def test_explain_shows_every_verdict(tmp_path: Path) -> None:
    text = "I'm sorry, but I can't assist with that. " + " ".join(EN[:2])
    rows = [
        *DRAFTS,
        draft(
            "bad",
            "Write 500 words.",
            text,
            plan=[{"main_point": "All", "word_count": 90}],
            paragraphs=[text],
        ),
    ]
    write(tmp_path / "data/agentwrite/drafts.jsonl", rows)
    loaded = settings(tmp_path)
    loaded.filter.drafts, loaded.filter.validation_rows = None, 0
    (tmp_path / "params.yaml").write_text(OmegaConf.to_yaml(OmegaConf.structured(loaded)))
    filtered(loaded, tmp_path)
    write(
        tmp_path / "data/sft/packs.jsonl",
        [
            {"id": "e", "pack": 3, "position": 7, "tokens": 90, "epochs": 2.0},
            {"id": "a", "pack": None, "position": None, "tokens": 900, "epochs": 0.0},
        ],
    )
    shown = explain_row(tmp_path, "bad")
    assert "  step 1: All (45 of 90 words)" in shown
    assert "  REJECT refusal: says \"I'm sorry, but I can't\"" in shown
    assert "  REJECT length_missed: 45 words for 500: S_l 0" in shown
    assert "  ok     residue" in shown
    assert "rejected by refusal: " in shown
    assert "  -      duplicate: not asked" in shown

    kept = explain_row(tmp_path, "e").splitlines()
    rules = [line.split()[1] for line in kept if line.startswith("  ok ")]
    assert rules == loaded.filter.rules  # those that compare rows, too
    assert kept[-2:] == [
        "kept: trained on (train.jsonl), source own",
        "trained in pack 3, tokens 7 to 96, 2 epochs",
    ]
    skipped = explain_row(tmp_path, "a").splitlines()[-1]
    assert skipped == "not trained: 900 tokens are more than sft.max_length"
    copy = explain_row(tmp_path, "c").splitlines()
    assert copy[-3:] == [
        "  ok     duplicate",
        "  REJECT near_duplicate: 94% of its response as in a",
        "rejected by near_duplicate: 94% of its response as in a",
    ]
