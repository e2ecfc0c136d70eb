"""The stage `pairs`, which makes preference pairs from instructions.

It drops instructions that overlap a benchmark or the SFT data, samples the SFT model's answers,
scores and pairs them, sets validation pairs aside and mixes chat pairs in.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from longwriter.core.errors import DataError, SettingsError
from longwriter.core.files import checkpoint_digest
from longwriter.core.rows import Candidate, Instruction, Pair, TrainingRow
from longwriter.core.sources import read_jsonl
from longwriter.core.workspace import Workspace
from longwriter.evaluation.contamination import PromptIndex, locate_benchmarks, read_benchmarks
from longwriter.evaluation.judge import read_prompt
from longwriter.evaluation.judge_calls import judge_calls
from longwriter.evaluation.settings import ContaminationSettings
from longwriter.llm.session import CallContext, with_client
from longwriter.models.serving import with_student
from longwriter.models.settings import StudentSettings
from longwriter.preference.candidates import judged, sample_candidates, scored
from longwriter.preference.chat_pairs import read_chat_pairs
from longwriter.preference.metrics import describe
from longwriter.preference.pairing import build_pairs, split_validation
from longwriter.preference.settings import PairsSettings
from longwriter.text.demands import words_asked

SFT_MODEL, SFT_ROWS = "models/sft", "data/sft/train.jsonl"
"""Paths in the DAG of the inputs that no setting names."""

BENCHMARK, SFT = "in a benchmark", "in the SFT data"
"""Reasons for dropping an instruction."""

T = TypeVar("T")


@dataclass(frozen=True)
class PairsResult:
    """What the stage writes."""

    train: list[Pair]
    """Training pairs, with the chat pairs at the end; the trainer shuffles them."""
    validation: list[Pair]
    candidates: list[Candidate]
    metrics: dict[str, Any]


def make_pairs(
    settings: PairsSettings,
    student: StudentSettings,
    contamination: ContaminationSettings,
    work: Workspace,
    calls: CallContext,
) -> PairsResult:
    """Samples candidates, scores them and pairs them as the settings say.

    Raises:
        DataError: a file cannot be read, no instruction is left, or none yielded a pair.
        CallError, ServerError: raised by the chat client.
    """
    benchmarks = read_benchmarks(locate_benchmarks(work.root, contamination.benchmarks).found)
    instructions, dropped = choose_instructions(settings, contamination, benchmarks, work)
    chat = read_chat_pairs(settings.chat_mix, work.root, settings.seed)
    chat, chat_dropped = drop_shared(chat, _last_request, {BENCHMARK: benchmarks}, contamination)

    model = work.root / SFT_MODEL
    candidates, spent = write_candidates(instructions, settings, student, model, work, calls)
    candidates = scored(candidates, settings.weights)
    paired = build_pairs(candidates, settings, checkpoint_digest(model))
    if not paired.pairs:
        unscored = Counter(c.unscored for c in candidates if c.unscored).most_common(1)
        raise DataError(
            f"no pair of {len(instructions)} instructions: {paired.without_pair}"
            + "".join(f", {n} of {len(candidates)} answers: {why}" for why, n in unscored)
            + "; more samples, a higher temperature or more max_tokens in conf/pairs/ make answers "
            "differ"
        )
    train, validation = split_validation(paired.pairs, settings.validation_fraction, settings.seed)
    metrics = describe(candidates, paired) | {
        "dropped": dropped,
        "validation_pairs": len(validation),
        "chat_pairs": len(chat),
        "chat_pairs_dropped": sum(chat_dropped.values()),
        **spent,
    }
    return PairsResult(train + chat, validation, candidates, metrics)


def choose_instructions(
    settings: PairsSettings,
    contamination: ContaminationSettings,
    benchmarks: PromptIndex,
    work: Workspace,
) -> tuple[list[Instruction], dict[str, int]]:
    """Returns the first `limit` instructions that don't overlap a benchmark prompt.

    With `settings.exclude_sft`, they don't overlap a prompt of the SFT data either.

    Returns:
        The instructions; reason → number of instructions dropped.

    Raises:
        DataError: none is left, or a file cannot be read.
    """
    path = work.root / settings.instructions
    others = {BENCHMARK: benchmarks}
    if settings.exclude_sft:
        rows = read_jsonl(work.root / SFT_ROWS, TrainingRow)
        prompts = [m.content for row in rows for m in row.messages if m.role == "user"]
        others[SFT] = PromptIndex((SFT_ROWS, prompt) for prompt in prompts)
    given = [
        row if row.length else row.model_copy(update={"length": words_asked(row.prompt)})
        for row in read_jsonl(path, Instruction)
    ]
    kept, dropped = drop_shared(given, lambda row: row.prompt, others, contamination)
    if not kept:
        raise DataError(
            f"{path}: all {len(given)} instructions were dropped: {dropped}; name others in "
            "pairs.instructions, or, if SFT may share them, set pairs.exclude_sft=false"
        )
    return kept[: settings.limit], dropped


def drop_shared(
    rows: Iterable[T],
    prompt: Callable[[T], str],
    others: Mapping[str, PromptIndex],
    contamination: ContaminationSettings,
) -> tuple[list[T], dict[str, int]]:
    """Drops rows whose prompt overlaps another set of prompts.

    Args:
        prompt: returns the prompt of a row.
        others: reason for dropping, such as `in a benchmark` → prompts.
        contamination: thresholds that define an overlap.

    Returns:
        The rows that are left, in order; reason → number of rows dropped, each under its first
        reason.
    """
    kept, dropped = [], Counter[str]()
    for row in rows:
        asked = prompt(row)
        found = next((name for name, one in others.items() if one.find(asked, contamination)), None)
        if found is None:
            kept.append(row)
        else:
            dropped[found] += 1
    return kept, dict(dropped)


def write_candidates(
    instructions: list[Instruction],
    settings: PairsSettings,
    student: StudentSettings,
    model: Path,
    work: Workspace,
    calls: CallContext,
) -> tuple[list[Candidate], dict[str, float]]:
    """Samples the checkpoint `model`, and has a judge grade the candidates if quality has a weight.

    Returns:
        The candidates; calls, tokens and US dollars of sampling and grading together.
    """
    candidates, spent = with_student(
        lambda client: sample_candidates(client, instructions, settings), model, student, calls
    )
    judge = settings.judge
    if not settings.weights.quality:
        return candidates, spent
    if not judge:
        raise SettingsError(
            "pairs.judge: null, and pairs.weights.quality is not 0; set pairs.judge=${judge}"
        )
    prompt = read_prompt(judge, work.root)
    candidates, judge_spent = with_client(
        lambda client: judged(client, candidates, prompt, judge.repeats),
        judge,
        judge_calls(calls.cache, calls.seed, calls.threads, judge, prompt, "pairs"),
        name="pairs.judge",
    )
    both = {name: spent[name] + judge_spent[name] for name in spent if name != "cached_share"}
    share = both["cached_prompt_tokens"] / max(both["prompt_tokens"], 1)
    return candidates, both | {"cached_share": round(share, 4)}


def _last_request(pair: Pair) -> str:
    """Returns the user's last message; empty if there is none."""
    return next((m.content for m in reversed(pair.prompt) if m.role == "user"), "")
