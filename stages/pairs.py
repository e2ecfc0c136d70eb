"""Sample answers of models/sft and pair the best with another (stage `pairs`)."""

from longwriter.chat.client import ChatClient
from longwriter.errors import DataError
from longwriter.records import Candidate, Instruction, read_jsonl, write_json, write_jsonl
from longwriter.settings import Settings, Workspace, run_stage
from longwriter.tracking import log_metrics, stage_run
from longwriter.training.gguf import with_student
from longwriter.training.pairs import build_pairs, describe, sample_candidates


def pairs(settings: Settings, work: Workspace) -> None:
    path = work.input(settings.pairs.instructions, "data/instructions_dpo.jsonl")
    instructions = read_jsonl(path, Instruction)[: settings.pairs.limit]
    seed, threads = settings.runtime.seed, settings.runtime.threads
    target = work.output("data/dpo/pairs.jsonl")

    async def sample(client: ChatClient) -> tuple[list[Candidate], dict[str, object]]:
        candidates = await sample_candidates(client, instructions, settings.pairs)
        return candidates, {**client.usage.model_dump(), "cost_usd": round(client.cost, 6)}

    with stage_run("pairs", settings, work, ["student", "pairs"]):
        model = work.root / "models/sft"
        candidates, cost = with_student(
            sample, model, settings.student, work.cache, seed=seed, threads=threads
        )
        paired = build_pairs(candidates, seed)
        metrics = describe(candidates, paired) | cost
        if not paired.pairs:
            raise DataError(f"{path}: no instruction gave a pair: {paired.without_pair}")
        write_jsonl(target.with_name("candidates.jsonl"), candidates)
        write_jsonl(target, paired.pairs)
        write_json(work.output("metrics/pairs.json"), metrics)
        log_metrics(metrics)
    print(f"{metrics['pairs']} pairs from {metrics['instructions']} instructions: {target}")


if __name__ == "__main__":
    run_stage(pairs)
