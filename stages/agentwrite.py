"""Write long drafts with AgentWrite (stage `agentwrite`)."""

import os

from longwriter.agentwrite.agent import Outcome, describe, write_drafts
from longwriter.agentwrite.estimate import estimate
from longwriter.agentwrite.select import Selection, select, select_unasked, sift
from longwriter.agentwrite.sources import read_instructions
from longwriter.chat.calls import with_client
from longwriter.chat.client import ChatClient
from longwriter.errors import DataError, SettingsError
from longwriter.records import replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run


def agentwrite(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.agentwrite.instructions, "data/instructions.jsonl")
    seed = settings.runtime.seed
    passed = sift(read_instructions(path, settings.agentwrite), settings.agentwrite.select)

    if settings.agentwrite.dry_run:
        if "DVC_STAGE" in os.environ:
            raise SettingsError(
                "agentwrite.dry_run: writes nothing that DVC could keep; set it by "
                "hand: python stages/agentwrite.py agentwrite.dry_run=true"
            )
        unasked = select_unasked(passed, settings.agentwrite, seed)
        if settings.agentwrite.select.min_words is not None:
            print("agentwrite.select.min_words: a dry run asks no question and counts none")
        print(estimate(unasked.instructions, settings.agentwrite, settings.teacher))
        return

    drafts = work.output("data/agentwrite/drafts.jsonl")
    failures = drafts.with_name("failures.jsonl")
    outputs = drafts, failures, work.output("metrics/agentwrite.json")

    async def select_and_write(client: ChatClient) -> tuple[Selection, Outcome]:
        selection = await select(client, passed, settings.agentwrite, seed)
        outcome = await write_drafts(client, selection.instructions, settings.agentwrite)
        return selection, Outcome(outcome.drafts, selection.failures + outcome.failures)

    with stage_run("agentwrite", settings, work, ["teacher", "agentwrite"]) as run:
        (selection, outcome), spent = with_client(
            select_and_write,
            settings.teacher,
            work.cache,
            seed=seed,
            threads=settings.runtime.threads,
            max_cost=settings.agentwrite.max_cost,
        )
        counts = {"selection": selection.describe()}
        metrics = describe(outcome, settings.bench.resamples, seed) | spent | counts
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
        run.log(metrics)
    print(f"{len(selection.instructions)} of {selection.read} instructions")
    print(f"{metrics['drafts']} drafts, {metrics['words']} words: {drafts}")
    print(f"{metrics['failures']} failures: {failures}")
    if outcome.failures:
        print("where the server failed, `dvc repro -f -s agentwrite` asks it again, for no more")


if __name__ == "__main__":
    run_stage(agentwrite)
