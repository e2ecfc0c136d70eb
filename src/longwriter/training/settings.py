"""Settings of the student and its training. Names that TRL has are TRL's, units and all."""

from dataclasses import dataclass
from enum import Enum

from longwriter.bounds import bounded
from longwriter.chat.settings import ServerSettings


class Dtype(Enum):
    """Type of the weights in memory and in the checkpoint. bfloat16 rounds AdamW's small updates
    away: keep float32 unless memory forbids it; matrix products run in bfloat16 either way."""

    float32 = "float32"
    bfloat16 = "bfloat16"


@dataclass(kw_only=True)
class StudentSettings(ServerSettings):
    """The model to be tuned, and how its checkpoints are served."""

    checkpoint: str
    """`package:NAME/FILE.gguf`, a local folder or GGUF file, or a Hugging Face hub id."""
    revision: str | None
    """Commit of the hub id."""
    chat_template_path: str | None
    """Jinja file with the chat template of a checkpoint that has none; null: its own."""
    trust_remote_code: bool
    """Run code that comes with the checkpoint."""
    dtype: Dtype


@dataclass(kw_only=True)
class TrainerSettings:
    """Arguments that SFTConfig and DPOConfig share, passed to TRL as they are."""

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


@dataclass(kw_only=True)
class SftSettings(TrainerSettings):
    """Supervised fine-tuning."""

    data: str | None
    """Training rows; null: data/sft/train.jsonl."""
    packing: bool
    """Put several rows into one sequence of max_length tokens, attention kept inside a row."""


class Loss(Enum):
    """TRL's DPO losses used here."""

    sigmoid = "sigmoid"
    sigmoid_norm = "sigmoid_norm"
    ipo = "ipo"


@dataclass(kw_only=True)
class LoraSettings:
    """peft's LoraConfig."""

    r: int = bounded(ge=1)
    lora_alpha: int = bounded(ge=1)
    lora_dropout: float = bounded(ge=0, lt=1)
    target_modules: str


@dataclass(kw_only=True)
class DpoSettings(TrainerSettings):
    """Direct preference optimisation with LoRA on the SFT model."""

    pairs: str | None
    """Preference pairs; null: data/dpo/pairs.jsonl."""
    beta: float = bounded(gt=0)
    loss_type: Loss
    lora: LoraSettings


@dataclass(kw_only=True)
class PairsSettings:
    """Candidates of the SFT model and the pairs made of them."""

    instructions: str | None
    """Instructions to sample answers for; null: data/instructions_dpo.jsonl."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` instructions; null: all."""
    samples: int = bounded(ge=2)
    """Candidates an instruction (the paper: 4)."""
    temperature: float = bounded(ge=0, le=2)
    max_tokens: int = bounded(ge=1)
