"""Settings of the student, and the arguments that all training shares. Names that TRL has are TRL's."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from longwriter.core.settings import bounded, names_file
from longwriter.llm.settings import ServerSettings


class Dtype(Enum):
    """Type of the weights in memory and in the checkpoint. bfloat16 rounds AdamW's small updates
    away: keep float32 unless memory forbids it; matrix products run in bfloat16 either way."""

    float32 = "float32"
    bfloat16 = "bfloat16"


class RopeType(Enum):
    """How rotary positions are stretched."""

    linear = "linear"
    dynamic = "dynamic"
    yarn = "yarn"


@dataclass(kw_only=True)
class RopeScaling:
    """Of transformers' `rope_parameters`."""

    rope_type: RopeType
    factor: float = bounded(gt=1)
    """The new context, in contexts of the checkpoint."""


@dataclass(kw_only=True)
class StudentSettings:
    """The model to be tuned, and how its checkpoints are served."""

    checkpoint: str = names_file()
    """`package:NAME/FILE.gguf`, a local folder or GGUF file, or a Hugging Face hub id."""
    revision: str | None
    """Commit of the hub id."""
    chat_template_path: str | None = names_file()
    """Jinja file with the chat template of a checkpoint that has none; null: its own."""
    trust_remote_code: bool
    """Run code that comes with the checkpoint."""
    dtype: Dtype
    eos_token: str | None
    """Token that ends an answer, where the tokenizer's own is another; null: the tokenizer's."""
    rope_scaling: RopeScaling | None
    """Stretches the model's context; null: as the checkpoint has it."""
    server: ServerSettings
    """How checkpoints are served, and how they are sampled."""


@dataclass(kw_only=True)
class TrainerSettings:
    """Arguments that SFTConfig and DPOConfig share, passed to TRL as they are."""

    seed: int
    learning_rate: float = bounded(gt=0)
    num_train_epochs: float = bounded(gt=0)
    per_device_train_batch_size: int = bounded(ge=1)
    gradient_accumulation_steps: int = bounded(ge=1)
    lr_scheduler_type: str
    warmup_steps: float = bounded(ge=0)
    """Steps in which the learning rate rises; below 1: a share of all steps."""
    weight_decay: float = bounded(ge=0)
    adam_beta1: float = bounded(ge=0, lt=1)
    adam_beta2: float = bounded(ge=0, lt=1)
    max_grad_norm: float = bounded(gt=0)
    max_length: int = bounded(ge=8)
    """Most tokens of a row (SFT: also of a pack). A longer row is an error: nothing is cut."""
    activation_checkpointing: bool
    save_steps: int = bounded(ge=1)
    """Optimiser steps between checkpoints: what a kill can cost."""
    logging_steps: int = bounded(ge=1)
    early_stopping_patience: int | None = bounded(ge=1)
    """Evaluations in a row without a better one that end training; null: none do."""
    trl: dict[str, Any]
    """Further arguments of SFTConfig or DPOConfig by their own names, such as `optim`, or `eval_strategy`,
    which evaluates on the validation rows while it trains."""

    @property
    def evaluates(self) -> bool:
        """Whether something is evaluated while it trains."""
        return bool(self.trl.get("eval_strategy", "no") != "no")


@dataclass(kw_only=True)
class LoraSettings:
    """peft's LoraConfig."""

    r: int = bounded(ge=1)
    lora_alpha: int = bounded(ge=1)
    lora_dropout: float = bounded(ge=0, lt=1)
    target_modules: str
