"""Write long drafts with AgentWrite (stage `agentwrite`)."""

import os
from dataclasses import replace

from longwriter.agentwrite.estimate import estimate
from longwriter.agentwrite.failures import check_failures
from longwriter.agentwrite.instructions import read_instructions
from longwriter.agentwrite.plan import call_parameters
from longwriter.agentwrite.prompts import read_prompts
from longwriter.agentwrite.selection import select_unasked, sift
from longwriter.agentwrite.shards import select_and_write
from longwriter.agentwrite.writer import describe
from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.workspace import Workspace
from longwriter.llm.prices import priced
from longwriter.llm.session import CallContext, spending
from longwriter.tracking.runs import stage_run
from longwriter.tracking.traces import DraftTraces


def agentwrite(settings: Settings, work: Workspace) -> None:
    path = work.root / settings.agentwrite.instructions
    work.cache.mkdir(parents=True, exist_ok=True)
    rows = read_instructions(path, settings.agentwrite)
    passed = sift(rows, settings.agentwrite.select, work.cache)
    prompts = read_prompts(settings.agentwrite.prompts, work.root)

    if settings.agentwrite.dry_run:
        if "DVC_STAGE" in os.environ:
            raise SettingsError(
                "agentwrite.dry_run: has no outputs for DVC to track; run it by hand: "
                "python stages/agentwrite.py agentwrite.dry_run=true"
            )
        unasked = select_unasked(passed, settings.agentwrite)
        if settings.agentwrite.select.screen_with_teacher is not None:
            print(
                "agentwrite.select.screen_with_teacher: a dry run does not call the screening "
                "teacher, so its calls are not in the estimate"
            )
        teacher = priced(settings.teacher)
        print(estimate(unasked.instructions, settings.agentwrite, teacher, prompts))
        return

    drafts = work.output("data/agentwrite/drafts.jsonl")
    failures = drafts.with_name("failures.jsonl")
    outputs = drafts, failures, work.output("metrics/agentwrite.json")

    options = settings.agentwrite
    calls = CallContext(
        work.cache,
        options.seed,
        settings.runtime.threads,
        spending(
            options.max_cost, "agentwrite", replace(options, shards=1), settings.teacher.model
        ),
        call_parameters(options, settings.teacher),
    )
    groups = settings.groups("teacher", "agentwrite")
    with (
        stage_run("agentwrite", groups, work, settings.runtime) as run,
        DraftTraces(settings.runtime.traces, run) as traces,
    ):
        selection, outcome, spent = select_and_write(
            passed, options, prompts, settings.teacher, calls, traces
        )
        counts = {"selection": selection.describe()}
        metrics = describe(outcome) | spent | counts
        tried = len(outcome.drafts) + len(outcome.failures)
        check_failures(outcome.failures, tried, options.max_failed, "agentwrite", "instructions")
        if not outcome.drafts:
            first = outcome.failures[0]
            write_jsonl(outputs[1], outcome.failures)
            raise DataError(
                f"none of {len(outcome.failures)} drafts is complete; the first, {first.id}: "
                f"{first.step}: {first.error}: {first.detail}"
            )
        with replacing(*outputs) as (good, bad, numbers):
            write_jsonl(good, outcome.drafts)
            write_jsonl(bad, outcome.failures)
            write_json(numbers, metrics)
        run.log(metrics)
        run.wrote(work, *outputs)
    print(f"{len(selection.instructions)} of {selection.read} instructions")
    if unread := selection.unread:
        print(
            f"{len(unread)} instructions give a length in other units, such as {unread[0]!r}; "
            "the plan chose their length in words. agentwrite.words_per_page, words_per_minute and "
            "words_per_character convert them."
        )
    print(f"{metrics['drafts']} drafts, {metrics['words']} words: {drafts}")
    print(f"{metrics['failures']} failures: {failures}")
    if outcome.failures:
        print(
            "to retry only the calls on which the server failed, run `dvc repro -f -s agentwrite`"
        )


if __name__ == "__main__":
    run_stage(agentwrite)
