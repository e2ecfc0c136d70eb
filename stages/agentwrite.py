"""Write long drafts with AgentWrite (stage `agentwrite`)."""

import os

from longwriter.agentwrite.agent import describe, write_drafts
from longwriter.agentwrite.estimate import estimate
from longwriter.chat.calls import with_client
from longwriter.errors import DataError, SettingsError
from longwriter.records import Instruction, read_jsonl, replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run


def agentwrite(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.agentwrite.instructions, "data/instructions.jsonl")
    given = read_jsonl(path, Instruction)
    instructions = given[: settings.agentwrite.limit]
    seed = settings.runtime.seed

    if settings.agentwrite.dry_run:
        if "DVC_STAGE" in os.environ:
            raise SettingsError(
                "agentwrite.dry_run: writes nothing that DVC could keep; set it by "
                "hand: python stages/agentwrite.py agentwrite.dry_run=true"
            )
        print(estimate(instructions, settings.agentwrite, settings.teacher))
        return

    drafts = work.output("data/agentwrite/drafts.jsonl")
    failures = drafts.with_name("failures.jsonl")
    outputs = drafts, failures, work.output("metrics/agentwrite.json")

    with stage_run("agentwrite", settings, work, ["teacher", "agentwrite"]):
        outcome, spent = with_client(
            lambda client: write_drafts(client, instructions, settings.agentwrite),
            settings.teacher,
            work.cache,
            seed=seed,
            threads=settings.runtime.threads,
            max_cost=settings.agentwrite.max_cost,
        )
        metrics = describe(outcome, settings.bench.resamples, seed) | spent
        if not outcome.drafts:
            first = outcome.failures[0]
            raise DataError(
                f"none of {len(outcome.failures)} drafts is complete; the first, {first.id}: "
                f"{first.step}: {first.error}: {first.detail}"
            )
        with replacing(*outputs) as (good, bad, numbers):
            write_jsonl(good, outcome.drafts)
            write_jsonl(bad, outcome.failures)
            write_json(numbers, metrics)
        log_metrics(metrics)
    print(f"{len(instructions)} of the {len(given)} instructions in {path}")
    print(f"{metrics['drafts']} drafts, {metrics['words']} words: {drafts}")
    print(f"{metrics['failures']} failures: {failures}")


if __name__ == "__main__":
    run_stage(agentwrite)
