"""Where a stage reads and writes, and the processor cores it may use."""

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and writes."""

    root: Path
    """The checkout: inputs that no setting names lie here, where the DAG puts them."""
    out: Path
    """Outputs go below it with the DAG's relative paths: the checkout under DVC, else Hydra's
    run folder."""

    def input(self, given: str | None, default: str) -> Path:
        """The file or folder that a setting names, relative to the checkout or absolute, else `default`,
        where the DAG puts it."""
        return self.root / (given or default)

    def output(self, relative: str) -> Path:
        """Where the output that the DAG calls `relative` is to be written."""
        return self.out / relative

    @property
    def cache(self) -> Path:
        """Folder of everything resumable, outside DVC's outs: LONGWRITER_CACHE, else .cache/ of the
        checkout, also under `dvc exp run --temp`; else, without a checkout, the user's own cache."""
        main = Path(os.environ.get("DVC_ROOT", self.root))
        checkout = (main / "dvc.yaml").is_file()
        folder = main / ".cache" if checkout else user_cache_path("longwriter")
        return Path(os.environ.get("LONGWRITER_CACHE", folder)).absolute()


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
