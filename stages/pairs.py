"""Sample answers of models/sft and pair the best with another (stage `pairs`)."""

from longwriter.chat.client import ChatClient
from longwriter.errors import DataError
from longwriter.records import (
    Candidate,
    Instruction,
    read_jsonl,
    replacing,
    write_json,
    write_jsonl,
)
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run
from longwriter.training.gguf import with_student
from longwriter.training.pairs import build_pairs, describe, sample_candidates


def pairs(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.pairs.instructions, "data/instructions_dpo.jsonl")
    instructions = read_jsonl(path, Instruction)[: settings.pairs.limit]
    seed, threads = settings.runtime.seed, settings.runtime.threads
    target = work.output("data/dpo/pairs.jsonl")
    outputs = target, target.with_name("candidates.jsonl"), work.output("metrics/pairs.json")

    async def sample(client: ChatClient) -> tuple[list[Candidate], dict[str, float]]:
        candidates = await sample_candidates(client, instructions, settings.pairs)
        return candidates, client.spent

    with stage_run("pairs", settings, work, ["student", "pairs"]):
        model = work.root / "models/sft"
        candidates, spent = with_student(
            sample, model, settings.student, work.cache, seed=seed, threads=threads
        )
        paired = build_pairs(candidates, seed)
        metrics = describe(candidates, paired) | spent
        if not paired.pairs:
            raise DataError(f"{path}: no instruction gave a pair: {paired.without_pair}")
        with replacing(*outputs) as (good, every, numbers):
            write_jsonl(good, paired.pairs)
            write_jsonl(every, candidates)
            write_json(numbers, metrics)
        log_metrics(metrics)
    print(f"{metrics['pairs']} pairs from {metrics['instructions']} instructions: {target}")


if __name__ == "__main__":
    run_stage(pairs)
