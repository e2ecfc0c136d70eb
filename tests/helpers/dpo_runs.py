"""Small DPO runs inside an MLflow run, as the stage `dpo` starts them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from helpers.checkpoints import default_settings
from mlflow import MlflowClient

from longwriter.config.schema import Settings
from longwriter.core.rows import Message, Pair
from longwriter.core.workspace import Workspace
from longwriter.models.settings import LoraSettings
from longwriter.models.training_run import TrainResult
from longwriter.preference import dpo, launch
from longwriter.preference.tokens import make_tokens
from longwriter.tracking.runs import stage_run
from longwriter.tracking.store import tracking_uri


def pair(name: str, prompt: str, chosen: str, rejected: str) -> Pair:
    return Pair(
        prompt=[Message(role="user", content=prompt)],
        chosen=[Message(role="assistant", content=chosen)],
        rejected=[Message(role="assistant", content=rejected)],
        chosen_score=90,
        rejected_score=10,
        id=name,
    )


PAIRS = [
    pair("river", "Name a river.", "The Rhine runs to the sea.", "No. " * 20),
    pair("rain", "Write about rain.", "Rain falls, and then it stops.", "Rain."),
]


def three_steps() -> Settings:
    """Three epochs of one optimiser step over both pairs, a checkpoint after each."""
    settings = default_settings()
    settings.dpo = replace(
        settings.dpo,
        learning_rate=1e-3,
        num_train_epochs=3,
        gradient_accumulation_steps=2,
        max_length=128,
        save_steps=1,
        lora=LoraSettings(r=4, lora_alpha=8, lora_dropout=0.0, target_modules="all-linear"),
    )
    return settings


def job(
    start: Path,
    path: Path,
    settings: Settings,
    work: Workspace,
    pairs: Sequence[Pair] = PAIRS,
    validation: Sequence[Pair] = (),
) -> dpo.DpoJob:
    """A run on `pairs`, which it tokenises."""
    return dpo.DpoJob(
        start=start,
        pairs=make_tokens(
            pairs, validation, start, settings.dpo.max_length, settings.student, work.cache
        ),
        path=path,
        cache=work.cache,
        dpo=settings.dpo,
        student=settings.student,
        runtime=settings.runtime,
    )


class Done(NamedTuple):
    path: Path
    trained: TrainResult
    metrics: dict[str, Any]
    logged: dict[str, float]
    """What MLflow has of the run."""


def train(
    start: Path, path: Path, settings: Settings, root: Path, pairs: Sequence[Pair] = PAIRS
) -> Done:
    """Trains on `pairs` and measures on the first; MLflow's database lies in `root`."""
    work, held_out = Workspace(root, path.parent), pairs[:1]
    with stage_run("dpo", settings.groups("student", "dpo"), work, settings.runtime) as run:
        run.activate()
        given = job(start, path, settings, work, pairs, held_out)
        trained, metrics = launch.train(given, held_out, run.environment())
    logged = MlflowClient(tracking_uri(root)).get_run(run.id).data.metrics
    return Done(path, trained, metrics, logged)
