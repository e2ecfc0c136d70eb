"""Keep or reject drafts by rule (stage `filter`)."""

from longwriter.dataset.filter import card, describe, filter_drafts
from longwriter.errors import DataError
from longwriter.records import Draft, read_jsonl, replacing, write_json, write_jsonl, write_text
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run


def filter_stage(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.filter.drafts, "data/agentwrite/drafts.jsonl")
    train = work.output("data/sft/train.jsonl")
    rejected, sheet = train.with_name("rejected.jsonl"), train.with_name("card.md")
    outputs = train, rejected, sheet, work.output("metrics/filter.json")
    with stage_run("filter", settings, work, ["filter"]):
        filtered = filter_drafts(read_jsonl(path, Draft), settings.filter)
        metrics = describe(filtered)
        if not filtered.kept:
            raise DataError(
                f"{path}: no draft passes the rules: {metrics['rejected']}; see conf/filter"
            )
        with replacing(*outputs) as (good, bad, text, numbers):
            write_jsonl(good, filtered.kept)
            write_jsonl(bad, filtered.rejected)
            write_text(text, card(filtered, settings.filter, settings.teacher.model or ""))
            write_json(numbers, metrics)
        log_metrics(metrics)
    print(
        f"{metrics['kept']} of {metrics['drafts']} drafts kept, {metrics['words']} words: {train}"
    )
    print(f"rejected by rule {metrics['rejected']}: {rejected}")


if __name__ == "__main__":
    run_stage(filter_stage)
