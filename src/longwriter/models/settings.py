"""Settings of the student and of all training. Settings that TRL has too keep TRL's names."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from longwriter.core.settings import bounded, names_file
from longwriter.llm.settings import ServerSettings


class Dtype(Enum):
    """Type of the weights in checkpoints.

    Training all weights updates a float32 copy either way, and matrix products run in bfloat16 if
    the machine supports it.
    """

    float32 = "float32"
    bfloat16 = "bfloat16"


class RopeType(Enum):
    """How rotary positions are scaled to extend the context."""

    linear = "linear"
    dynamic = "dynamic"
    yarn = "yarn"


@dataclass(kw_only=True)
class RopeScaling:
    """Entries of transformers' `rope_parameters`."""

    rope_type: RopeType
    factor: float = bounded(gt=1)
    """Length of the new context as a multiple of the checkpoint's."""


@dataclass(kw_only=True)
class StudentSettings:
    """The model to fine-tune, and how its checkpoints are served."""

    checkpoint: str = names_file()
    """`package:NAME/FILE.gguf`, a local folder or GGUF file, or a Hugging Face hub id."""
    revision: str | None
    """Commit of the hub repository."""
    chat_template_path: str | None = names_file()
    """Jinja file with the chat template; null: the checkpoint's own."""
    trust_remote_code: bool
    """Run code that comes with the checkpoint."""
    dtype: Dtype
    eos_token: str | None
    """Token that ends an answer, if it isn't the tokenizer's eos_token; null: the tokenizer's."""
    rope_scaling: RopeScaling | None
    """Extends the model's context; null: the checkpoint's own context."""
    server: ServerSettings
    """How checkpoints are served and sampled."""


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
    """Steps of learning-rate warmup; below 1: a fraction of all steps."""
    weight_decay: float = bounded(ge=0)
    adam_beta1: float = bounded(ge=0, lt=1)
    adam_beta2: float = bounded(ge=0, lt=1)
    max_grad_norm: float = bounded(gt=0)
    max_length: int = bounded(ge=8)
    """Maximum tokens per row (SFT: also per pack). A longer row is never truncated: it is an error,
    or left out with sft.too_long=skip."""
    activation_checkpointing: bool
    save_steps: int = bounded(ge=1)
    """Optimiser steps between checkpoints: the most that a killed run loses."""
    logging_steps: int = bounded(ge=1)
    early_stopping_patience: int | None = bounded(ge=1)
    """Stop training after this many evaluations in a row without improvement; null: never."""
    trl: dict[str, Any]
    """Further arguments of SFTConfig or DPOConfig, such as `optim`, or `eval_strategy` to evaluate
    on the validation rows during training."""

    @property
    def evaluates(self) -> bool:
        """Whether training evaluates on the validation rows."""
        return bool(self.trl.get("eval_strategy", "no") != "no")


@dataclass(kw_only=True)
class LoraSettings:
    """Arguments of peft's LoraConfig."""

    r: int = bounded(ge=1)
    lora_alpha: int = bounded(ge=1)
    lora_dropout: float = bounded(ge=0, lt=1)
    target_modules: str
