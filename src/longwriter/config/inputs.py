"""Digests of every file or folder that a setting names, for inputs.yaml.

DVC compares the values in params.yaml, so it would notice a changed file name but not changed
content. The stage `params`, which always runs, writes the digests, and each stage depends on its
keys in inputs.yaml.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from longwriter.core.errors import SettingsError
from longwriter.core.files import digest, locate
from longwriter.core.settings import FileSetting, file_settings


def input_digests(settings: Any, root: Path) -> dict[str, Any]:
    """Returns the digests of everything that settings name, nested like the settings.

    Every setting declared with `names_file` has the digest of what it names, or file → digest if it
    names several. A digest is null if the setting is null or nothing exists under that name, such
    as a benchmark that was not fetched, or a model's name. A null group is null here too, because
    DVC needs every key that a stage depends on.

    Args:
        settings: a dataclass.
        root: the checkout, to which paths in settings are relative.
    """
    found: dict[str, Any] = {name: None for name, group in vars(settings).items() if group is None}
    for setting in file_settings(settings):
        *groups, name = setting.key.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = _digests(setting, root)
    return found


def _digests(setting: FileSetting, root: Path) -> Any:
    value = setting.value
    if isinstance(value, Mapping):
        return {str(name): path_digest(path, root) for name, path in value.items()}
    if isinstance(value, list):
        return {path: path_digest(path, root) for path in value}
    return None if value is None else path_digest(value, root, setting.revision)


def path_digest(given: str, root: Path, revision: str | None = None) -> str | None:
    """Returns a digest of the file, folder or hub repository that `given` names.

    This is `sha256:` with the hash of a file's bytes, or of a folder's files and their names. If
    the path doesn't exist, it is `hub:ID@REVISION` if a revision is given, else None.

    Args:
        given: a path, relative to `root` or absolute, or `package:NAME/FILE`, or a hub id.
        revision: commit or tag of the hub id.
    """
    try:
        path = locate(given) if given.startswith("package:") else root / given
    except SettingsError:
        return None
    if path.is_file():
        return f"sha256:{_file_digest(path)}"
    if not path.is_dir():
        return revision and f"hub:{given}@{revision}"
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = "\n".join(f"{_file_digest(file)} {file.relative_to(path)}" for file in files)
    return f"sha256:{hashlib.sha256(names.encode()).hexdigest()}"


def _file_digest(path: Path) -> str:
    stat = path.stat()
    return _digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """Returns a file's digest, cached because teacher, student and judge may name the same file."""
    return digest(path)
