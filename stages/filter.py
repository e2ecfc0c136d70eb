"""Keep or reject drafts by rule (stage `filter`)."""

from longwriter.dataset.filter import card, describe, filter_drafts
from longwriter.errors import DataError
from longwriter.records import Draft, read_jsonl, write_json, write_jsonl, write_text
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run


def filter_stage(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.filter.drafts, "data/agentwrite/drafts.jsonl")
    with stage_run("filter", settings, work, ["filter"]):
        filtered = filter_drafts(read_jsonl(path, Draft), settings.filter)
        metrics = describe(filtered)
        write_jsonl(work.output("data/sft/rejected.jsonl"), filtered.rejected)
        if not filtered.kept:
            raise DataError(
                f"{path}: no draft passes the rules: {metrics['rejected']}; see conf/filter"
            )
        train = work.output("data/sft/train.jsonl")
        write_jsonl(train, filtered.kept)
        write_text(
            train.with_name("card.md"),
            card(filtered, settings.filter, settings.teacher.model or ""),
        )
        write_json(work.output("metrics/filter.json"), metrics)
        log_metrics(metrics)
    print(
        f"{metrics['kept']} of {metrics['drafts']} drafts kept, {metrics['words']} words: {train}"
    )
    print(f"rejected by rule {metrics['rejected']}: {train.with_name('rejected.jsonl')}")


if __name__ == "__main__":
    run_stage(filter_stage)
