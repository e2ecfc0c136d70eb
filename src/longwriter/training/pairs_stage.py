"""The stage `pairs` from instructions to pairs: keep apart, sample, score, pair, hold out, mix."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longwriter.chat.calls import with_client
from longwriter.errors import DataError, SettingsError
from longwriter.evaluation.judge_prompt import read_prompt
from longwriter.records import (
    BenchmarkPrompt,
    Candidate,
    Instruction,
    Pair,
    TrainingRow,
    read_jsonl,
)
from longwriter.settings import Settings, Workspace
from longwriter.training.candidates import judged, sample_candidates, scored
from longwriter.training.digest import checkpoint_digest
from longwriter.training.disjoint import keep_apart
from longwriter.training.general import read_general
from longwriter.training.gguf import with_student
from longwriter.training.pair_metrics import describe
from longwriter.training.pairs import build_pairs, hold_out

BENCHMARK, SFT = "in the benchmark", "in the SFT data"


@dataclass(frozen=True)
class Made:
    """What the stage writes."""

    train: list[Pair]
    """General pairs among them, at the end: the trainer shuffles."""
    held_out: list[Pair]
    candidates: list[Candidate]
    metrics: dict[str, Any]


def make_pairs(settings: Settings, work: Workspace) -> Made:
    """Samples, scores and pairs as the settings say.

    Raises:
        DataError: a file cannot be read, no instruction is left, or none gave a pair.
        CallError, ServerError: as the chat client.
    """
    options, seed, resamples = settings.pairs, settings.runtime.seed, settings.bench.resamples
    instructions, dropped = choose_instructions(settings, work)
    taken = {BENCHMARK: _benchmark(settings, work)}
    general = read_general(options.general, seed)
    general, general_dropped = keep_apart(general, _asked, taken)

    candidates, spent = write_candidates(instructions, settings, work)
    candidates = scored(candidates, options.weights)
    checkpoint = checkpoint_digest(work.root / "models/sft")
    paired = build_pairs(candidates, options, seed, checkpoint)
    if not paired.pairs:
        raise DataError(
            f"no pair of {len(instructions)} instructions: {paired.without_pair}; more samples, a "
            "higher temperature or more max_tokens in conf/pairs/ make answers differ"
        )
    train, held_out = hold_out(paired.pairs, options.held_out, seed)
    metrics = describe(candidates, paired, resamples, seed) | {
        "dropped": dropped,
        "held_out_pairs": len(held_out),
        "general_pairs": len(general),
        "general_dropped": sum(general_dropped.values()),
        **spent,
    }
    return Made(train + general, held_out, candidates, metrics)


def choose_instructions(
    settings: Settings, work: Workspace
) -> tuple[list[Instruction], dict[str, int]]:
    """The first `limit` instructions that are in neither the benchmark nor, by setting, the SFT
    data, and how many were dropped for which.

    Raises:
        DataError: none is left, or a file cannot be read.
    """
    path = work.input(settings.pairs.instructions, "data/instructions_dpo.jsonl")
    others = {BENCHMARK: _benchmark(settings, work)}
    if settings.pairs.exclude_sft:
        rows = read_jsonl(work.input(settings.sft.data, "data/sft/train.jsonl"), TrainingRow)
        others[SFT] = [m.content for row in rows for m in row.messages if m.role == "user"]
    given = read_jsonl(path, Instruction)
    kept, dropped = keep_apart(given, lambda instruction: instruction.prompt, others)
    if not kept:
        raise DataError(
            f"{path}: all {len(given)} instructions are taken: {dropped}; name others in "
            "pairs.instructions, or, if SFT may share them, set pairs.exclude_sft=false"
        )
    return kept[: settings.pairs.limit], dropped


def write_candidates(
    instructions: list[Instruction], settings: Settings, work: Workspace
) -> tuple[list[Candidate], dict[str, float]]:
    """The SFT model's samples, graded where quality weighs anything, and what both took."""
    options, runtime = settings.pairs, settings.runtime
    candidates, spent = with_student(
        lambda client: sample_candidates(client, instructions, options, runtime.seed),
        work.root / "models/sft",
        settings.student,
        work.cache,
        seed=runtime.seed,
        threads=runtime.threads,
    )
    judge = options.judge
    if not options.weights.quality:
        return candidates, spent
    if not judge:
        raise SettingsError(
            "pairs.judge: null, and pairs.weights.quality is not 0; set pairs.judge=${judge}"
        )
    prompt = read_prompt(judge, work.root)
    candidates, judge_spent = with_client(
        lambda client: judged(client, candidates, prompt, judge.repeats),
        judge,
        work.cache,
        seed=runtime.seed,
        threads=runtime.threads,
    )
    both = {name: spent[name] + judge_spent[name] for name in spent if name != "cached_share"}
    share = both["cached_prompt_tokens"] / max(both["prompt_tokens"], 1)
    return candidates, both | {"cached_share": round(share, 4)}


def _benchmark(settings: Settings, work: Workspace) -> list[str]:
    path: Path = work.root / settings.bench.path
    return [row.prompt for row in read_jsonl(path, BenchmarkPrompt)]


def _asked(pair: Pair) -> str:
    """What the user says last."""
    return next((m.content for m in reversed(pair.prompt) if m.role == "user"), "")
