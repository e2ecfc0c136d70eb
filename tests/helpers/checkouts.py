"""Copies of the checkout, in which DVC runs the project's own stages."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.checkpoints import CHECKOUT


def copy_checkout(root: Path) -> None:
    """Copies what the stages need of the checkout, changes that are not committed included, to a git
    repository `root`."""
    parts = ["src", "stages", "conf", ".dvc", "data", ".gitignore", "dvc.yaml", "pyproject.toml"]
    listing = ["git", "ls-files", "-co", "--exclude-standard", "--", *parts]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    for name in names.stdout.splitlines():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, root / name)
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)


def stage_environment(root: Path, folder: Path) -> dict[str, str]:
    """The variables of commands in `root`; caches lie in `folder`."""
    own = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(root / "src"),
        "LONGWRITER_CACHE": str(folder / "cache"),
        "DVC_SITE_CACHE_DIR": str(folder / "site"),
        "DVC_NO_ANALYTICS": "1",
    }
    for role in ("AUTHOR", "COMMITTER"):
        own |= {f"GIT_{role}_NAME": "n", f"GIT_{role}_EMAIL": "n@e"}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_"))}
    return kept | own


def set_value(root: Path, option: str, key: str, value: object) -> None:
    """Edits one value in conf/."""
    path = root / f"conf/{option}.yaml"
    text, number = re.subn(
        rf"^( *{key}): .*$", rf"\1: {value}", path.read_text(), flags=re.MULTILINE
    )
    assert number == 1, f"{path} has no {key}"
    path.write_text(text)
