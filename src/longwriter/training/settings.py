"""Settings of the student and its training. Names that TRL has are TRL's, units and all."""

from dataclasses import dataclass
from enum import Enum

from longwriter.bounds import bounded
from longwriter.chat.settings import ServerSettings
from longwriter.evaluation.settings import JudgeSettings


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
    eos_token: str | None
    """Token that ends an answer, where the tokenizer's own is another; null: the tokenizer's."""
    rope_scaling: RopeScaling | None
    """Stretches the model's context; null: as the checkpoint has it."""


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
class LoraSettings:
    """peft's LoraConfig."""

    r: int = bounded(ge=1)
    lora_alpha: int = bounded(ge=1)
    lora_dropout: float = bounded(ge=0, lt=1)
    target_modules: str


class Method(Enum):
    """Which weights are trained."""

    full = "full"
    lora = "lora"
    qlora = "qlora"
    """LoRA on a base in 4 bits (NF4, needs bitsandbytes)."""


class Averaging(Enum):
    """What the SFT loss is a mean over, in the batch of one optimiser step."""

    token = "token"  # noqa: S105
    """Over target tokens, as the paper has it."""
    sequence = "sequence"
    """Over rows, each the mean over its targets: LongAlign's weighting."""
    released = "released"
    """Over packs, each the mean over its targets times its number of rows / 30: what LongWriter's
    released code computes."""


class TooLong(Enum):
    """What becomes of a row of more than max_length tokens. It is never cut."""

    error = "error"
    skip = "skip"
    """Left out, and listed in data/sft/packs.jsonl with 0 epochs."""


@dataclass(kw_only=True)
class SftSettings(TrainerSettings):
    """Supervised fine-tuning."""

    data: str | None
    """Training rows; null: data/sft/train.jsonl."""
    held_out: str | None
    """Rows to measure the loss by position on; null: data/sft/heldout.jsonl."""
    method: Method
    lora: LoraSettings
    """Read where `method` is lora or qlora."""
    loss: Averaging
    packing: bool
    """Put several rows into one sequence of max_length tokens, attention kept inside a row."""
    too_long: TooLong
    attn_implementation: str | None
    """transformers' name of a kernel that keeps rows apart by `cu_seq_lens`, e.g.
    flash_attention_2 or kernels-community/flash-attn3; null: PyTorch's own, row by row."""
    activation_offloading: bool
    """Move activations to the host until the backward pass needs them (GPU)."""
    torch_compile: bool
    use_kernels: bool
    """Replace layers by the hub's kernels, Liger's among them (needs `kernels` and a GPU)."""


class Loss(Enum):
    """TRL's DPO losses used here.

    Source: `sigmoid` arXiv 2305.18290, `ipo` arXiv 2310.12036 (a token's mean), `sigmoid_norm` the
    sigmoid of log-ratios divided by their lengths (arXiv 2411.15124), `sft` the mean negative
    log-likelihood of a token of the chosen answers.
    """

    sigmoid = "sigmoid"
    sigmoid_norm = "sigmoid_norm"
    ipo = "ipo"
    sft = "sft"

    def __repr__(self) -> str:  # a list of them, as MLflow shows it
        return self.value


@dataclass(kw_only=True)
class DpoSettings(TrainerSettings):
    """Direct preference optimisation of the SFT model."""

    pairs: str | None
    """Preference pairs; null: data/dpo/pairs.jsonl."""
    held_out: str | None
    """Pairs to measure on; null: data/dpo/heldout.jsonl, or none where `pairs` is given."""
    beta: float = bounded(gt=0)
    loss_type: list[Loss]
    """Losses that are added up."""
    loss_weights: list[float]
    """A weight for each of `loss_type`."""
    ld_alpha: float | None = bounded(ge=0, le=1)
    """Weight of the log-probabilities past the length that chosen and rejected share, against length
    bias (arXiv 2409.06411); 1 and null: all count the same."""
    lora: LoraSettings | None
    """null: all weights are trained."""
    merge: bool
    """Save whole weights, which llama.cpp and vLLM serve as they are; false: the adapter alone."""


class Selection(Enum):
    """Which candidates of an instruction become a pair."""

    best_against_random = "best_against_random"
    """The best is chosen, one of the others at random rejected (the paper)."""
    best_against_worst = "best_against_worst"
    above_margin = "above_margin"
    """Every two whose scores differ by min_margin, the widest margins first."""


@dataclass(kw_only=True)
class ScoreWeights:
    """What a candidate's score is made of. What weighs 0 is not computed."""

    length: float = bounded(ge=0)
    """Of S_l, where the instruction asks for a length."""
    quality: float = bounded(ge=0)
    """Of S_q, by `judge`."""
    repetition: float = bounded(ge=0)
    """Points taken off for each percent of 8-grams that repeat an earlier one."""


@dataclass(kw_only=True)
class GeneralPairsSettings:
    """Preference pairs of general chat, mixed in."""

    path: str | None
    """JSON Lines in TRL's preference format, or the id of a data set on the hub; null: none."""
    revision: str | None
    """Commit or tag of the hub's data set."""
    split: str
    """Of the hub's data set."""
    limit: int | None = bounded(ge=1)
    """Take so many, at random; null: all."""


@dataclass(kw_only=True)
class PairsSettings:
    """Candidates of the SFT model and the pairs made of them."""

    instructions: str | None
    """Instructions to sample answers for; null: data/instructions_dpo.jsonl. Those of the
    benchmark are dropped."""
    exclude_sft: bool
    """Drop the instructions in data/sft/train.jsonl too."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` instructions that are left; null: all."""
    samples: int = bounded(ge=1)
    """Candidates an instruction (the paper: 4)."""
    temperature: float = bounded(ge=0, le=2)
    max_tokens: int = bounded(ge=1)
    weights: ScoreWeights
    judge: JudgeSettings | None
    """Grades the candidates where `weights.quality` is not 0; ${judge}: the run's judge."""
    select: Selection
    min_margin: float = bounded(ge=0)
    """Points by which the chosen must score higher; 0: by anything."""
    max_pairs: int = bounded(ge=1)
    """Most pairs an instruction."""
    held_out: float = bounded(ge=0)
    """Instructions whose pairs are measured on and never trained on: a number, or, below 1, a share
    of those that gave a pair, rounded down."""
    general: GeneralPairsSettings
