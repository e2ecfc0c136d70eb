"""A stage that several jobs of a sweep have in common runs once: the others wait for it.

DVC takes a stage's outputs from its cache where the same stage has run before. Two experiments that
start together would both find nothing there and both do the work.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock
from omegaconf import DictConfig, OmegaConf

NAMED = re.compile(r"(?:Running stage|Stage) '([^']+)'")
"""How DVC begins to speak of the next stage."""


def stage_keys(root: Path, targets: Sequence[str], config: DictConfig, code: str) -> dict[str, str]:
    """Returns stage → a hash of all that its outputs depend on, stages before those that use them.

    Args:
        root: the checkout.
        targets: stages to run; none: all.
        config: the job's settings.
        code: hash of code and inputs.
    """
    from dvc.repo import Repo
    from networkx import topological_sort

    keys: dict[str, str] = {}
    with Repo(str(root)) as repo:
        graph = repo.index.graph  # from a stage to those it depends on
        wanted = {
            stage
            for target in targets or (None,)
            for stage in repo.stage.collect(target, with_deps=True)
        }
        for stage in reversed(list(topological_sort(graph))):
            if stage not in wanted or stage.always_changed:
                continue
            names = sorted(str(name) for dep in stage.deps for name in getattr(dep, "params", ()))
            values = {name: _plain(OmegaConf.select(config, name)) for name in names}
            before = sorted(keys.get(up.addressing, "") for up in graph.successors(stage))
            text = json.dumps([stage.addressing, values, before, code], sort_keys=True)
            keys[stage.addressing] = hashlib.sha256(text.encode()).hexdigest()[:20]
    return keys


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


class StageLocks:
    """Holds the turn for each of a job's stages until DVC has gone past it.

    All jobs take their turns in the order of the pipeline, so none waits in a circle. A turn is a
    file lock, which ends with its process, however that ends.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._done = {stage: folder / f"{key}.done" for stage, key in keys.items()}
        self._locks = {stage: FileLock(folder / f"{key}.lock") for stage, key in keys.items()}
        self._held = ExitStack()
        self._current: str | None = None

    def __enter__(self) -> Self:
        for stage, lock in self._locks.items():
            if not self._done[stage].exists():
                lock.acquire()
                self._held.callback(lock.release, force=True)
        return self

    def read(self, line: str) -> None:
        """Learns from a line that DVC prints which stage it has come to."""
        found = NAMED.match(line)
        if found:
            self.finish()
            self._current = found[1]

    def finish(self) -> None:
        """Gives the turn of the stage that DVC has just ended to the jobs that wait for it."""
        if self._current in self._locks:
            self._done[self._current].touch()
            self._locks[self._current].release(force=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._held.close()
