"""Declares settings: their ranges, the files they name, and the groups that all stages share."""

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
"""Most characters of a setting's value that MLflow and the model cards show."""


def bounded(
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> Any:
    """Returns a dataclass field for a number > `gt`, >= `ge`, < `lt` and <= `le`, where given."""
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    return dataclasses.field(metadata={k: v for k, v in bounds.items() if v is not None})


def names_file() -> Any:
    """Returns a dataclass field that names one or several files or folders.

    Their content is an input of the stages that read the setting: the stage `params` writes its
    digest into inputs.yaml.
    """
    return dataclasses.field(metadata={_NAMES_FILE: True})


def violations(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields (full key, what is wrong) for every dataclass field that is out of range."""
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
    """A path, several paths, or None."""
    revision: str | None
    """The group's `revision`, in case the setting names a hub id instead of a file."""


def file_settings(settings: Any, prefix: str = "") -> Iterator[FileSetting]:
    """Yields every field of a dataclass declared with `names_file`, nested groups included."""
    for field in dataclasses.fields(settings):
        value, key = getattr(settings, field.name), f"{prefix}{field.name}"
        if field.metadata.get(_NAMES_FILE):
            yield FileSetting(key, value, getattr(settings, "revision", None))
        elif dataclasses.is_dataclass(value):
            yield from file_settings(value, f"{key}.")


def flatten_settings(groups: Mapping[str, Any]) -> dict[str, str]:
    """Returns settings as full key → short text, without those that are null.

    Args:
        groups: group name → its dataclass, or None.
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
    """A SLURM job."""
    local = "local"
    """A process of submitit's local executor on this machine, for trying out settings."""


@dataclass(kw_only=True)
class RuntimeSettings:
    """Settings of every stage; apart from `seed`, they change no result."""

    seed: int
    """Seed of every stage without a seed of its own (`agentwrite.seed`, `sft.seed`, …)."""
    threads: int | None
    """Threads for embedded servers and training on a CPU; null: every core that affinity, CPU quota
    and OMP_NUM_THREADS allow."""
    accelerate: dict[str, Any] | None
    """Configuration file of `accelerate launch`, as a mapping, for training in several processes or
    on several machines; null: one process. The batch size of an optimiser step is
    per_device_train_batch_size · gradient_accumulation_steps · processes."""
    peak_tflops: float | None = bounded(gt=0)
    """Peak TFLOPS of one device in the data type that training computes in, to report utilisation;
    null: TRL's value for the GPU, and no utilisation on a CPU."""
    launcher: Launcher | None
    """Where a stage of `dvc repro` runs. null: in the process that DVC starts; else in a job that
    this process submits, whose output it shows, and for which it waits. To run a stage by hand, use
    `hydra/launcher=submitit_slurm` with `-m`."""
    resources: dict[str, Any]
    """Resources that a stage's job requests, as parameters of submitit's AutoExecutor: `default`,
    and overrides by stage name. A stage that is null here runs without a job."""
    system_metrics: bool
    """Log CPU, memory and GPU use to MLflow while a stage runs."""
    traces: int = bounded(ge=0)
    """Number of drafts, from the first, for which the stage `agentwrite` logs a trace to MLflow."""


@dataclass(kw_only=True)
class StatisticsSettings:
    """How intervals of results are computed (stages `eval`, `judge_audit`, `report`)."""

    resamples: int = bounded(ge=100)
    """Bootstrap resamples for the 95 % intervals."""
    seed: int
    """Seed of the resampling."""
