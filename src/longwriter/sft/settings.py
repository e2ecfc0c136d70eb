"""Settings of supervised fine-tuning."""

from dataclasses import dataclass
from enum import Enum

from longwriter.core.settings import names_file
from longwriter.models.settings import LoraSettings, TrainerSettings


class Method(Enum):
    """Which weights are trained."""

    full = "full"
    lora = "lora"
    qlora = "qlora"
    """LoRA on a base quantised to 4 bits (NF4, needs bitsandbytes)."""


class Averaging(Enum):
    """What the SFT loss of an optimiser step is averaged over (`sft.loss.weigh`)."""

    token = "token"  # noqa: S105
    """Over target tokens, as the paper describes."""
    example = "example"
    """Over rows, the loss of a row being the mean over its targets: LongAlign's weighting."""
    longwriter = "longwriter"
    """Over packs, the loss of a pack being the mean over its targets times its number of rows / 30,
    as in LongWriter's released code."""


class Targets(Enum):
    """Which of a conversation's answers are trained on, each including its end-of-turn."""

    all = "all"
    """All of them, as the paper's code does."""
    last = "last"


class TooLong(Enum):
    """What happens to a row of more than max_length tokens. It is never truncated."""

    error = "error"
    skip = "skip"
    """The row is left out, and listed in data/sft/packs.jsonl with 0 epochs."""


@dataclass(kw_only=True)
class SftSettings(TrainerSettings):
    """Supervised fine-tuning."""

    data: str | None = names_file()
    """Training rows; null: data/sft/train.jsonl."""
    validation: str | None = names_file()
    """Rows to evaluate on; null: data/sft/validation.jsonl."""
    method: Method
    lora: LoraSettings
    """Used if `method` is lora or qlora."""
    targets: Targets
    loss: Averaging
    packing: bool
    """Pack rows into sequences of at most max_length tokens; attention stays within each row."""
    too_long: TooLong
    attn_implementation: str | None
    """Attention kernel that separates rows by `cu_seq_lens`, by its name in transformers, such as
    flash_attention_2 or kernels-community/flash-attn3; null: PyTorch's own kernels, row by row."""
    activation_offloading: bool
    """Move activations to the host until the backward pass needs them (GPU)."""
    torch_compile: bool
    use_kernels: bool
    """Replace layers with kernels from the hub, including Liger's (needs `kernels` and a GPU)."""
