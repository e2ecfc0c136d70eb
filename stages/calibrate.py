"""Try the judge itself: its biases, and its agreement with people (stage `calibrate`)."""

from longwriter.chat.calls import with_client
from longwriter.evaluation.calibration import calibrate, described, labels_of
from longwriter.evaluation.judge_prompt import read_prompt
from longwriter.records import Prediction, read_jsonl, write_json
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run


def calibrate_stage(settings: Settings, work: Workspace) -> None:
    source = work.input(settings.calibrate.predictions, "data/predictions/sft.jsonl")
    predictions = read_jsonl(source, Prediction)
    prompt = read_prompt(settings.judge, work.root)
    labels = labels_of(settings.calibrate, work.root, len(predictions))
    seed = settings.runtime.seed
    path = work.output("metrics/calibrate.json")

    with stage_run("calibrate", settings, work, ["judge", "calibrate"]) as run:
        found, spent = with_client(
            lambda client: calibrate(
                client,
                predictions,
                labels,
                prompt,
                settings.judge,
                settings.calibrate.probes,
                settings.bench.resamples,
                seed,
            ),
            settings.judge,
            work.cache,
            seed=seed,
            threads=settings.runtime.threads,
        )
        write_json(path, found | spent)
        run.log(found | spent)
    print(f"{described(found)}: {path}")


if __name__ == "__main__":
    run_stage(calibrate_stage)
