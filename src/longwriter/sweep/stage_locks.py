"""Locks by which a stage that several jobs of a sweep have in common runs once.

DVC takes a stage's outputs from its run cache where the same stage has run before. Two experiments
that start together would both find nothing there and both do the work. So the first to come holds a
lock until DVC is past the stage, and the others wait.
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
"""The line in which DVC first names a stage."""


def stage_keys(
    root: Path,
    targets: Sequence[str],
    config: DictConfig,
    inputs: Mapping[str, Any],
    code: str,
) -> dict[str, str]:
    """Returns stage → a hash of everything that its outputs depend on, in an order in which each stage
    comes after those that it depends on. Stages that always run are left out.

    Args:
        root: the checkout.
        targets: stages to run; none: all.
        config: the job's settings.
        inputs: digests of the files that they name, as of `config.inputs.input_digests`.
        code: hash of the code and of the files in data/.
    """
    from dvc.repo import Repo
    from networkx import topological_sort

    values = {"params.yaml": config, "inputs.yaml": OmegaConf.create(dict(inputs))}
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
    """Holds a lock for each of a job's stages until DVC is past the stage.

        with StageLocks(folder, keys) as locks:
            for line in dvc_output:
                locks.read(line)
            locks.finish()

    All jobs acquire their locks in the order of the pipeline, so there is no deadlock. A lock is a
    file lock, which is released when its process ends, however it ends. A stage that has finished
    once is marked by a file, and no job waits for it again.
    """

    def __init__(self, folder: Path, keys: Mapping[str, str]) -> None:
        """
        Args:
            folder: where the lock files are; the same for all jobs that may share a stage.
            keys: stage → key, as of `stage_keys`; stages with the same key are the same.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._done = {stage: folder / f"{key}.done" for stage, key in keys.items()}
        self._locks = {stage: FileLock(folder / f"{key}.lock") for stage, key in keys.items()}
        self._held = ExitStack()
        self._current: str | None = None

    def __enter__(self) -> Self:
        """Waits for the locks of all stages that have not finished before."""
        for stage, lock in self._locks.items():
            if not self._done[stage].exists():
                lock.acquire()
                self._held.callback(lock.release, force=True)
        return self

    def read(self, line: str) -> None:
        """Takes a line that DVC prints. Where it names the next stage, the one before has finished."""
        found = NAMED.match(line)
        if found:
            self.finish()
            self._current = found[1]

    def finish(self) -> None:
        """Marks the current stage as finished, and lets the jobs that wait for it go on."""
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
