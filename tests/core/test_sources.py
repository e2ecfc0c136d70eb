"""One reader for JSON Lines, parquet and the hub: the same rows from each, and errors that name the
row and the setting."""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.hub import REVISION, hub, run_with_hub

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.sources import Source, SourceKind, open_source

ROWS: list[dict[str, Any]] = [{"id": "a", "n": 1}, {"id": "诗", "n": None}, {"id": "c", "n": 3}]


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def opened(path: Path, **changes: Any) -> Source:
    given: dict[str, Any] = {"given": str(path), "revision": None, "setting": "filter.drafts"}
    return open_source(**given | changes, path=path)


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    """The same rows in every form of files; the folder's are in two files, one in a subfolder."""
    (tmp_path / "rows.jsonl").write_text(f"\n{jsonl(ROWS)}")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "rows.parquet")
    (tmp_path / "folder/part").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(ROWS[:1]), tmp_path / "folder/a.parquet")
    pq.write_table(pa.Table.from_pylist(ROWS[1:]), tmp_path / "folder/part/b.parquet")
    return {name: tmp_path / name for name in ("rows.jsonl", "rows.parquet", "folder")}


@pytest.mark.parametrize(
    ("name", "kind", "places"),
    [
        ("rows.jsonl", SourceKind.jsonl, [":2", ":3", ":4"]),
        ("rows.parquet", SourceKind.parquet, [", row 1", ", row 2", ", row 3"]),
        (
            "folder",
            SourceKind.parquet,
            ["/a.parquet, row 1", "/part/b.parquet, row 1", "/part/b.parquet, row 2"],
        ),
    ],
)
def test_files(sources: dict[str, Path], name: str, kind: SourceKind, places: list[str]) -> None:
    path = sources[name]
    source = opened(path)
    assert (source.name, source.kind) == (name, kind)
    assert list(source.rows()) == [
        (f"{path}{place}", row) for place, row in zip(places, ROWS, strict=True)
    ]
    lines = [(where, json.loads(line)) for where, line in source.lines]
    assert lines == list(source.rows())


def test_only_the_columns_asked_for_are_read(sources: dict[str, Path]) -> None:
    rows = [row for _, row in opened(sources["rows.parquet"]).rows({"id", "other"})]
    assert rows == [{"id": "a"}, {"id": "诗"}, {"id": "c"}]
    assert [row for _, row in opened(sources["rows.jsonl"]).rows({"id"})] == ROWS


def test_a_line_of_json_is_passed_on_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id":  "a"}\r\n\nno JSON\n')
    source = opened(path)
    assert list(source.lines) == [(f"{path}:1", b'{"id":  "a"}'), (f"{path}:3", b"no JSON")]
    with pytest.raises(DataError, match=r"rows\.jsonl:3: not JSON: Expecting value at column 1$"):
        list(source.rows())


def test_what_json_has_no_form_for_becomes_text_in_a_line(tmp_path: Path) -> None:
    row = {"when": datetime(2024, 5, 1, tzinfo=UTC)}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "x.parquet")
    ((_, line),) = opened(tmp_path / "x.parquet").lines
    assert line == b'{"when": "2024-05-01 00:00:00+00:00"}'


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", "[1]\n", r"x\.jsonl:1: not a JSON object; fix the row or remove it$"),
        ("x.jsonl", "\n", r"^x\.jsonl: has no rows$"),
        ("x.jsonl", None, r"x\.jsonl: cannot be read \(No such file"),
        (
            "x.parquet",
            "no parquet",
            r"x\.parquet: cannot be read after row 0 \(.*\); fix the file o",
        ),
        (
            "x.parquet",
            None,
            r"x\.parquet: cannot be read after row 0 \(.*\); .* or filter\.drafts$",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        list(opened(tmp_path / name).rows())


def test_a_damaged_file_is_named_with_the_rows_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"id": [f"{number:09}" for number in range(1000)]})
    pq.write_table(table, path, row_group_size=500, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    second = content.index(b"000000500")
    content[second - 4 : second] = b"\xff" * 4  # the length of the second group's first text
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.parquet: cannot be read after row 500 \("):
        list(opened(path).rows())


def test_a_folder_without_parquet(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path)
    assert str(raised.value) == f"{tmp_path}: holds no *.parquet file; fix filter.drafts"


@pytest.mark.parametrize(
    ("setting", "revision"),
    [
        ("filter.chat_mix.path", "filter.chat_mix.revision"),
        ("agentwrite.instructions", "agentwrite.revision"),
    ],
)
def test_the_hub_needs_a_revision(tmp_path: Path, setting: str, revision: str) -> None:
    with pytest.raises(SettingsError) as raised:
        opened(tmp_path / "org/name", given="org/name", setting=setting)
    assert str(raised.value) == (
        f"{revision}: is null, but {setting}=org/name is not a local file, so it is read from the "
        "Hugging Face hub; set a commit or tag so that the rows are reproducible"
    )


@pytest.mark.parametrize("given", ["data/rows.jsonl", "data/rows.json", "rows", "a/b/c", None])
def test_what_is_no_hub_id_must_be_a_file(tmp_path: Path, given: str | None) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file"):
        list(opened(tmp_path / "missing", given=given).lines)


@pytest.mark.parametrize(("name", "package"), [("x.parquet", "pyarrow"), ("org/name", "datasets")])
def test_a_package_that_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    for module in [package, "pyarrow.parquet"]:
        monkeypatch.setitem(sys.modules, module, None)  # as if it could not be found
    source = opened(tmp_path / name, given=name, revision="abc")
    with pytest.raises(SettingsError) as raised:
        list(source.rows())
    message = str(raised.value)
    assert message.startswith("filter.drafts")
    assert f"reading it requires {package} (" in message
    assert message.endswith("pip install 'longwriter[pipeline]'")


HUB_ROWS = """
import json, sys
from pathlib import Path
from longwriter.core.sources import open_source
name, revision, split = sys.argv[1:]
source = open_source(name, revision, Path("none", name), "pairs.chat_mix.path", split)
print(json.dumps([source.name, source.kind.value, *source.rows({"id"})]))
"""


def test_a_split_of_a_data_set_of_the_hub(tmp_path: Path) -> None:
    files = {"train.jsonl": jsonl(ROWS).encode(), "test.jsonl": jsonl(ROWS[:1]).encode()}
    with hub("org/rows", files) as address:
        run = run_with_hub(address, tmp_path, HUB_ROWS, "org/rows", REVISION, "test")
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == [
        f"org/rows at {REVISION}",
        "hub",
        ["org/rows, row 1", {"id": "a"}],
    ]
