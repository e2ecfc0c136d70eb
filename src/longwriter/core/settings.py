"""How settings are declared: ranges, files they name, and the groups that every stage shares."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import Enum, StrEnum
from typing import Any, NamedTuple

_CHECKS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("above", lambda value, bound: value > bound),
    "ge": ("at least", lambda value, bound: value >= bound),
    "lt": ("below", lambda value, bound: value < bound),
    "le": ("at most", lambda value, bound: value <= bound),
}
_NAMES_FILE = "names_file"

LONGEST_VALUE = 250
"""Characters of a setting's value that MLflow and the model cards show."""


def bounded(
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> Any:
    """A dataclass field whose number must be above, at least, below or at most the given bound."""
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    return dataclasses.field(metadata={k: v for k, v in bounds.items() if v is not None})


def names_file() -> Any:
    """A dataclass field that names a file or a folder (or several), whose content is an input of the
    stages that read the setting: the stage `params` writes its digest into inputs.yaml."""
    return dataclasses.field(metadata={_NAMES_FILE: True})


def violations(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields (full key, what is wrong) for every field of a dataclass that leaves its range."""
    for field in dataclasses.fields(settings):
        value, key = getattr(settings, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from violations(value, f"{key}.")
        for name, bound in field.metadata.items():
            if name in _CHECKS and value is not None and not _CHECKS[name][1](value, bound):
                yield key, f"is {value} and must be {_CHECKS[name][0]} {bound}"


class FileSetting(NamedTuple):
    """A setting that names files or folders."""

    key: str
    value: Any
    """A path, several, or None."""
    revision: str | None
    """Of the hub id that the setting may name instead of a file: its group's `revision`."""


def file_settings(settings: Any, prefix: str = "") -> Iterator[FileSetting]:
    """Yields every field of a dataclass declared with `names_file`, nested groups included."""
    for field in dataclasses.fields(settings):
        value, key = getattr(settings, field.name), f"{prefix}{field.name}"
        if field.metadata.get(_NAMES_FILE):
            yield FileSetting(key, value, getattr(settings, "revision", None))
        elif dataclasses.is_dataclass(value):
            yield from file_settings(value, f"{key}.")


def flatten_settings(groups: Mapping[str, Any]) -> dict[str, str]:
    """Returns settings as full key → short text; those that are null are left out.

    Args:
        groups: name of a group → its dataclass, or None.
    """
    flat: dict[str, str] = {}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        elif value is not None:
            items = value if isinstance(value, list) else [value]
            texts = [str(item.value if isinstance(item, Enum) else item) for item in items]
            flat[prefix] = ", ".join(texts)[:LONGEST_VALUE]

    for name, group in groups.items():
        if group is not None:
            add(name, asdict(group))
    return flat


class Launcher(StrEnum):
    """What runs a stage that DVC starts."""

    slurm = "slurm"
    """A job of SLURM's."""
    local = "local"
    """A process of submitit's own executor on this machine, to try settings out."""


@dataclass(kw_only=True)
class RuntimeSettings:
    """What holds for every stage and changes no result, but for `seed`."""

    seed: int
    """Seed of every stage that sets none of its own (`agentwrite.seed`, `sft.seed`, …)."""
    threads: int | None
    """Threads that embedded servers and training on a CPU use; null: every core that
    affinity, CPU quota and OMP_NUM_THREADS leave them."""
    accelerate: dict[str, Any] | None
    """What `accelerate launch` reads from its configuration file, for training in several processes
    or on several machines; null: one process. The batch of an optimiser step is
    per_device_train_batch_size · gradient_accumulation_steps · processes."""
    peak_tflops: float | None = bounded(gt=0)
    """Peak of one device in the type that training computes in, for its utilisation; null: what
    TRL knows of the GPU, and no utilisation on a CPU."""
    launcher: Launcher | None
    """Where a stage of `dvc repro` runs: null, in the process that DVC starts; else in a job that this process
    submits, shows and waits for. A stage by hand takes `hydra/launcher=submitit_slurm` with `-m`."""
    resources: dict[str, Any]
    """What the job of a stage asks for: `default`, and by the stage's name what differs, as submitit's AutoExecutor
    takes it; null: that stage needs no job."""
    system_metrics: bool
    """Log CPU, memory and GPU use to MLflow while a stage runs."""
    traces: int = bounded(ge=0)
    """Drafts, the first of them, of which the stage `agentwrite` writes a trace to MLflow."""


@dataclass(kw_only=True)
class StatisticsSettings:
    """How intervals are computed where results are shown (stages `eval`, `judge_audit`, `report`)."""

    resamples: int = bounded(ge=100)
    """Bootstrap resamples for the 95 % intervals."""
    seed: int
    """Seed of the resampling."""
