"""Supervised fine-tuning of models/base (stage `sft`)."""

import shutil

from longwriter.records import TrainingRow, read_jsonl, replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run
from longwriter.training.card import write_card
from longwriter.training.position import loss_by_position
from longwriter.training.sft import train


def sft(settings: Settings, work: Workspace) -> None:
    rows = read_jsonl(work.input(settings.sft.data, "data/sft/train.jsonl"), TrainingRow)
    base, path = work.root / "models/base", work.output("models/sft")
    files = (
        "data/sft/packs.jsonl",
        *(f"metrics/{n}.json" for n in ("sft", "sft_curve", "sft_position")),
    )
    with (
        stage_run("sft", settings, work, ["student", "sft"]) as run,
        replacing(path, *map(work.output, files)) as (model, packs, numbers, curve, position),
    ):
        run.activate()
        tuned = train(base, rows, model, settings, work)
        found = loss_by_position({"base": base, "sft": model}, settings, work)
        write_card(model, tuned.metrics, found, settings)
        write_jsonl(packs, tuned.packs)
        write_json(numbers, tuned.metrics)
        write_json(curve, tuned.trained.curve)
        write_json(position, found)
        run.log(tuned.metrics)
    shutil.rmtree(tuned.trained.checkpoints, ignore_errors=True)
    metrics = tuned.metrics
    print(
        f"{metrics['rows']} rows, {metrics['tokens_per_s']} tokens/s, loss {metrics['train_loss']}"
    )
    print(f"the tuned model: {path}")


if __name__ == "__main__":
    run_stage(sft)
