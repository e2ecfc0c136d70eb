"""Compares models and pipeline runs in MLflow by their length scores on the same prompts."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from longwriter.core.errors import DataError
from longwriter.core.statistics import Interval, paired
from longwriter.core.tables import signed_interval
from longwriter.models.lineup import MODELS
from longwriter.tracking.lineage import CONTENTS
from longwriter.tracking.logged_models import (
    BENCHMARK,
    PATH,
    SCORES_FILE,
    Benchmark,
    Scores,
    logged_models,
)
from longwriter.tracking.pipeline import SETTINGS_FILE
from longwriter.tracking.provenance import GitState
from longwriter.tracking.store import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LONGEST = 60
"""Characters shown of a setting's value."""
SHOWN = 12
"""Settings shown of those that differ."""


class Comparison(NamedTuple):
    """Result of comparing a model with another, on the prompts that both answered."""

    difference: Interval | None
    """Difference of S_l, model - other.

    None with fewer than two shared prompts, or if the benchmarks differ.
    """
    shared: int
    """Prompts that both answered."""
    fault: str = ""
    """Why the two cannot be compared."""

    @property
    def better(self) -> bool:
        """Whether the whole interval is above 0."""
        return self.difference is not None and self.difference.sign > 0

    def __str__(self) -> str:
        spread = self.difference is not None and self.difference.low is not None
        how = ", paired [95 %]," if spread else " on"
        return (
            self.fault
            or f"S_l {signed_interval(self.difference)}{how} {self.shared} shared prompts"
        )


class Change(NamedTuple):
    """What differs between a pipeline run and the run before it."""

    before: str
    """The earlier run: its name and its commit."""
    settings: Mapping[str, tuple[str, str]]
    """Setting or input file → value before and now, of those that differ."""
    models: Mapping[str, Comparison]
    """Model that both runs scored → its comparison with the earlier one."""

    def __str__(self) -> str:
        """Returns a Markdown list with a line a setting and a model."""
        lines = [
            f"- {key}: " + ("changed" if key.startswith(CONTENTS) else f"{old} → {new}")
            for key, (old, new) in self.settings.items()
        ]
        if more := len(lines[SHOWN:]):
            lines[SHOWN:] = [f"- … and {more} more settings"]
        lines += [f"- {name}: {comparison}" for name, comparison in self.models.items()]
        settings = "" if self.settings else ", with the same settings and inputs"
        return "\n".join([f"Since the run before, {self.before}{settings}:", "", *lines, ""])


def read_scores(model_id: str) -> Scores:
    """Returns the scores of a LoggedModel.

    Raises:
        DataError: they cannot be read.
    """
    from mlflow import MlflowClient
    from mlflow.artifacts import load_dict
    from mlflow.exceptions import MlflowException

    try:
        folder = MlflowClient().get_logged_model(model_id).artifact_location
        found: dict[str, Any] = load_dict(f"{folder}/{SCORES_FILE}")
    except (MlflowException, OSError) as error:
        raise DataError(
            f"MLflow's model {model_id}: its {SCORES_FILE} cannot be read ({error}); was it deleted?"
        ) from None
    return Scores(Benchmark(**found["benchmark"]), {}, found["S_l"])


def compare(other: Scores, model: Scores) -> Comparison:
    """Compares `model` with `other` by S_l, prompt by prompt."""
    prompts = sorted(other.length_scores.keys() & model.length_scores.keys())
    old, new = other.benchmark, model.benchmark
    if old.digest != new.digest:
        return Comparison(
            None,
            len(prompts),
            f"the benchmarks differ: {old.name} ({old.digest}), now {new.name} ({new.digest})",
        )
    if len(prompts) < 2:
        return Comparison(
            None, len(prompts), f"{len(prompts)} shared prompts: too few for an interval"
        )
    before, after = ([s.length_scores[p] for p in prompts] for s in (other, model))
    return Comparison(paired(before, after), len(prompts))


def since_last_run(root: Path, run_id: str) -> Change | None:
    """Compares a pipeline run with the latest other one; None if there is no other."""
    from mlflow import MlflowClient

    experiment, client = connect(root), MlflowClient()
    latest = client.search_runs(
        [experiment],
        "tags.`longwriter.kind` = 'pipeline'",
        order_by=["end_time DESC"],
        max_results=2,
    )
    others = [run for run in latest if run.info.run_id != run_id]
    if not others:
        return None
    before, now = others[0], client.get_run(run_id)
    old, new = _settings(client, before), _settings(client, now)
    if not old:  # the run of a sweep of some stages, or of an earlier version
        old, new = before.data.params, now.data.params
    earlier, models = _scores(client, before), _scores(client, now)
    commit = GitState.of(before.data.tags).commit[:7]
    return Change(
        ", commit ".join(filter(None, [str(before.info.run_name), commit])),
        {
            key: _shortened(old.get(key, "null"), new.get(key, "null"))
            for key in sorted(old.keys() | new.keys())
            if old.get(key) != new.get(key)
        },
        {
            model.name: compare(earlier[model.name], models[model.name])
            for model in MODELS
            if model.name in earlier and model.name in models
        },
    )


def _shortened(old: str, new: str) -> tuple[str, str]:
    """Returns two values as they are, or, if one is long, from where they begin to differ."""
    if max(len(old), len(new)) <= LONGEST:
        return old, new
    pairs = enumerate(zip(old, new, strict=False))
    same = next((n for n, (a, b) in pairs if a != b), min(len(old), len(new)))
    return f"…{old[same : same + LONGEST]}", f"…{new[same : same + LONGEST]}"


def _settings(client: "MlflowClient", run: "Run") -> dict[str, str]:
    """Returns the settings and input digests of a pipeline run; empty if it did not record them."""
    from mlflow.artifacts import load_dict

    if SETTINGS_FILE not in {file.path for file in client.list_artifacts(run.info.run_id)}:
        return {}
    found: dict[str, str] = load_dict(f"{run.info.artifact_uri}/{SETTINGS_FILE}")
    return found


def _scores(client: "MlflowClient", run: "Run") -> dict[str, Scores]:
    """Returns model, such as `sft` → its scores in a pipeline run, unless their file was deleted."""
    found = {}
    for model in logged_models(client, run.info.experiment_id, run.info.run_id):
        if BENCHMARK in model.tags:
            with suppress(DataError):
                found[model.tags[PATH].removeprefix("models/")] = read_scores(model.model_id)
    return found
