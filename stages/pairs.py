"""Sample answers of models/sft, score them, pair them (stage `pairs`)."""

from longwriter.records import replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run
from longwriter.training.pairs_stage import make_pairs

OUTPUTS = ("pairs", "heldout", "candidates")


def pairs(settings: Settings, work: Workspace) -> None:
    outputs = [work.output(f"data/dpo/{name}.jsonl") for name in OUTPUTS]
    with stage_run("pairs", settings, work, ["student", "pairs"]) as run:
        made = make_pairs(settings, work)
        with replacing(*outputs, work.output("metrics/pairs.json")) as (
            good,
            apart,
            every,
            numbers,
        ):
            write_jsonl(good, made.train)
            write_jsonl(apart, made.held_out)
            write_jsonl(every, made.candidates)
            write_json(numbers, made.metrics)
        run.log(made.metrics)
    print(f"{len(made.train)} pairs to train on, {len(made.held_out)} held out: {outputs[0]}")


if __name__ == "__main__":
    run_stage(pairs)
