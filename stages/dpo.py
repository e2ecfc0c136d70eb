"""Direct preference optimisation of models/sft (stage `dpo`)."""

import shutil

from longwriter.config.run import run_stage
from longwriter.config.schema import Settings
from longwriter.core.files import replacing, write_json
from longwriter.core.workspace import Workspace
from longwriter.preference.dpo import DpoJob, check, read_pairs
from longwriter.preference.launch import train
from longwriter.preference.tokens import make_tokens
from longwriter.tracking.runs import stage_run


def dpo(settings: Settings, work: Workspace) -> None:
    pairs, validation = read_pairs(settings.dpo, work)
    path = work.output("models/dpo")
    outputs = path, work.output("metrics/dpo.json"), work.output("metrics/dpo_curve.json")
    with stage_run("dpo", settings.groups("student", "dpo"), work, settings.runtime) as run:
        run.activate()
        with replacing(*outputs) as (model, numbers, curve):
            start = work.root / "models/sft"
            check(settings.dpo, settings.student, start, work.cache)
            tokens = make_tokens(
                pairs, validation, start, settings.dpo.max_length, settings.student, work.cache
            )
            job = DpoJob(
                start=start,
                pairs=tokens,
                path=model,
                cache=work.cache,
                dpo=settings.dpo,
                student=settings.student,
                runtime=settings.runtime,
            )
            trained, metrics = train(job, validation, run.environment())
            write_json(numbers, metrics)
            write_json(curve, trained.curve)
            run.log(metrics)
        run.wrote(work, *outputs)
    shutil.rmtree(trained.checkpoints, ignore_errors=True)
    print(f"{metrics['pairs']} pairs, reward margin {metrics['final_reward_margin']}")
    print(f"the aligned model: {path}")


if __name__ == "__main__":
    run_stage(dpo)
