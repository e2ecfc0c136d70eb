"""Settings of a sweep: the group that conf/sweep.yaml adds to all others."""

from dataclasses import dataclass


@dataclass(kw_only=True)
class SweepSettings:
    """How the jobs of a sweep run."""

    id: str
    """Letters, digits, `-`, `_`. Jobs that finished under the same id are not repeated."""
    score: str
    """What a job returns: a metrics/ file and a key in it, such as `eval.dpo.S_l` for the key S_l
    in metrics/eval/dpo.json."""
    targets: list[str]
    """Stages to run, together with their dependencies; empty: the whole pipeline."""


@dataclass(kw_only=True)
class SweepConfig:
    """The group that conf/sweep.yaml adds."""

    sweep: SweepSettings
