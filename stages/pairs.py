"""Sample answers of models/sft and pair the best with another (stage `pairs`)."""

from longwriter.errors import DataError
from longwriter.records import Instruction, read_jsonl, replacing, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run
from longwriter.training.gguf import with_student
from longwriter.training.pairs import build_pairs, describe, sample_candidates


def pairs(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.pairs.instructions, "data/instructions_dpo.jsonl")
    instructions = read_jsonl(path, Instruction)[: settings.pairs.limit]
    seed = settings.runtime.seed
    target = work.output("data/dpo/pairs.jsonl")
    outputs = target, target.with_name("candidates.jsonl"), work.output("metrics/pairs.json")

    with stage_run("pairs", settings, work, ["student", "pairs"]):
        candidates, spent = with_student(
            lambda client: sample_candidates(client, instructions, settings.pairs),
            work.root / "models/sft",
            settings.student,
            work.cache,
            seed=seed,
            threads=settings.runtime.threads,
        )
        paired = build_pairs(candidates, seed)
        metrics = describe(candidates, paired) | spent
        if not paired.pairs:
            raise DataError(
                f"{path}: no instruction gave a pair: {paired.without_pair}; more samples, a higher "
                "temperature or more max_tokens in conf/pairs make them differ"
            )
        with replacing(*outputs) as (good, every, numbers):
            write_jsonl(good, paired.pairs)
            write_jsonl(every, candidates)
            write_json(numbers, metrics)
        log_metrics(metrics)
    print(f"{metrics['pairs']} pairs from {metrics['instructions']} instructions: {target}")


if __name__ == "__main__":
    run_stage(pairs)
