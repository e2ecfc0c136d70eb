"""Where a stage reads and writes, and the processor cores it may use."""

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path


@dataclass(frozen=True)
class Workspace:
    """Where a stage reads and writes."""

    root: Path
    """The checkout. Inputs that no setting names are read here, where the DAG puts them."""
    out: Path
    """Outputs are written below it, with the DAG's relative paths: the checkout under DVC, else
    Hydra's run folder."""

    def input(self, given: str | None, default: str) -> Path:
        """The file or folder that a setting names, relative to the checkout or absolute; where it names
        none, `default`, where the DAG puts it."""
        return self.root / (given or default)

    def output(self, relative: str) -> Path:
        """Where to write the output that the DAG calls `relative`."""
        return self.out / relative

    @property
    def cache(self) -> Path:
        """Folder of everything that lets a run go on where it stopped, outside DVC's outs:
        LONGWRITER_CACHE, else .cache/ of the checkout (the main one under `dvc exp run --temp`), else,
        without a checkout, the user's cache folder."""
        main = Path(os.environ.get("DVC_ROOT", self.root))
        checkout = (main / "dvc.yaml").is_file()
        folder = main / ".cache" if checkout else user_cache_path("longwriter")
        return Path(os.environ.get("LONGWRITER_CACHE", folder)).absolute()


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
