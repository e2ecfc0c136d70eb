"""Where a stage reads and writes, and the processor cores it may use."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from platformdirs import user_cache_path


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and writes."""

    root: Path
    """The checkout. Inputs that no setting names are read from it, at the DAG's relative paths."""
    out: Path
    """Folder for outputs, which are written at the DAG's relative paths: the checkout under DVC,
    else Hydra's run folder."""

    def input(self, given: str | None, default: str) -> Path:
        """Returns the file or folder that a setting names, or else `default`, the DAG's path.

        Both are relative to the checkout, or absolute.
        """
        return self.root / (given or default)

    def output(self, relative: str) -> Path:
        """Returns where to write the output that has the path `relative` in the DAG."""
        return self.out / relative

    @property
    def cache(self) -> Path:
        """Returns the folder of everything that lets a run resume, which is outside DVC's outs.

        It is LONGWRITER_CACHE, else .cache/ in the checkout (in the main one under
        `dvc exp run --temp`), else, without a checkout, the user's cache folder.
        """
        main = Path(os.environ.get("DVC_ROOT", self.root))
        checkout = (main / "dvc.yaml").is_file()
        folder = main / ".cache" if checkout else user_cache_path("longwriter")
        return Path(os.environ.get("LONGWRITER_CACHE", folder)).absolute()


def cores(system: Path = Path("/")) -> int:
    """Returns the number of processor cores that this process may use.

    That is the smallest of its CPU affinity, the CPU quota of its cgroup (version 2 or 1), rounded
    up, and OMP_NUM_THREADS.

    Args:
        system: the folder that holds proc/ and sys/.
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [float(bound or 1), *_quotas(system)]
    threads = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if threads.isdecimal() and int(threads):
        limits.append(float(threads))
    return max(1, math.ceil(min(limits)))


def _quotas(system: Path) -> Iterator[float]:
    """Yields the CPU quotas, in cores, of this process's cgroup and its ancestors."""
    for line in _read(system / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = system / "sys/fs/cgroup" / ("cpu" if controllers else "")
        inner = PurePosixPath(path.lstrip("/"))
        for folder in (top / inner, *(top / parent for parent in inner.parents)):
            quota, _, period = _read(folder / "cpu.max").strip().partition(" ")
            if not quota:  # version 1
                quota = _read(folder / "cpu.cfs_quota_us").strip()
                period = _read(folder / "cpu.cfs_period_us").strip()
            if quota.isdecimal() and period.isdecimal() and int(period):
                yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
