"""Score one model's predictions for length and quality (stage `eval`)."""

from longwriter.chat.calls import with_client
from longwriter.evaluation.judge_prompt import read_prompt
from longwriter.evaluation.score import check_unscored, evaluate, with_second
from longwriter.evaluation.settings import JudgeSettings
from longwriter.evaluation.summary import headline, summarise
from longwriter.records import (
    Judgement,
    Prediction,
    read_jsonl,
    replacing,
    write_json,
    write_jsonl,
)
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run


def eval_stage(settings: Settings, work: Workspace) -> None:
    source = work.input(settings.eval.predictions, "data/predictions/dpo.jsonl")
    predictions = read_jsonl(source, Prediction)
    rows = work.output(f"data/judgements/{source.stem}.jsonl")
    metrics = work.output(f"metrics/eval/{source.stem}.json")
    seed, bench = settings.runtime.seed, settings.bench

    def graded_by(judge: JudgeSettings) -> tuple[list[Judgement], dict[str, float]]:
        prompt = read_prompt(judge, work.root)
        judgements, spent = with_client(
            lambda client: evaluate(client, predictions, bench.judged, prompt, judge.repeats),
            judge,
            work.cache,
            seed=seed,
            threads=settings.runtime.threads,
        )
        check_unscored(judgements, judge.max_unscored)
        return judgements, spent

    with stage_run(f"eval {source.stem}", settings, work, ["judge", "bench", "eval"]) as run:
        judgements, spent = graded_by(settings.judge)
        if settings.second_judge:
            others, more = graded_by(settings.second_judge)
            judgements = with_second(judgements, others)
            spent = {name: value + more[name] for name, value in spent.items()}
        summary = summarise(judgements, bench.length_bins, bench.resamples, seed) | spent
        with replacing(rows, metrics) as (graded, numbers):
            write_jsonl(graded, judgements)
            write_json(numbers, summary)
        run.log(summary)
    print(headline(summary))
    print(f"{metrics}, row by row: {rows}")


if __name__ == "__main__":
    run_stage(eval_stage)
