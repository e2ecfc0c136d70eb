"""The cache of calls on a network disk: psutil is made to say that the folder lies on one."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from longwriter.core.files import network_disk
from longwriter.llm.cache import Cache, Sent, edited

STAND_IN = """
import psutil
from types import SimpleNamespace
psutil.disk_partitions = lambda all: [SimpleNamespace(mountpoint="/", fstype="nfs4")]
"""
WRITE = (
    STAND_IN
    + """
import os, signal, sys
from pathlib import Path
from longwriter.llm.cache import Cache

cache, name = Cache(Path(sys.argv[1])), sys.argv[2]
cache.put(name, {"text": name}, "scope", 0.25)
print("ready", flush=True)
if sys.stdin.readline() == "die\\n":
    os.kill(os.getpid(), signal.SIGKILL)
print(cache.get("a"), cache.get("b"), cache.paid("scope"))
cache.close()
"""
)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mounts = [SimpleNamespace(mountpoint="/", fstype="nfs4")]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: mounts)
    return tmp_path / "calls.sqlite"


Start = Callable[[str], "subprocess.Popen[str]"]


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    started = []

    def one(name: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(path), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("mounted", "kind"),
    [
        ({"/": "ext4", "/data": "lustre"}, "lustre"),
        ({"/": "nfs4", "/data": "xfs"}, ""),
        ({"/": "nfs4", "/data/other": "xfs"}, "nfs4"),
        ({"/": "ext4", "/dat": "nfs"}, ""),
        ({"/": "ext4", "/data": "fuse.sshfs"}, "fuse.sshfs"),
        ({"/": "ext4", "/data": "fuseblk"}, ""),
        ({}, ""),
    ],
)
def test_the_disk_of_a_folder(
    mounted: dict[str, str], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [SimpleNamespace(mountpoint=place, fstype=kind) for place, kind in mounted.items()]
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: found)
    assert network_disk(Path("/data/cache/calls.sqlite")) == kind


def test_a_closed_cache_is_one_file_without_a_log(path: Path) -> None:
    for name in "ab":
        cache = Cache(path)
        cache.put(name, {"text": name}, "scope", 0.25)
        cache.close()
    cache = Cache(path)
    assert [cache.get(name) for name in "abc"] == [{"text": "a"}, {"text": "b"}, None]
    assert cache.paid("scope") == 0.5
    cache.put("a", {"text": "newer"})
    assert cache.get("a") == {"text": "newer"}
    cache.close()
    assert sorted(p.name for p in path.parent.iterdir()) == ["calls.lock", "calls.sqlite"]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_two_processes_of_which_one_is_killed(path: Path, start: Start) -> None:
    a, b = start("a"), start("b")
    _, _ = a.communicate("die\n", timeout=60)
    assert a.returncode == -signal.SIGKILL
    late = Cache(path)  # takes in what the killed one has kept, and leaves the other's file alone
    assert (late.get("a"), late.get("b")) == ({"text": "a"}, None)
    printed, _ = b.communicate("go\n", timeout=60)
    assert printed == "None {'text': 'b'} 0.25\n"  # it began before the other's was taken in
    assert late.get("b") is None
    late.close()
    again = Cache(path)
    assert [again.get(name) for name in "ab"] == [{"text": "a"}, {"text": "b"}]
    assert again.paid("scope") == 0.5
    again.close()


def test_batches_that_an_earlier_process_sent(path: Path) -> None:
    first = Cache(path)
    first.put_sent("abc", "server", "file")
    first.close()
    second = Cache(path)
    second.name_batch("file", "batch")
    assert second.sent("abc", "server")["b"] == Sent("file", "batch")
    second.drop_sent("a", "file")
    second.put_sent("c", "server", "another")
    expected = {"b": Sent("file", "batch"), "c": Sent("another", None)}
    assert second.sent("abc", "server") == expected
    second.close()
    third = Cache(path)
    assert third.sent("abc", "server") == expected
    third.close()


def test_a_cache_that_was_made_on_a_local_disk(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite"
    killed = WRITE.replace(STAND_IN, "")
    done = subprocess.run(
        [sys.executable, "-c", killed, str(path), "a"], input="die\n", text=True, timeout=60,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert path.with_name("calls.sqlite-wal").exists()
    read = STAND_IN + (
        "import sys\nfrom pathlib import Path\nfrom longwriter.llm.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]))\nprint(cache.get('a'))\ncache.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", read, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "{'text': 'a'}\n"
    assert not path.with_name("calls.sqlite-wal").exists()


def test_what_is_pruned_is_still_there_for_who_reads(path: Path) -> None:
    cache = Cache(path)
    cache.put("a", {"text": "a"})
    cache.close()
    reader = Cache(path)
    with edited(path) as database:
        database.execute("DELETE FROM calls")
        database.execute("VACUUM")
    assert reader.get("a") == {"text": "a"}
    reader.close()
    after = Cache(path)
    assert after.get("a") is None
    after.close()
