"""Direct preference optimisation with TRL: LoRA on the SFT model, merged when it is done."""

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from longwriter.errors import TrainingError
from longwriter.records import Pair
from longwriter.settings import Settings, Workspace
from longwriter.training.model import load, save
from longwriter.training.trainer import (
    Trained,
    arguments,
    checkpoint_folder,
    run,
    without_prints,
)


def train(
    start: Path, pairs: list[Pair], path: Path, settings: Settings, work: Workspace
) -> tuple[Trained, dict[str, Any]]:
    """Aligns the checkpoint `start` on `pairs` and writes the merged result to `path`.

    The reference policy is `start` itself: the model with its adapter switched off.

    Returns:
        What the run reports, and counts for metrics/dpo.json.

    Raises:
        TrainingError: a pair does not fit max_length; training failed.
    """
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)  # peft's
    dpo = settings.dpo
    folder = checkpoint_folder(work, "dpo", dpo, settings, pairs, start)
    model, tokenizer = load(start, settings.student)
    tokens = sum(count_tokens(pair, tokenizer, dpo.max_length) for pair in pairs)
    config = DPOConfig(
        **arguments(dpo, folder, settings), beta=dpo.beta, loss_type=[dpo.loss_type.value]
    )
    columns = ("prompt", "chosen", "rejected")
    trainer = DPOTrainer(
        model=model,
        args=config,
        train_dataset=Dataset.from_list([pair.model_dump(include=set(columns)) for pair in pairs]),
        processing_class=tokenizer,
        peft_config=LoraConfig(task_type="CAUSAL_LM", **asdict(dpo.lora)),
    )
    trained = run(without_prints(trainer), folder)
    save(trainer.model.merge_and_unload(), tokenizer, path)

    last = trained.curve[-1]
    return trained, {
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
