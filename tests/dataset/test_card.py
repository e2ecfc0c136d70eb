"""What the data card says, against counts worked out by hand."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from helpers.checkpoints import default_settings, packaged_tokenizer
from helpers.drafts import draft, filtered, read, write
from helpers.texts import TALES, ZH_TALES

from longwriter.config.schema import Settings

ROWS = [
    draft("en-a", "Write about a market.", TALES[0], type="story"),
    draft("en-b", "Explain bridges to me, please.", TALES[3], type="essay", source="org/set"),
    draft("zh-a", "写一篇关于茶的文章。", ZH_TALES[5], type="essay"),
    draft("short", "Tell me less.", "The end."),
    draft("long", "Tell of a cold pass. " + "Note 1871. " * 200, TALES[6]),
    draft("twin", "What is sold at the market?", TALES[0]),
]
CHAT = {
    "id": "chat",
    "messages": [
        {"role": "user", "content": "What is tea?"},
        {"role": "assistant", "content": "Leaves in hot water."},
    ],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Settings]:
    folder = tmp_path_factory.mktemp("card")
    settings = default_settings()
    chosen = settings.filter
    chosen.drafts = str(write(folder / "drafts.jsonl", ROWS))
    chosen.chat_mix.path = str(write(folder / "chat.jsonl", [CHAT]))
    chosen.tokenizer, chosen.max_length, chosen.validation_rows = str(folder / "tokenizer"), 900, 0
    chosen.licenses = {"own": "CC-BY-4.0", "default": "unknown"}
    benchmark = write(folder / "asked.jsonl", [{"prompt": "p"}])
    settings.contamination.benchmarks = [str(benchmark), "absent.jsonl"]
    packaged_tokenizer().save_pretrained(folder / "tokenizer")
    filtered(settings, folder, folder / "out")
    return folder, settings


def tables(text: str) -> dict[str, list[list[str]]]:
    """Title → the rows of the table below it, without its head."""
    found = {}
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        lines = [line for line in part.splitlines() if line.startswith("|")]
        found[part.splitlines()[0]] = [re.split(r" ?\| ?", line)[1:-1] for line in lines[2:]]
    return found


def test_rows_words_and_tokens_of_every_part(made: Any) -> None:
    folder, _ = made
    found = tables((folder / "out/data/sft/card.md").read_text())
    train = read(folder / "out/data/sft/train.jsonl")
    tokens = {row["id"]: row["tokens"] for row in train}
    words = {row["id"]: row["response_length"] for row in train}
    reference = packaged_tokenizer()
    for row in train:
        ids = reference.apply_chat_template(row["messages"], tokenize=True, return_dict=False)
        assert tokens[row["id"]] == len(ids)
    assert set(tokens) == {"en-a", "en-b", "zh-a", "chat"}

    def line(name: str, *ids: str) -> list[str]:
        return [name, str(len(ids)), f"{sum(words[i] for i in ids):,}", f"{sum(tokens[i] for i in ids):,}"]  # fmt: skip

    assert found["By language"] == [line("en", "en-a", "en-b", "chat"), line("zh", "zh-a")]
    assert found["By type"] == [
        line("(none)", "chat"),
        line("essay", "en-b", "zh-a"),
        line("story", "en-a"),
    ]
    assert found["By source"] == [
        line("chat.jsonl", "chat"),
        line("org/set", "en-b"),
        line("own", "en-a", "zh-a"),
    ]
    assert found["By words"] == [line("0-49", "chat"), line("50-99", "en-a", "en-b", "zh-a")]


def test_what_each_rule_removed(made: Any) -> None:
    folder, settings = made
    text = (folder / "out/data/sft/card.md").read_text()
    removed = {
        rule: (number, share) for rule, number, share in tables(text)["What each rule removed"]
    }
    asked = [rule for rule in settings.filter.rules if rule != "low_quality"]  # min_quality: null
    assert list(removed) == asked
    assert {rule: found for rule, found in removed.items() if found != ("0", "0.0%")} == {
        "too_short": ("1", "16.7%"),
        "too_many_tokens": ("1", "16.7%"),
        "duplicate": ("1", "16.7%"),
    }
    assert "Over 900 tokens and so left out, never cut: `long`." in text


def test_provenance_licences_settings_and_limits(made: Any) -> None:
    folder, settings = made
    text = (folder / "out/data/sft/card.md").read_text()
    found = tables(text)
    assert found["Licence by source"] == [
        ["chat.jsonl", "unknown"],
        ["org/set", "unknown"],
        ["own", "CC-BY-4.0"],
    ]
    assert found["Made from"] == [
        [name, hashlib.sha256((folder / name).read_bytes()).hexdigest()]
        for name in ("chat.jsonl", "drafts.jsonl")
    ]
    assert f"The agent's prompts: SHA-256 `{'f' * 64}`. Seed: {settings.filter.seed}." in text
    shown = json.loads(text.split("```json\n")[1].split("```")[0])
    assert (shown["min_words"], shown["max_length"]) == (settings.filter.min_words, 900)
    limits = text.split("## Known limits\n")[1]
    assert (
        "asked.jsonl. Not there, so not looked for: absent.jsonl. A paraphrase is not found."
        in limits
    )
    assert "Tokens were counted with `tokenizer`." in limits


def test_the_header_is_the_hubs(made: Any) -> None:
    from huggingface_hub import DatasetCard

    folder, _ = made
    header = DatasetCard.load(folder / "out/data/sft/hf/README.md").data.to_dict()
    assert header["language"] == ["en", "zh"]
    assert header["license"] == "other"  # two licences
    assert header["size_categories"] == ["n<1K"]
    assert header["source_datasets"] == ["org/set"]
    assert header["configs"] == [
        {
            "config_name": "default",
            "data_files": [{"split": "train", "path": "data/train.parquet"}],
        }
    ]
