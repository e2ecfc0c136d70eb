import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longwriter.core.errors import DataError
from longwriter.llm.cache import Cache, call_key

SHAPE: dict[str, Any] = {
    "model": "m",
    "messages": [{"role": "user", "content": "写诗"}],
    "max_tokens": 100,
    "temperature": 0.5,
    "top_p": 1.0,
    "seed": 7,
    "sample": 0,
}

WRITE_MANY = """
import sys
from pathlib import Path
from longwriter.llm.cache import Cache

cache, name = Cache(Path(sys.argv[1])), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(300):
    cache.put(f"{name} {number}", {"text": name * 500})
    cache.put("shared", {"text": name})
    assert cache.get(f"{name} {number}") == {"text": name * 500}
"""

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from longwriter.llm.cache import Cache

Cache(Path(sys.argv[1])).put("k", {"text": "paid for"})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_every_field_shapes_the_key() -> None:
    others: list[dict[str, Any]] = [
        {"model": "n"},
        {"messages": [{"role": "user", "content": "写书"}]},
        {"messages": [{"role": "system", "content": "写诗"}]},
        {"messages": SHAPE["messages"] * 2},
        {"max_tokens": 101},
        {"temperature": 0.6},
        {"top_p": 0.9},
        {"seed": 8},
        {"sample": 1},
        {"stop": ["\n\n"]},
        {"stop": ["\n"]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minItems": 1}}}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"minItems": 2}}}},
    ]
    keys = {call_key(**SHAPE | other) for other in [{}, *others]}
    assert len(keys) == 1 + len(others)


def test_the_order_of_fields_does_not_shape_the_key() -> None:
    turned = {name: SHAPE[name] for name in reversed(SHAPE)}
    turned["messages"] = [{"content": "写诗", "role": "user"}]
    assert call_key(**turned) == call_key(**SHAPE)


def test_what_was_put_is_there_in_another_run(tmp_path: Path) -> None:
    path = tmp_path / "new" / "calls.sqlite"
    first = Cache(path)
    assert first.get("k") is None
    first.put("k", {"text": "诗 😀\n", "tokens": 3})
    first.put("k2", {"text": "old"})
    first.put("k2", {"text": "new"})
    first.close()
    second = Cache(path)
    assert second.get("k") == {"text": "诗 😀\n", "tokens": 3}
    assert second.get("k2") == {"text": "new"}
    second.close()


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    cache = Cache(path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITE_MANY, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in "ab"
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=60)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {
        (name, number)
        for name in "ab"
        for number in range(300)
        if cache.get(f"{name} {number}") == {"text": name * 500}
    } == {(name, number) for name in "ab" for number in range(300)}
    assert cache.get("shared") in ({"text": "a"}, {"text": "b"})
    cache.close()


def test_a_process_killed_right_after_put_has_kept_it(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    died = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(path)])
    assert died.returncode == -signal.SIGKILL
    cache = Cache(path)
    assert cache.get("k") == {"text": "paid for"}
    cache.close()


def test_a_full_disk_loses_nothing_kept_before(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    cache = Cache(path)
    cache.put("k", {"text": "kept"})
    # SQLite's own limit gives the error that a full disk gives.
    cache._database.execute("PRAGMA max_page_count = 1")
    with pytest.raises(DataError, match=r"a finished call cannot be kept .*full.*free the disk"):
        cache.put("big", {"text": "x" * 100_000})
    assert (cache.get("k"), cache.get("big")) == ({"text": "kept"}, None)
    cache.close()


def test_a_file_that_is_no_cache_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    path.write_bytes(b"a shopping list, and not a short one\n" * 99)
    with pytest.raises(DataError, match=r"calls\.sqlite: the cache of calls cannot be opened"):
        Cache(path)
    assert path.read_bytes() == b"a shopping list, and not a short one\n" * 99


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="name another folder in LONGWRITER_CACHE"):
        Cache(tmp_path / "file" / "calls.sqlite")
