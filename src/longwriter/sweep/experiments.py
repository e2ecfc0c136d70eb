"""Git access for sweeps: checks and hashes the checkout, and reads DVC's experiments."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from longwriter.core.errors import SettingsError
from longwriter.core.files import digest
from longwriter.tracking.provenance import git_state, locked_stages

CODE = ("src", "stages", "conf", "dvc.yaml", ".dvc/config")
INPUTS = "data"

BREAKS_DVC = re.compile(r"[^ -~]|[#?{}]|%[0-9A-Fa-f]{2}")
"""Matches characters that DVC cannot handle in the checkout's path.

DVC writes the path into its configuration as ASCII, into a `file://` URL without escaping, and into
commands as a template. Seen with DVC 3.67."""


def check_repository(root: Path) -> None:
    """Checks that DVC can make experiments of the checkout `root`.

    An experiment includes uncommitted edits of files that git tracks, but no untracked code files.

    Raises:
        SettingsError: there is no commit, the clone is shallow, DVC cannot make experiments under
            the folder's path, or a code file is untracked.
    """
    if not git_state(root).commit:
        raise SettingsError(f"{root}: has no commit; an experiment needs one: `git commit` first")
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise SettingsError(
            f"{root}: is a shallow clone, in which DVC keeps no experiment; "
            "`git fetch --unshallow` first"
        )
    odd = BREAKS_DVC.search(str(root))
    if odd:
        raise SettingsError(
            f"{root}: DVC makes no experiment below a folder with {odd[0]} in its path; move the "
            "checkout to another"
        )
    new = [path for path in _files(root, "-o", *CODE) if not path.endswith(".tmp")]
    if new:
        raise SettingsError(
            f"git does not track {', '.join(new)}, so an experiment would run without; "
            f"`git add {' '.join(new)}` first (a commit is not needed)"
        )


def fingerprint(root: Path) -> str:
    """Returns a hash of everything in the checkout that any job reads.

    This covers the code, conf/ and the inputs in data/, committed or not.
    """
    found = hashlib.sha256()
    for path in sorted(_files(root, "-co", *CODE, INPUTS)):
        if (root / path).is_file():
            found.update(f"{path}\0".encode())
            found.update(bytes.fromhex(digest(root / path)))
    return found.hexdigest()


def untracked_inputs(root: Path, named: Iterable[str]) -> list[str]:
    """Returns inputs that git ignores or does not track, which DVC must be told to copy.

    An example is a benchmark that may not be published.

    Args:
        named: files and folders that settings name; those outside `root` or made by the pipeline
            need no copy.
    """
    made = {out["path"] for stage in locked_stages(root).values() for out in stage.get("outs", [])}
    inside = [path for path in named if not Path(path).is_absolute() and (root / path).exists()]
    ignored = [path for path in inside if path not in made and not _files(root, "-co", path)]
    return sorted({*_files(root, "-o", INPUTS, *inside), *ignored})


def experiment_ref(root: Path, name: str) -> str | None:
    """Returns the git reference of the experiment `name`; None if there is none."""
    refs = _git(root, "for-each-ref", "--format=%(refname)", "refs/exps").splitlines()
    return next((ref for ref in refs if ref.endswith(f"/{name}")), None)


def read_json(root: Path, ref: str, path: str) -> Any:
    """Returns a JSON file of the experiment `ref`; None if it has no such file."""
    text = _git(root, "cat-file", "blob", f"{ref}:{path}", check=False)
    return json.loads(text) if text else None


def read_text(root: Path, ref: str, path: str) -> str:
    """Returns a text file of the experiment `ref`."""
    return _git(root, "cat-file", "blob", f"{ref}:{path}")


def _files(root: Path, which: str, *paths: str) -> list[str]:
    return _git(root, "ls-files", which, "--exclude-standard", "--", *paths).splitlines()


def _git(root: Path, *arguments: str, check: bool = True) -> str:
    command = ["git", "--no-optional-locks", "-c", "core.quotepath=false", *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=check)  # noqa: S603
    return done.stdout if done.returncode == 0 else ""
