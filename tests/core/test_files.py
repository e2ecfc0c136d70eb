"""Files are written whole or not at all, found where a setting names them, and known by digests."""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from longwriter.core.errors import SettingsError
from longwriter.core.files import (
    checkpoint_digest,
    digest,
    dvc_md5,
    files_digest,
    in_use,
    locate,
    remove_unused,
    replacing,
    weights_digest,
    write_json,
    write_jsonl,
    write_text,
)
from longwriter.core.rows import Record

GOOD = b'{"prompt": "Write a poem."}\n'


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
    left = tmp_path / ".b.4194305-1.tmp"  # by a process that was killed: no pid is so large
    left.mkdir()
    (left / "stale").touch()

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


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no other disk")
def test_a_folder_that_is_a_link_to_another_disk_is_written_there(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as disk:
        other, link = Path(disk) / "models", tmp_path / "models"
        other.mkdir()
        (other / "old").write_text("old")
        link.symlink_to(other)
        with pytest.raises(ZeroDivisionError), replacing(link) as (temporary,):
            temporary.mkdir()
            raise ZeroDivisionError
        assert [file.name for file in other.iterdir()] == ["old"]
        with replacing(link) as (temporary,):
            temporary.mkdir()
            (temporary / "new").write_text("new")
        write_text(link / "inner" / "file.txt", "text")
        assert link.is_symlink()
        assert (other / "inner/file.txt").read_text() == "text"
        assert (other / "new").read_text() == "new"
        assert not (other / "old").exists()
        assert [path.name for path in Path(disk).iterdir()] == ["models"]


def test_processes_that_write_one_file_do_not_share_a_temporary_name(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from longwriter.core.files import write_text\n"
        "for _ in range(200): write_text(pathlib.Path(sys.argv[1]), sys.argv[2] * 10_000)"
    )
    file = tmp_path / "text"
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(file), letter], stderr=subprocess.PIPE)
        for letter in "abc"
    ]
    assert [process.communicate()[1] for process in started] == [b""] * 3
    assert len(set(file.read_text())) == 1 and file.stat().st_size == 10_000
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".text.{dead.pid}-1.tmp").write_text("half")
    mine = tmp_path / f".text.{os.getpid()}-1.tmp"
    mine.write_text("another thread's")
    write_text(tmp_path / "text", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [mine.name, "text"]


def test_locate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "lw_weights"
    (package / "sub").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "sub" / "m.gguf").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert locate("package:lw_weights/sub/m.gguf") == package / "sub" / "m.gguf"
    assert locate("lw_weights/sub/m.gguf") == package / "sub" / "m.gguf"
    assert locate(str(package)) == package


@pytest.mark.parametrize("model", ["none.gguf", "/none/m.gguf", "package:json/m.gguf"])
def test_what_is_not_there_is_named(model: str) -> None:
    with pytest.raises(SettingsError) as raised:
        locate(model)
    assert str(raised.value) == (
        f"{model}: no such file or folder; name one, or install the package"
    )


@pytest.mark.parametrize(
    "model", ["package:nope", "package:", "package:nope/here", "package:a.b/x"]
)
def test_no_such_package(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    with pytest.raises(SettingsError, match="the form is package:NAME/FILE"):
        locate(model)


def test_digest_of_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model-1.safetensors").write_bytes(b"one")
    one = hashlib.sha256(b"one").hexdigest()
    assert checkpoint_digest(tmp_path) == one
    (tmp_path / "model-2.safetensors").write_bytes(b"two")
    both = one + hashlib.sha256(b"two").hexdigest()
    assert checkpoint_digest(tmp_path) == hashlib.sha256(both.encode()).hexdigest()


def test_digests_of_files_and_of_a_folder_of_weights(tmp_path: Path) -> None:
    for name, content in (("b", b"two"), ("a", b"one")):
        (tmp_path / f"{name}.safetensors").write_bytes(content)
    (tmp_path / "config.json").write_bytes(b"{}")
    one, two = (hashlib.sha256(content).hexdigest() for content in (b"one", b"two"))
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert digest(a) == one
    assert files_digest([b, a]) == hashlib.sha256(f"{two}{one}".encode()).hexdigest()
    assert weights_digest(tmp_path) == one + two
    assert weights_digest(tmp_path / "none") == ""


def test_dvc_md5_is_what_dvc_computes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "b").mkdir(parents=True)
    (folder / "b/x").write_bytes(b"one")
    (folder / "a.txt").write_bytes("诗".encode())
    (tmp_path / "file").write_bytes(b"two")
    for command in (["init", "--no-scm", "--quiet"], ["add", "--quiet", "folder", "file"]):
        subprocess.run(["dvc", *command], cwd=tmp_path, check=True)
    noted = {
        name: yaml.safe_load((tmp_path / f"{name}.dvc").read_text())["outs"][0]["md5"]
        for name in ("folder", "file")
    }
    assert noted["folder"].endswith(".dir")
    assert {name: dvc_md5(tmp_path / name) for name in noted} == noted


def test_what_nobody_used_for_a_month_is_removed(tmp_path: Path) -> None:
    names = ["asked for", "young", "old", ".being written"]
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    for name in ("asked for", "old", ".being written"):
        os.utime(tmp_path / name, (time.time() - 31 * 86_400,) * 2)
    assert in_use(tmp_path / "asked for")
    assert not in_use(tmp_path / "new")
    remove_unused(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".being written",
        "asked for",
        "young",
    ]
