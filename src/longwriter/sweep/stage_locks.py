"""Locks that make a stage shared by several jobs of a sweep run only once.

DVC takes a stage's outputs from its run cache if the same stage has run before. Two experiments
that start together would both find nothing there and both do the work. So the first one holds a
lock until DVC has finished the stage, and the others wait.
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
"""Matches the line in which DVC first names a stage."""


def stage_keys(
    root: Path,
    targets: Sequence[str],
    config: DictConfig,
    inputs: Mapping[str, Any],
    code: str,
) -> dict[str, str]:
    """Returns stage → a hash of everything that the stage's outputs depend on.

    Each stage comes after those that it depends on. Stages that always run are left out.

    Args:
        root: the checkout.
        targets: stages to run; empty: all.
        config: the job's settings.
        inputs: digests of the files that the settings name, from `config.inputs.input_digests`.
        code: hash of the code and of the files in data/.
    """
    from dvc.repo import Repo
    from networkx import topological_sort

    values = {"params.yaml": config, "inputs.yaml": OmegaConf.create(dict(inputs))}
    keys: dict[str, str] = {}
    with Repo(str(root)) as repo:
        graph = repo.index.graph  # edges go from a stage to its dependencies
        wanted = {
            stage
            for target in targets or (None,)
            for stage in repo.stage.collect(target, with_deps=True)
        }
        for stage in reversed(list(topological_sort(graph))):
            if stage not in wanted or stage.always_changed:
                continue
            read = {
                f"{dep.def_path}: {name}": _plain(OmegaConf.select(values[dep.def_path], str(name)))
                for dep in stage.deps
                for name in getattr(dep, "params", ())
            }
            before = sorted(keys.get(up.addressing, "") for up in graph.successors(stage))
            text = json.dumps([stage.addressing, read, before, code], sort_keys=True)
            keys[stage.addressing] = hashlib.sha256(text.encode()).hexdigest()[:20]
    return keys


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value) if OmegaConf.is_config(value) else value


class StageLocks:
    """Holds a lock for each of a job's stages until DVC has finished the stage.

        with StageLocks(folder, keys) as locks:
            for line in dvc_output:
                locks.read(line)
            locks.finish()

    All jobs acquire their locks in pipeline order, so there is no deadlock. They are file locks,
    which are released when the process ends, for whatever reason. A finished stage is marked by a
    file, so that no job waits for it again.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str]) -> None:
        """Creates the locks without acquiring them.

        Args:
            folder: where the lock files are; the same for all jobs that may share a stage.
            keys: stage → key, from `stage_keys`; stages with the same key share a lock.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._done = {stage: folder / f"{key}.done" for stage, key in keys.items()}
        self._locks = {stage: FileLock(folder / f"{key}.lock") for stage, key in keys.items()}
        self._held = ExitStack()
        self._current: str | None = None

    def __enter__(self) -> Self:
        """Waits for and acquires the locks of all stages that have not finished before."""
        for stage, lock in self._locks.items():
            if not self._done[stage].exists():
                lock.acquire()
                self._held.callback(lock.release, force=True)
        return self

    def read(self, line: str) -> None:
        """Reads a line of DVC's output; if it names a new stage, the previous one has finished."""
        found = NAMED.match(line)
        if found:
            self.finish()
            self._current = found[1]

    def finish(self) -> None:
        """Marks the current stage as finished, so that jobs waiting for it can continue."""
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
