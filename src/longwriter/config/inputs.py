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
from longwriter.core.settings import file_settings


def input_digests(settings: Any, root: Path) -> dict[str, Any]:
    """Nested as the settings are: of every setting declared with `names_file` the digest of what it
    names. Of several files, file → digest. null where the setting is null, or nothing is there: a
    benchmark that was not fetched, a model's name, a hub id, which its revision tells from others.

    Args:
        settings: a dataclass.
        root: the checkout, to which paths in settings are relative.
    """
    found: dict[str, Any] = {}
    for key, value in file_settings(settings):
        *groups, name = key.split(".")
        place = found
        for group in groups:
            place = place.setdefault(group, {})
        place[name] = _digests(value, root)
    return found


def _digests(value: Any, root: Path) -> Any:
    if isinstance(value, Mapping):
        return {str(name): path_digest(path, root) for name, path in value.items()}
    if isinstance(value, list):
        return {path: path_digest(path, root) for path in value}
    return None if value is None else path_digest(value, root)


def path_digest(given: str, root: Path) -> str | None:
    """`sha256:` and the digest of a file's bytes, or of a folder's files with their names; None where
    nothing is there.

    Args:
        given: a path, relative to `root` or absolute, or `package:NAME/FILE`.
    """
    try:
        path = locate(given) if given.startswith("package:") else root / given
    except SettingsError:
        return None
    if path.is_file():
        return f"sha256:{_file_digest(path)}"
    if not path.is_dir():
        return None
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = "\n".join(f"{_file_digest(file)} {file.relative_to(path)}" for file in files)
    return f"sha256:{hashlib.sha256(names.encode()).hexdigest()}"


@lru_cache
def _file_digest(path: Path) -> str:
    """Teacher, student and judge may name the same file."""
    return digest(path)
