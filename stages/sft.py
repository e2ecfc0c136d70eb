"""Supervised fine-tuning of models/base (stage `sft`)."""

import shutil

from longwriter.records import TrainingRow, read_jsonl, replacing, write_json
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run
from longwriter.training.sft import train


def sft(settings: Settings, work: Workspace) -> None:
    rows = read_jsonl(work.input(settings.sft.data, "data/sft/train.jsonl"), TrainingRow)
    path = work.output("models/sft")
    outputs = path, work.output("metrics/sft.json"), work.output("metrics/sft_curve.json")
    with (
        stage_run("sft", settings, work, ["student", "sft"]),
        replacing(*outputs) as (model, numbers, curve),
    ):
        trained, metrics = train(work.root / "models/base", rows, model, settings, work)
        write_json(numbers, metrics)
        write_json(curve, trained.curve)
        log_metrics(metrics)
    shutil.rmtree(trained.checkpoints, ignore_errors=True)
    print(
        f"{metrics['rows']} rows, {metrics['tokens_per_s']} tokens/s, loss {metrics['train_loss']}"
    )
    print(f"the tuned model: {path}")


if __name__ == "__main__":
    run_stage(sft)
