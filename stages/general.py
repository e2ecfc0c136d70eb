"""Let the teacher answer short requests (stage `general`)."""

from longwriter.chat.calls import with_client
from longwriter.dataset.answers import answer
from longwriter.records import (
    Instruction,
    check_ids,
    read_jsonl,
    replacing,
    write_json,
    write_jsonl,
)
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run


def general(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.general.instructions, "data/instructions_short.jsonl")
    requests = read_jsonl(path, Instruction)[: settings.general.limit]
    check_ids(requests)
    target = work.output("data/general/rows.jsonl")
    outputs = target, target.with_name("failures.jsonl"), work.output("metrics/general.json")

    with stage_run("general", settings, work, ["teacher", "general"]) as run:
        answers, spent = with_client(
            lambda client: answer(client, requests, settings.general),
            settings.teacher,
            work.cache,
            seed=settings.runtime.seed,
            threads=settings.runtime.threads,
        )
        metrics = answers.describe() | spent
        with replacing(*outputs) as (good, bad, numbers):
            write_jsonl(good, answers.rows)
            write_jsonl(bad, answers.failures)
            write_json(numbers, metrics)
        run.log(metrics)
    print(f"{metrics['answered']} of {metrics['requests']} requests answered: {target}")


if __name__ == "__main__":
    run_stage(general)
