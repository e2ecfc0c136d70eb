"""Small SFT runs inside an MLflow run, as the stage `sft` starts them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.checkpoints import default_settings

from longwriter.config.schema import Settings
from longwriter.core.files import write_jsonl
from longwriter.core.rows import Message, TrainingRow
from longwriter.core.workspace import Workspace
from longwriter.models.training_run import TrainResult
from longwriter.sft import launch
from longwriter.sft.packing import make_packs
from longwriter.sft.trainer import SftJob, SftResult
from longwriter.tracking.runs import stage_run


def row(name: str, prompt: str, answer: str) -> TrainingRow:
    messages = [Message(role="user", content=prompt), Message(role="assistant", content=answer)]
    return TrainingRow(messages=messages, id=name)


ROWS = [
    row("one", "Name a river.", "The Rhine, which runs from the Alps to the North Sea."),
    row("two", "Say yes.", "Yes."),
    row("three", "Write about rain.", "Rain falls. " * 12 + "Then it stops."),
    row("four", "Count.", "One, two, three, four, five, six, seven."),
]


def four_steps() -> Settings:
    """Settings for an optimiser step a row of ROWS, with a checkpoint after each."""
    settings = default_settings()
    settings.sft = replace(
        settings.sft,
        learning_rate=1e-3,
        num_train_epochs=1,
        per_device_train_batch_size=1,
        max_length=256,
        packing=False,
        save_steps=1,
    )
    return settings


def job(
    base: Path,
    path: Path,
    settings: Settings,
    work: Workspace,
    rows: Sequence[TrainingRow] = ROWS,
    validation: Sequence[TrainingRow] = (),
) -> SftJob:
    """A run on `rows`, which it packs, evaluated on `validation`."""
    data = work.cache / "train.jsonl"
    write_jsonl(data, rows)
    evaluated = work.cache / "validation.jsonl"
    write_jsonl(evaluated, validation)
    packs, of_validation = (
        make_packs(file, base, settings.sft, settings.student, work.cache)
        if file.stat().st_size
        else None
        for file in (data, evaluated)
    )
    assert packs
    return SftJob(
        base=base,
        packs=packs,
        validation=of_validation,
        path=path,
        cache=work.cache,
        sft=settings.sft,
        student=settings.student,
        runtime=settings.runtime,
    )


def tune(
    base: Path,
    path: Path,
    settings: Settings,
    root: Path,
    rows: Sequence[TrainingRow] = ROWS,
    validation: Sequence[TrainingRow] = (),
) -> SftResult:
    """Tunes `base` on `rows` and writes the result to `path`; MLflow's database lies in `root`."""
    work = Workspace(root, path.parent)
    groups = settings.groups("student", "sft")
    with stage_run("sft", groups, work, settings.runtime) as run:
        run.activate()
        return launch.train(job(base, path, settings, work, rows, validation), run.environment())


def train(
    base: Path, path: Path, settings: Settings, root: Path, rows: Sequence[TrainingRow] = ROWS
) -> tuple[TrainResult, dict[str, Any]]:
    """As `tune`; what the run reports, and metrics/sft.json."""
    return tune(base, path, settings, root, rows)
