import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from longwriter.core.errors import DataError
from longwriter.core.files import replacing, write_json, write_jsonl, write_text
from longwriter.core.rows import BenchmarkPrompt, Instruction, Record, TrainingRow
from longwriter.core.sources import read_jsonl

GOOD = b'{"prompt": "Write a poem."}\n'


def test_fields_the_row_does_not_name_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p", "id": "a", "topic": {"tags": ["x", null]}, "n": 1.5}\n')
    rows = read_jsonl(path, Instruction)
    write_jsonl(tmp_path / "copy.jsonl", rows)
    (copy,) = (tmp_path / "copy.jsonl").read_text().splitlines()
    assert json.loads(copy) == {
        "prompt": "p",
        "id": "a",
        "length": None,
        "language": "en",
        "type": "",
        "source": "",
        "topic": {"tags": ["x", None]},
        "n": 1.5,
    }
    assert read_jsonl(tmp_path / "copy.jsonl", Instruction) == rows


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (b'{"prompt": "a"', "not JSON: Expecting ',' delimiter at column 15"),
        (b"Write a poem.", "not JSON: Expecting value at column 1"),
        (b'{"prompt": "a\xff"}', "not UTF-8 (byte 13 of the line)"),
        (b'{"length": 5}', "prompt: Field required; mend the row or remove it"),
        (
            b'{"prompt": "a", "length": "long"}',
            "length: Input should be a valid integer, unable to parse string as an integer; "
            "mend the row or remove it",
        ),
        (
            b'{"prompt": "a", "length": 0}',
            "length: Input should be greater than 0; mend the row or remove it",
        ),
        (
            b'{"prompt": "a", "language": "fr"}',
            "language: Input should be 'en' or 'zh'; mend the row or remove it",
        ),
        (
            b'{"prompt": " \\n"}',
            "prompt: String should match pattern '\\S'; mend the row or remove it",
        ),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, second: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD + b"\n" + second + b"\n" + GOOD)  # the empty line counts as a line
    with pytest.raises(DataError) as raised:
        read_jsonl(path, Instruction)
    assert str(raised.value) == f"{path}:3: {message}"


def test_a_bad_message_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    user, assistant = {"role": "user", "content": "q"}, {"role": "assistant", "content": ""}
    path.write_text(json.dumps({"id": "a", "messages": [user, assistant]}))
    with pytest.raises(DataError) as raised:
        read_jsonl(path, TrainingRow)
    assert str(raised.value) == (
        f"{path}:1: messages.1.content: String should have at least 1 character; "
        "mend the row or remove it"
    )


def test_a_training_row_ends_with_the_assistant(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    messages = [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]
    path.write_text(json.dumps({"id": "a", "messages": messages}))
    with pytest.raises(DataError, match=r":1: .*the last message must be the assistant's"):
        read_jsonl(path, TrainingRow)


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_a_row_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_jsonl(path, Instruction)
    assert str(raised.value) == f"{path}: holds no row; one JSON object a line is needed"


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    with pytest.raises(DataError) as raised:
        read_jsonl(path, Instruction)
    assert str(raised.value) == f"{path}: cannot be read (No such file or directory)"


def test_files_of_other_systems_are_read(tmp_path: Path) -> None:
    # A byte order mark, line ends of Windows, no line end at the end; U+2028 ends no line.
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + '{"prompt": "a\u2028b"}\r\n{"prompt": "c"}'.encode())
    assert [row.prompt for row in read_jsonl(path, Instruction)] == ["a\u2028b", "c"]


def test_an_instruction_without_id_has_one_made_of_its_prompt() -> None:
    assert Instruction(prompt="写诗").id == hashlib.sha256("写诗".encode()).hexdigest()[:12]
    assert Instruction(prompt="写诗", id="a").id == "a"


def test_a_benchmark_may_write_its_lengths_as_text() -> None:
    row = {"prompt": "p", "type": "t", "length": "500"}
    assert BenchmarkPrompt.model_validate(row).length == 500


def test_unicode_is_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_jsonl(path, [Record.model_validate({"text": "写诗 é 😀 \u2028", "lines": "a\nb"})])
    assert path.read_bytes().decode() == '{"text": "写诗 é 😀 \u2028", "lines": "a\\nb"}\n'
    write_json(path, {"诗": [1, None]})
    assert path.read_bytes().decode() == '{\n  "诗": [\n    1,\n    null\n  ]\n}\n'


def test_a_row_that_cannot_be_serialised_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD)
    rows = [Record.model_validate({"x": value}) for value in ("fine", object())]
    with pytest.raises(TypeError, match="not JSON serializable"):
        write_jsonl(path, rows)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"rows.jsonl": GOOD}


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(GOOD)

    def rows() -> Iterator[Record]:
        for number in range(10_000):  # more than any buffer holds
            yield Record.model_validate({"n": number})
            assert path.read_bytes() == GOOD

    write_jsonl(path, rows())
    assert path.read_text().splitlines()[-1] == '{"n": 9999}'
    assert list(tmp_path.iterdir()) == [path]


def test_several_outputs_take_their_places_together_or_not_at_all(tmp_path: Path) -> None:
    file, folder = tmp_path / "new/a.txt", tmp_path / "b"
    folder.mkdir()
    (folder / "old").touch()
    (tmp_path / ".b.tmp").mkdir()  # what a kill left
    (tmp_path / ".b.tmp/stale").touch()

    def write(text: str, then: BaseException | None) -> None:
        with replacing(file, folder) as (new_file, new_folder):
            new_file.write_text(text)
            new_folder.mkdir()
            (new_folder / text).touch()
            assert not file.exists() or file.read_text() == "first"
            if then:
                raise then

    write("first", None)
    with pytest.raises(KeyboardInterrupt):
        write("second", KeyboardInterrupt())
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert found == {"new", "new/a.txt", "b", "b/first"}
    assert file.read_text() == "first"


@pytest.mark.parametrize("kind", ["jsonl", "json", "text"])
def test_a_full_disk_leaves_the_old_file(small_disk: Path, kind: str) -> None:
    path, big = small_disk / "rows.jsonl", "x" * 200_000
    write_text(path, "old")
    writes: dict[str, Any] = {
        "jsonl": lambda: write_jsonl(path, [Record.model_validate({"x": "x" * 999})] * 200),
        "json": lambda: write_json(path, {"x": big}),
        "text": lambda: write_text(path, big),
    }
    with pytest.raises(OSError, match="No space left on device"):
        writes[kind]()
    assert {file.name: file.read_text() for file in small_disk.iterdir()} == {"rows.jsonl": "old"}
