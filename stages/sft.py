"""Supervised fine-tuning of models/base (stage `sft`)."""

import shutil

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.settings import flatten_settings
from longwriter.core.workspace import Workspace
from longwriter.models.cards import write_card
from longwriter.models.training_run import require_validation
from longwriter.sft.launch import train
from longwriter.sft.packing import make_packs, open_packs
from longwriter.sft.position import loss_by_position, mean_loss, read_validation, validation_file
from longwriter.sft.trainer import SftJob, check_context
from longwriter.tracking.runs import stage_run

FILES = (
    "data/sft/packs.jsonl",
    *(f"metrics/{n}.json" for n in ("sft", "sft_curve", "sft_position")),
)


def sft(settings: Settings, work: Workspace) -> None:
    student, runtime = settings.student, settings.runtime
    data = work.input(settings.sft.data, "data/sft/train.jsonl")
    validation = read_validation(settings.sft, work)
    base, outputs = work.root / "models/base", [*map(work.output, ("models/sft", *FILES))]
    with stage_run("sft", settings.groups("student", "sft"), work, runtime) as run:
        run.activate()
        with replacing(*outputs) as (model, packed, numbers, curve, position):
            check_context(base, settings.sft)
            packs = make_packs(data, base, settings.sft, student, work.cache)
            require_validation("sft", settings.sft, bool(validation))
            evaluated = (
                make_packs(
                    validation_file(settings.sft, work), base, settings.sft, student, work.cache
                )
                if settings.sft.evaluates
                else None
            )
            job = SftJob(
                base=base, packs=packs, validation=evaluated, path=model, cache=work.cache,
                sft=settings.sft, student=student, runtime=runtime,
            )  # fmt: skip
            tuned = train(job, run.environment())
            checkpoints = {"base": base, "sft": model}
            found = loss_by_position(checkpoints, validation, settings.sft, student, runtime)
            write_card(
                model,
                "sft",
                student=student,
                sft=flatten_settings({"sft": settings.sft}),
                metrics=tuned.metrics,
                validation_rows=len(validation),
                losses={name: mean_loss(found, name) for name in checkpoints if validation},
            )
            write_jsonl(packed, open_packs(packs).places(tuned.metrics["epochs"]))
            write_json(numbers, tuned.metrics)
            write_json(curve, tuned.trained.curve)
            write_json(position, found)
            run.log(tuned.metrics)
        run.wrote(work, *outputs)
    shutil.rmtree(tuned.trained.checkpoints, ignore_errors=True)
    metrics = tuned.metrics
    print(
        f"{metrics['rows']} rows, {metrics['tokens_per_s']} tokens/s, loss {metrics['train_loss']}"
    )
    print(f"the tuned model: {outputs[0]}")


if __name__ == "__main__":
    run_stage(sft)
