"""Keep or reject rows by rule, mix general chat in, describe the result (stage `filter`)."""

from longwriter.agentwrite.prompts import fingerprint
from longwriter.dataset.run import filter_rows
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run


def filter_stage(settings: Settings, work: Workspace) -> None:
    with stage_run("filter", settings, work, ["filter"]) as run:
        metrics = filter_rows(settings, work, fingerprint())
        run.log(metrics)
    train = work.output("data/sft/train.jsonl")
    print(f"{metrics['kept']} of {metrics['drafts']} drafts kept, {metrics['words']} words")
    print(
        f"{metrics['rows']} rows with {metrics['general']['mixed_in']} of general chat, "
        f"{metrics['held_out']} held out: {train}"
    )
    print(f"rejected by rule {metrics['rejected']}: {train.with_name('rejected.jsonl')}")


if __name__ == "__main__":
    run_stage(filter_stage)
