"""Audit the judge for its biases and its agreement with people (stage `judge_audit`)."""

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import write_json
from longwriter.core.workspace import Workspace
from longwriter.evaluation.benchmark import read_predictions
from longwriter.evaluation.judge import read_prompt
from longwriter.evaluation.judge_audit import audit_judge, audit_labels, audit_line
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.llm.session import with_client
from longwriter.tracking.runs import stage_run


def judge_audit(settings: Settings, work: Workspace) -> None:
    audit, judge = settings.judge_audit, settings.judge
    source = work.input(audit.predictions, "data/predictions/sft.jsonl")
    predictions = read_predictions(source)
    prompt = read_prompt(judge, work.root)
    labels = audit_labels(audit, work.root, len(predictions))
    path = work.output("metrics/judge_audit.json")

    groups = settings.groups("judge", "judge_audit")
    with stage_run("judge_audit", groups, work, settings.runtime) as run:
        found, spent = with_client(
            lambda client: audit_judge(
                client, predictions, labels, prompt, judge, audit, settings.statistics
            ),
            judge,
            judge_calls(
                work.cache,
                settings.bench.seed,
                settings.runtime.threads,
                judge,
                prompt,
                "judge_audit",
            ),
            name="judge",
        )
        write_json(path, found | spent)
        run.log(found | spent)
        run.wrote(work, path)
    print(f"{audit_line(found)}: {path}")


if __name__ == "__main__":
    run_stage(judge_audit)
