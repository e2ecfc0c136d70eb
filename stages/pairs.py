"""Sample answers from models/sft, score them and pair them (stage `pairs`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.workspace import Workspace
from longwriter.llm.session import CallContext, spending
from longwriter.preference.stage import make_pairs
from longwriter.tracking.runs import stage_run

OUTPUTS = (
    *(f"data/dpo/{n}.jsonl" for n in ("pairs", "validation", "candidates")),
    "metrics/pairs.json",
)


def pairs(settings: Settings, work: Workspace) -> None:
    outputs = [*map(work.output, OUTPUTS)]
    calls = CallContext(
        work.cache,
        settings.pairs.seed,
        settings.runtime.threads,
        spending(settings.pairs.max_cost, "pairs", settings.pairs, settings.student.server.model),
    )
    groups = settings.groups("student", "pairs", "contamination")
    with stage_run("pairs", groups, work, settings.runtime) as run:
        made = make_pairs(settings.pairs, settings.student, settings.contamination, work, calls)
        with replacing(*outputs) as (train, validation, candidates, numbers):
            write_jsonl(train, made.train)
            write_jsonl(validation, made.validation)
            write_jsonl(candidates, made.candidates)
            write_json(numbers, made.metrics)
        run.log(made.metrics)
        run.wrote(work, *outputs)
    print(
        f"{len(made.train)} pairs to train on, {len(made.validation)} for validation: {outputs[0]}"
    )


if __name__ == "__main__":
    run_stage(pairs)
