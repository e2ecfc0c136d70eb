"""Answer the benchmark's prompts with one model (stage `predict`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.errors import SettingsError
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.workspace import Workspace
from longwriter.evaluation.benchmark import chosen_benchmark
from longwriter.evaluation.predict import describe, predict, predictions_name
from longwriter.llm.session import CallContext, spending
from longwriter.llm.settings import ServerKind
from longwriter.models.lineup import MODELS
from longwriter.models.serving import with_student
from longwriter.tracking.runs import stage_run


def predict_stage(settings: Settings, work: Workspace) -> None:
    server, bench, last = settings.student.server, settings.bench, MODELS[-1].name
    if settings.predict.model and server.model and server.kind is ServerKind.endpoint:
        raise SettingsError(
            f"student.server.model: {server.model} would answer for every checkpoint; leave it "
            f"null and serve {settings.predict.model} under that name. To predict with one model "
            "served elsewhere, leave predict.model null"
        )
    checkpoint = work.input(settings.predict.model, f"models/{last}")
    prompts = chosen_benchmark(settings.predict, bench, work.root)
    name = predictions_name(settings.predict, server, last)
    path = work.output(f"data/predictions/{name}.jsonl")
    outputs = path, work.output(f"metrics/predict/{name}.json")

    groups = settings.groups("student", "bench", "predict")
    with stage_run(f"predict {name}", groups, work, settings.runtime) as run:
        predictions, spent = with_student(
            lambda client: predict(client, prompts, bench.samples),
            checkpoint,
            settings.student,
            CallContext(
                work.cache,
                bench.seed,
                settings.runtime.threads,
                spending(settings.predict.max_cost, f"predict {name}", bench, server.model),
            ),
        )
        metrics = describe(predictions) | spent
        with replacing(*outputs) as (answers, numbers):
            write_jsonl(answers, predictions)
            write_json(numbers, metrics)
        run.log(metrics)
        run.wrote(work, *outputs)
    refused = f", without an answer {metrics['unanswered']}" if metrics["unanswered"] else ""
    print(
        f"{metrics['n']} predictions, {metrics['cut_off']} cut off by max_tokens{refused}: {path}"
    )


if __name__ == "__main__":
    run_stage(predict_stage)
