"""Direct preference optimisation with TRL of the SFT model, by LoRA or of all weights."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longwriter.chat.servers import weights_digest
from longwriter.chat.settings import ServerKind
from longwriter.errors import SettingsError, TrainingError
from longwriter.records import Pair, read_jsonl, write_text
from longwriter.settings import Settings, Workspace
from longwriter.training import held_out
from longwriter.training.dpo_card import card
from longwriter.training.model import load, save
from longwriter.training.settings import DpoSettings
from longwriter.training.trainer import (
    Trained,
    arguments,
    checkpoint_folder,
    run,
    without_prints,
)

COLUMNS = ("prompt", "chosen", "rejected")


def read_pairs(dpo: DpoSettings, work: Workspace) -> tuple[list[Pair], list[Pair]]:
    """The pairs to train on, and those to measure on: none where the stage `pairs` held none out,
    or where only `dpo.pairs` is given.

    Raises:
        DataError: a file is missing or holds a bad row, or there is no pair to train on.
    """
    train = read_jsonl(work.input(dpo.pairs, "data/dpo/pairs.jsonl"), Pair)
    path = work.input(dpo.held_out, "data/dpo/heldout.jsonl")
    if dpo.pairs and not dpo.held_out:
        return train, []
    empty = path.exists() and not path.stat().st_size
    return train, [] if empty else read_jsonl(path, Pair)


def train(
    start: Path,
    pairs: list[Pair],
    apart: list[Pair],
    path: Path,
    settings: Settings,
    work: Workspace,
) -> tuple[Trained, dict[str, Any]]:
    """Aligns the checkpoint `start` on `pairs` and writes the result to `path`.

    The reference policy is `start` itself; its log-probabilities are computed once and kept in
    .cache/reference.

    Args:
        apart: pairs that are measured after training, never trained on; may be empty.

    Returns:
        What the run reports, and counts for metrics/dpo.json.

    Raises:
        SettingsError: losses and weights do not fit each other, or the server needs merged weights.
        TrainingError: a pair does not fit max_length; training failed.
    """
    dpo = settings.dpo
    check(settings)
    folder = checkpoint_folder(work, "dpo", dpo, settings, pairs, start)
    model, tokenizer = load(start, settings.student)
    tokens = sum(count_tokens(pair, tokenizer, dpo.max_length) for pair in pairs)
    for pair in apart:
        count_tokens(pair, tokenizer, dpo.max_length)
    trainer = build_trainer(model, tokenizer, start, pairs, apart, folder, settings, work)
    trained = run(without_prints(trainer), folder)
    last = trained.curve[-1]
    metrics = {
        "pairs": len(pairs),
        "tokens": tokens,
        "steps": trainer.state.global_step,
        "train_loss": round(trained.train_loss, 4),
        "final_reward_margin": round(last["rewards/margins"], 4),
        "final_reward_accuracy": round(last["rewards/accuracies"], 4),
        "seconds": round(trained.seconds, 1),
        "tokens_per_s": trained.rate(tokens * dpo.num_train_epochs),
        "peak_memory_mb": round(trained.peak_memory_mb),
    }
    if apart:
        metrics["held_out"] = held_out.summarise(
            apart,
            trainer.held_out_rewards(),
            settings.bench.resamples,
            settings.runtime.seed,
        )
    save_aligned(trainer.model, tokenizer, path, merge=dpo.merge)
    write_text(path / "README.md", card(settings, start, metrics))
    return trained, metrics


def check(settings: Settings) -> None:
    """Checks what no single setting tells.

    Raises:
        SettingsError: losses and weights differ in number, or the adapter alone would be saved and
            the student's server is llama.cpp.
    """
    dpo = settings.dpo
    if not dpo.loss_type or len(dpo.loss_type) != len(dpo.loss_weights):
        raise SettingsError(
            f"dpo.loss_weights: {len(dpo.loss_weights)} for {len(dpo.loss_type)} of dpo.loss_type; "
            "give each loss one weight in conf/dpo/"
        )
    if dpo.lora and not dpo.merge and settings.student.server is ServerKind.llama_cpp:
        raise SettingsError(
            "dpo.merge: is false, and llama.cpp, the student's server, takes whole weights; set "
            "dpo.merge=true, or student.server=endpoint and serve adapter and base yourself"
        )


def build_trainer(
    model: Any,
    tokenizer: Any,
    start: Path,
    pairs: list[Pair],
    apart: list[Pair],
    folder: Path,
    settings: Settings,
    work: Workspace,
) -> Any:
    """The trainer for `model`, the checkpoint `start` in memory; the reference's log-probabilities
    of all pairs are there when it returns."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig

    from longwriter.training.preference_trainer import PreferenceTrainer

    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)  # peft's
    dpo = settings.dpo
    config = DPOConfig(
        **arguments(dpo, folder, settings),
        beta=dpo.beta,
        loss_type=[loss.value for loss in dpo.loss_type],
        loss_weights=dpo.loss_weights,
        ld_alpha=dpo.ld_alpha,
        precompute_ref_log_probs=True,
    )

    def dataset(rows: list[Pair]) -> Any:
        return Dataset.from_list([pair.model_dump(include=set(COLUMNS)) for pair in rows])

    return PreferenceTrainer(
        reference=work.cache / "reference",
        identity={"model": weights_digest(start), "dtype": settings.student.dtype.value},
        model=model,
        args=config,
        train_dataset=dataset(pairs),
        eval_dataset=dataset(apart) if apart else None,
        processing_class=tokenizer,
        peft_config=dpo.lora and LoraConfig(task_type="CAUSAL_LM", **asdict(dpo.lora)),
    )


def save_aligned(model: Any, tokenizer: Any, path: Path, *, merge: bool) -> None:
    """Writes one checkpoint to `path`: whole weights, or of an adapted model that is not to be
    merged the trained adapter alone."""
    adapted = hasattr(model, "merge_and_unload")
    if adapted and not merge:
        model.save_pretrained(path, selected_adapters=["default"])
        tokenizer.save_pretrained(path)
    else:
        save(model.merge_and_unload() if adapted else model, tokenizer, path)


def count_tokens(pair: Pair, tokenizer: Any, max_length: int) -> int:
    """Tokens of prompt + chosen and prompt + rejected together.

    Raises:
        TrainingError: one of the two is longer than max_length.
    """
    prompt = [message.model_dump() for message in pair.prompt]
    lengths = [
        len(
            tokenizer.apply_chat_template(
                prompt + [message.model_dump() for message in answer],
                tokenize=True,
                return_dict=False,
            )
        )
        for answer in (pair.chosen, pair.rejected)
    ]
    if max(lengths) > max_length:
        raise TrainingError(
            f"pair {pair.id}: {max(lengths)} tokens, and dpo.max_length is {max_length}; raise it "
            "in conf/dpo/ or lower pairs.max_tokens: a pair is never cut"
        )
    return sum(lengths)
