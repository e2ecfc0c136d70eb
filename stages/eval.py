"""Score one model's predictions for length and quality (stage `eval`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing, write_json, write_jsonl
from longwriter.core.rows import Judgement
from longwriter.core.workspace import Workspace
from longwriter.evaluation.benchmark import read_predictions
from longwriter.evaluation.judge import read_prompt
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.evaluation.scoring import check_unscored, evaluate, with_second
from longwriter.evaluation.settings import JudgeSettings
from longwriter.evaluation.summary import headline, summarise
from longwriter.llm.session import with_client
from longwriter.models.lineup import MODELS
from longwriter.tracking.runs import stage_run


def eval_stage(settings: Settings, work: Workspace) -> None:
    source = work.input(settings.eval.predictions, f"data/predictions/{MODELS[-1].name}.jsonl")
    predictions = read_predictions(source)
    rows = work.output(f"data/judgements/{source.stem}.jsonl")
    metrics = work.output(f"metrics/eval/{source.stem}.json")
    bench = settings.bench

    def graded_by(judge: JudgeSettings, name: str) -> tuple[list[Judgement], dict[str, float]]:
        prompt = read_prompt(judge, work.root)
        what, threads = f"eval {source.stem}", settings.runtime.threads
        judgements, spent = with_client(
            lambda client: evaluate(client, predictions, bench.judged, prompt, judge.repeats),
            judge,
            judge_calls(work.cache, bench.seed, threads, judge, prompt, what),
            name=name,
        )
        check_unscored(judgements, judge.max_unscored)
        return judgements, spent

    groups = settings.groups("judge", "bench", "eval")
    with stage_run(f"eval {source.stem}", groups, work, settings.runtime) as run:
        judgements, spent = graded_by(settings.judge, "judge")
        if settings.second_judge:
            others, more = graded_by(settings.second_judge, "second_judge")
            judgements = with_second(judgements, others)
            spent = {name: value + more[name] for name, value in spent.items()}
        summary = summarise(judgements, bench.length_bins, settings.statistics) | spent
        with replacing(rows, metrics) as (graded, numbers):
            write_jsonl(graded, judgements)
            write_json(numbers, summary)
        run.log(summary)
        run.wrote(work, rows, metrics)
    print(headline(summary))
    print(f"{metrics}, row by row: {rows}")


if __name__ == "__main__":
    run_stage(eval_stage)
