"""Traces a result back to its inputs.

It follows dvc.lock, and names the MLflow run that wrote each file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from longwriter.tracking.provenance import locked_stages
from longwriter.tracking.runs import FindMaker, StageRun

DATA = ("data/", "models/")
"""Folders through which stages pass data on; their other dependencies are code."""

CONTENTS = "contents of "
"""What the name of an input's digest begins with; the name of the setting follows."""


class Link(NamedTuple):
    """A file or folder in the lineage."""

    path: str
    """The path; for an input, the setting that names it."""
    digest: str
    """md5 as in dvc.lock; for an input, the digest in inputs.yaml, such as `sha256:…`."""
    stage: str
    """DVC's name of the stage that made it; empty for an input."""
    run: StageRun | None
    """The run that wrote exactly these bytes, if MLflow knows one."""
    current: bool = True
    """False if the stage has overwritten the path since.

    What these bytes were made from is then lost.
    """

    @property
    def marked_path(self) -> str:
        """The path, marked if it holds other bytes by now."""
        return self.path if self.current else f"{self.path} (overwritten since)"

    def __str__(self) -> str:
        made = f", stage {self.stage}" if self.stage else ", an input"
        run = f", MLflow run {self.run.run_id}, code {self.run.code}" if self.run else ""
        return f"{self.marked_path}: {self.digest}{made}{run}"


def walk_back(root: Path, find_maker: FindMaker, *paths: str) -> list[Link]:
    """Returns `paths` and everything that they were made from, each once, nearest first.

    Follows dvc.lock of the checkout `root`, and leaves out paths that it does not list. A stage is
    followed to the bytes that it read, even if its input holds other bytes by now.

    Args:
        find_maker: as returned by `runs.maker_finder`.
    """
    stages = locked_stages(root)
    made = {
        out["path"]: (out["md5"], name)
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    links: dict[tuple[str, str], Link] = {}
    queue = [(path, made[path][0]) for path in paths if path in made]
    while queue:
        path, md5 = queue.pop(0)
        if (path, md5) in links:
            continue
        now, name = made[path]
        links[path, md5] = Link(path, md5, name, find_maker(path, md5), md5 == now)
        if md5 != now:
            continue
        deps = [(dep["path"], dep["md5"]) for dep in stages[name].get("deps", [])]
        queue += [dep for dep in deps if dep[0].startswith(DATA) and dep[0] in made]
        for key, digest in _inputs(stages[name]):
            links.setdefault((key, digest), Link(key, digest, "", None))
    return list(links.values())


def input_digests(root: Path) -> dict[str, str]:
    """Returns `contents of SETTING` → digest of each file named by a setting, from inputs.yaml.

    It is empty before stage `params` has written that file.
    """
    path = root / "inputs.yaml"
    found = yaml.safe_load(path.read_bytes()) if path.exists() else {}
    return {CONTENTS + name: digest for name, digest in _leaves(found)}


def _inputs(stage: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields setting and digest of every existing file that a stage's settings name.

    If a setting names several files, each is listed as setting and file.
    """
    return _leaves(stage.get("params", {}).get("inputs.yaml", {}))


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        joint = "." if key.isidentifier() else " "  # a file's path, not a group of settings
        name = f"{prefix}{joint}{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, name)
        elif value:
            yield name, value
