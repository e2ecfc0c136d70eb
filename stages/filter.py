"""Keep or reject rows by rule, mix in chat rows, and describe the result (stage `filter`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import files_digest
from longwriter.core.workspace import Workspace
from longwriter.dataset.stage import OUTPUTS, filter_rows
from longwriter.tracking.runs import stage_run


def filter_stage(settings: Settings, work: Workspace) -> None:
    prompts = files_digest(work.root / file for file in settings.agentwrite.prompts.values())
    groups = settings.groups("filter", "contamination")
    with stage_run("filter", groups, work, settings.runtime) as run:
        metrics = filter_rows(
            settings.filter, settings.contamination, settings.runtime, work, prompts
        )
        run.log(metrics)
        run.wrote(work, *map(work.output, OUTPUTS))
    train = work.output("data/sft/train.jsonl")
    print(f"{metrics['kept']} of {metrics['drafts']} drafts kept, {metrics['words']} words")
    print(
        f"{metrics['rows']} rows with {metrics['chat_mix']['mixed_in']} of chat, "
        f"{metrics['validation']} set aside for validation: {train}"
    )
    print(f"rejected by rule {metrics['rejected']}: {train.with_name('rejected.jsonl')}")
    for rule, number in metrics["rejected"].items():
        if number > metrics["drafts"] / 2:
            print(
                f"warning: {rule} alone took {number} of {metrics['drafts']} drafts; see conf/filter"
            )


if __name__ == "__main__":
    run_stage(filter_stage)
