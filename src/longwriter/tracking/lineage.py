"""From a result back to what it came from, by dvc.lock, with the MLflow run that wrote each file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from longwriter.tracking.provenance import locked_stages
from longwriter.tracking.runs import FindMaker, StageRun

DATA = ("data/", "models/")
"""Where stages leave what other stages read; the rest of their dependencies is code."""


class Link(NamedTuple):
    """A file or folder on the way back."""

    path: str
    """Of an input the setting that names it."""
    digest: str
    """md5 as in dvc.lock; of an input as in inputs.yaml, such as `sha256:…`."""
    stage: str
    """Which made it, as DVC calls it; empty for an input."""
    run: StageRun | None
    """The run that wrote these very bytes, where MLflow knows one."""
    current: bool = True
    """False where the stage has since written the path anew: what these bytes were made of is lost."""

    @property
    def marked_path(self) -> str:
        """The path, with a mark where it has other bytes now."""
        return self.path if self.current else f"{self.path} (written anew since)"

    def __str__(self) -> str:
        made = f", stage {self.stage}" if self.stage else ", an input"
        run = f", MLflow run {self.run.run_id}, code {self.run.code}" if self.run else ""
        return f"{self.marked_path}: {self.digest}{made}{run}"


def walk_back(root: Path, find_maker: FindMaker, *paths: str) -> list[Link]:
    """Returns `paths` and all that they were made of, by dvc.lock of the checkout `root`: each once,
    what is nearest to `paths` first. Paths that dvc.lock does not know are left out.

    A stage is followed to the bytes that it read, also where they are not those that are there now.

    Args:
        find_maker: as `runs.maker_finder` returns it.
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


def _inputs(stage: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Setting → digest of the files that a stage's settings name and that exist; of a setting that
    names several, setting and file."""
    return _leaves(stage.get("params", {}).get("inputs.yaml", {}))


def _leaves(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        joint = "." if key.isidentifier() else " "  # a path is no further group of settings
        name = f"{prefix}{joint}{key}" if prefix else key
        if isinstance(value, dict):
            yield from _leaves(value, name)
        elif value:
            yield name, value
