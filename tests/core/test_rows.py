import hashlib
import json
from pathlib import Path

import pytest

from longwriter.core.errors import DataError
from longwriter.core.files import write_jsonl
from longwriter.core.rows import BenchmarkPrompt, Instruction, TrainingRow
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
        (b'{"length": 5}', "prompt: Field required; fix the row or remove it"),
        (
            b'{"prompt": "a", "length": "long"}',
            "length: Input should be a valid integer, unable to parse string as an integer; "
            "fix the row or remove it",
        ),
        (
            b'{"prompt": "a", "length": 0}',
            "length: Input should be greater than 0; fix the row or remove it",
        ),
        (
            b'{"prompt": "a", "language": "fr"}',
            "language: Input should be 'en' or 'zh'; fix the row or remove it",
        ),
        (
            b'{"prompt": " \\n"}',
            "prompt: String should match pattern '\\S'; fix the row or remove it",
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
        "fix the row or remove it"
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
    assert str(raised.value) == f"{path}: has no rows; expected one JSON object per line"


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
