"""Answer short requests with the teacher (stage `short_answers`)."""

from longwriter.agentwrite.short_answers import answer
from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.rows import Instruction, check_ids
from longwriter.core.sources import read_jsonl
from longwriter.core.workspace import Workspace
from longwriter.llm.session import CallContext, spending, with_client
from longwriter.tracking.runs import stage_run


def short_answers(settings: Settings, work: Workspace) -> None:
    options = settings.short_answers
    requests = read_jsonl(work.root / options.instructions, Instruction)[: options.limit]
    check_ids(requests)
    target = work.output("data/short_answers/rows.jsonl")
    outputs = target, target.with_name("failures.jsonl"), work.output("metrics/short_answers.json")

    groups = settings.groups("teacher", "short_answers")
    with stage_run("short_answers", groups, work, settings.runtime) as run:
        answers, spent = with_client(
            lambda client: answer(client, requests, options),
            settings.teacher,
            CallContext(
                work.cache,
                options.seed,
                settings.runtime.threads,
                spending(options.max_cost, "short_answers", options, settings.teacher.model),
            ),
            name="teacher",
        )
        metrics = answers.describe() | spent
        with replacing(*outputs) as (good, bad, numbers):
            write_jsonl(good, answers.rows)
            write_jsonl(bad, answers.failures)
            write_json(numbers, metrics)
        run.log(metrics)
        run.wrote(work, *outputs)
    print(f"{metrics['answered']} of {metrics['requests']} requests answered: {target}")


if __name__ == "__main__":
    run_stage(short_answers)
