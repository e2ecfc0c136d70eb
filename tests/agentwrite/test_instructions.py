"""Instructions as people's files hold them."""

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.loopback import agentwrite_settings

from longwriter.agentwrite.instructions import UNREAD, read_instructions
from longwriter.agentwrite.selection import sift
from longwriter.core.errors import DataError
from longwriter.core.rows import Instruction


def read(path: Path, *rows: dict[str, Any], **settings: Any) -> list[Instruction]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(read_instructions(path, agentwrite_settings(instructions=str(path), **settings)))


@pytest.mark.parametrize(
    ("prompt", "length", "language"),
    [
        ("Write ten thousand words on tea.", 10_000, "en"),
        ("请写一部一萬字的小說。", 10_000, "zh"),
        ("Write 10 chapters of 500 words each.", 5_000, "en"),
        ("Summarise this 5000-word article in 300 words.", 300, "en"),
        ("写一篇2000字至4000字的报告", 3_000, "zh"),
        ("Write a poem worth a thousand words.", None, "en"),
        ("Escribe un cuento sobre el mar de 800 palabras para los niños.", None, "Spanish"),
    ],
)
def test_a_prompt_alone_is_enough(
    prompt: str, length: int | None, language: str, tmp_path: Path
) -> None:
    [found] = read(tmp_path / "in.jsonl", {"prompt": prompt})
    assert (found.length, found.language) == (length, language)


def test_what_the_row_says_counts_first(tmp_path: Path) -> None:
    given = {"prompt": "写500字", "length": 80, "language": "en", "id": 7, "source": None}
    [found] = read(tmp_path / "in.jsonl", given)
    assert (found.length, found.language, found.id, found.source) == (80, "en", "7", "")


def test_other_languages_are_removed_by_name(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "in.jsonl",
        {"prompt": "Escribe un cuento sobre el mar para los niños."},
        {"prompt": "Write a story about the sea."},
    )
    selection = sift(rows, agentwrite_settings().select)
    assert [row.language for row in selection.instructions] == ["en"]
    assert dict(selection.removed["language"]) == {"Spanish": 1}


def test_pages_are_said_and_converted_where_a_setting_allows_it(tmp_path: Path) -> None:
    row = {"prompt": "Write a 10-page report on tea."}
    [found] = read(tmp_path / "in.jsonl", row)
    assert (found.length, getattr(found, UNREAD)) == (None, "10-page")
    [found] = read(tmp_path / "in.jsonl", row, words_per_page=400)
    assert (found.length, hasattr(found, UNREAD)) == (4_000, False)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_number_is_an_id_in_every_kind_of_file(kind: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"id": 7, "prompt": "Write 40 words."}, {"id": 8, "prompt": "Write 50 words."}]
    path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        found = list(read_instructions(path, agentwrite_settings(instructions=str(path))))
    else:
        found = read(path, *rows)
    assert [(row.id, row.length) for row in found] == [("7", 40), ("8", 50)]


def test_an_array_says_what_it_is_and_how_to_read_it(tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text('[\n{"prompt": "a"}\n]\n')
    with pytest.raises(DataError) as error:
        list(read_instructions(path, agentwrite_settings(instructions=str(path))))
    assert str(error.value) == (
        f"{path}: is a JSON array; expected one object per line: jq -c '.[]' in.json > in.jsonl"
    )
