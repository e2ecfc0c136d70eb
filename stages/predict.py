"""Write the benchmark's answers with one model (stage `predict`)."""

from longwriter.chat.settings import ServerKind
from longwriter.errors import SettingsError
from longwriter.evaluation.predict import (
    chosen_benchmark,
    describe,
    predict,
    predictions_name,
)
from longwriter.records import replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run
from longwriter.training.gguf import with_student


def predict_stage(settings: Settings, work: Workspace) -> None:
    if (
        settings.predict.model
        and settings.student.model
        and settings.student.server is ServerKind.endpoint
    ):
        raise SettingsError(
            f"student.model: {settings.student.model} would answer for every checkpoint; leave it "
            f"null and serve {settings.predict.model} under that name. To predict with one model "
            "served elsewhere, leave predict.model null"
        )
    checkpoint = work.input(settings.predict.model, "models/dpo")
    prompts = chosen_benchmark(settings.predict, settings.bench, work.root)
    name = predictions_name(settings.predict, settings.student)
    path = work.output(f"data/predictions/{name}.jsonl")
    outputs = path, work.output(f"metrics/predict/{name}.json")

    with stage_run(f"predict {name}", settings, work, ["student", "bench", "predict"]) as run:
        predictions, spent = with_student(
            lambda client: predict(client, prompts, settings.bench.samples),
            checkpoint,
            settings.student,
            work.cache,
            seed=settings.runtime.seed,
            threads=settings.runtime.threads,
        )
        metrics = describe(predictions) | spent
        with replacing(*outputs) as (answers, numbers):
            write_jsonl(answers, predictions)
            write_json(numbers, metrics)
        run.log(metrics)
    print(f"{metrics['n']} predictions, {metrics['cut_off']} cut off by max_tokens: {path}")


if __name__ == "__main__":
    run_stage(predict_stage)
