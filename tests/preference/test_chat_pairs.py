import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longwriter.core.errors import DataError, SettingsError
from longwriter.preference.chat_pairs import as_pair, read_chat_pairs
from longwriter.preference.settings import ChatMixPairsSettings

NONE = ChatMixPairsSettings(path=None, revision=None, split="train", limit=None)


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


ASK, YES, NO = said("user", "Well?"), said("assistant", "Yes."), said("assistant", "No.")


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"prompt": "Well?", "chosen": "Yes.", "rejected": "No."}, id="texts"),
        pytest.param({"prompt": [ASK], "chosen": [YES], "rejected": [NO]}, id="messages"),
        pytest.param({"chosen": [ASK, YES], "rejected": [ASK, NO]}, id="prompt in both"),
        pytest.param(
            {"prompt": "Well?", "chosen": [ASK, YES], "rejected": [ASK, NO], "score": 3.5},
            id="as ultrafeedback_binarized",
        ),
        pytest.param(
            {"prompt": "Well?", "chosen": [YES], "rejected": [NO]}, id="text and messages"
        ),
    ],
)
def test_every_format_becomes_the_same_pair(row: dict[str, Any]) -> None:
    pair = as_pair(row, "chat", "row 1")
    expected = {"prompt": [ASK], "chosen": [YES], "rejected": [NO], "source": "chat"}
    assert pair.model_dump(include=set(expected)) == expected
    assert (pair.chosen_score, pair.chosen_sample, pair.length) == (None, None, None)
    whole = {"prompt": [ASK], "chosen": [YES], "rejected": [NO]}
    assert pair.id == as_pair(whole, "other", "row 2").id
    assert pair.id != as_pair(whole | {"chosen": [NO]}, "other", "row 2").id


def test_earlier_turns_belong_to_the_prompt() -> None:
    again = said("user", "Sure?")
    pair = as_pair({"chosen": [ASK, YES, again, YES], "rejected": [ASK, YES, again, NO]}, "", "")
    assert [m.content for m in pair.prompt] == ["Well?", "Yes.", "Sure?"]
    same = as_pair({"chosen": [ASK, YES], "rejected": [ASK, YES]}, "", "")  # useless, but whole
    assert [m.content for m in same.chosen] == ["Yes."]


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"prompt": "Well?", "chosen": "Yes."}, "a row needs"),
        ({"prompt": "Well?", "chosen": "Yes.", "rejected": [NO]}, "a row needs"),
        ({"chosen": [YES], "rejected": [NO]}, "no prompt"),
        ({"prompt": "Well?", "chosen": " ", "rejected": "No."}, "chosen.0.content"),
        ({"prompt": [said("robot", "x")], "chosen": [YES], "rejected": [NO]}, "prompt.0.role"),
    ],
)
def test_what_is_no_preference_is_an_error(row: dict[str, Any], what: str) -> None:
    with pytest.raises(DataError, match=rf"^rows, row 3: {what}"):
        as_pair(row, "", "rows, row 3")


def test_a_limit_takes_some_at_random(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "chosen": "Yes.", "rejected": "No."} for n in range(50)]
    path = tmp_path / "chat.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = replace(NONE, path=str(path))
    assert len(read_chat_pairs(settings, tmp_path, seed=1)) == 50
    limited = replace(settings, limit=10)
    few = [pair.prompt[0].content for pair in read_chat_pairs(limited, tmp_path, seed=1)]
    assert len(set(few)) == 10
    assert few == sorted(few, key=lambda text: int(text[:-1]))
    assert few != [f"{n}?" for n in range(10)]
    other = [pair.prompt[0].content for pair in read_chat_pairs(limited, tmp_path, seed=2)]
    assert other != few
    assert read_chat_pairs(NONE, tmp_path, seed=1) == []


def test_parquet_in_the_checkout(tmp_path: Path) -> None:
    rows = [{"prompt": "Well?", "chosen": "Yes.", "rejected": "No.", "score": 1.5}] * 2
    (tmp_path / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "data/chat.parquet")
    first, second = read_chat_pairs(replace(NONE, path="data/chat.parquet"), tmp_path, seed=1)
    assert first == second == as_pair(rows[0], "data/chat.parquet", "")


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text('\n{"chosen": "Yes."}\n')
    with pytest.raises(
        DataError, match=r"chat\.jsonl:2: a row needs `prompt`, `chosen` and `rejected`"
    ):
        read_chat_pairs(replace(NONE, path="chat.jsonl"), tmp_path, seed=1)


def test_the_hub_needs_a_revision_and_a_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^pairs\.chat_mix\.revision: is null"):
        read_chat_pairs(replace(NONE, path="someone/preferences"), tmp_path, seed=1)
    with pytest.raises(DataError, match="cannot be read"):
        read_chat_pairs(replace(NONE, path="missing.jsonl"), tmp_path, seed=1)
