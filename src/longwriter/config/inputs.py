"""inputs.yaml: a digest of every file or folder that a setting names.

DVC looks at the values in params.yaml, so a file that a setting names would be an input by its name
only. The stage `params`, which always runs, digests them, and each stage depends on its keys of
inputs.yaml.
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
    """Nested as the settings are: of every setting declared with `names_file` the digest of what it
    names. Of several files, file → digest. null where the setting is null, or nothing is there, such
    as a benchmark that was not fetched, or a model's name. A group that is null is null here too: DVC
    wants every key that a stage depends on.

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
    """`sha256:` and the digest of a file's bytes, or of a folder's files with their names; `hub:`, id
    and revision where nothing is there and a revision is given; else None.

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
    """Teacher, student and judge may name the same file, which is read once."""
    return digest(path)
