"""Settings of a sweep: the group that conf/sweep.yaml adds to all others."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class SweepSettings:
    """How the jobs of a sweep run."""

    id: str
    """Letters, digits, `-`, `_`. Jobs that finished under the same id are not repeated."""
    score: str
    """What a job returns: a file of metrics/ without `.json` and a key in it, joined by dots."""
    targets: list[str]
    """Stages to run, with those that they depend on; none: the whole pipeline."""


@dataclass(kw_only=True)
class SweepConfig:
    """The group that conf/sweep.yaml adds."""

    sweep: SweepSettings
