"""Direct preference optimisation of models/sft (stage `dpo`)."""

import shutil

from longwriter.records import Pair, read_jsonl, write_json
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run
from longwriter.training.dpo import train


def dpo(settings: Settings, work: Workspace) -> None:
    pairs = read_jsonl(work.input(settings.dpo.pairs, "data/dpo/pairs.jsonl"), Pair)
    path = work.output("models/dpo")
    with stage_run("dpo", settings, work, ["student", "dpo"]):
        trained, metrics = train(work.root / "models/sft", pairs, path, settings, work)
        write_json(work.output("metrics/dpo.json"), metrics)
        write_json(work.output("metrics/dpo_curve.json"), trained.curve)
        log_metrics(metrics)
    shutil.rmtree(trained.checkpoints, ignore_errors=True)
    print(f"{metrics['pairs']} pairs, reward margin {metrics['final_reward_margin']}")
    print(f"the aligned model: {path}")


if __name__ == "__main__":
    run_stage(dpo)
