"""Direct preference optimisation of models/sft (stage `dpo`)."""

import shutil

from longwriter.records import replacing, write_json
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import stage_run
from longwriter.training.dpo import read_pairs, train


def dpo(settings: Settings, work: Workspace) -> None:
    pairs, apart = read_pairs(settings.dpo, work)
    path = work.output("models/dpo")
    outputs = path, work.output("metrics/dpo.json"), work.output("metrics/dpo_curve.json")
    with (
        stage_run("dpo", settings, work, ["student", "dpo"]) as run,
        replacing(*outputs) as (model, numbers, curve),
    ):
        run.activate()
        trained, metrics = train(work.root / "models/sft", pairs, apart, model, settings, work)
        write_json(numbers, metrics)
        write_json(curve, trained.curve)
        run.log(metrics)
    shutil.rmtree(trained.checkpoints, ignore_errors=True)
    print(f"{metrics['pairs']} pairs, reward margin {metrics['final_reward_margin']}")
    print(f"the aligned model: {path}")


if __name__ == "__main__":
    run_stage(dpo)
