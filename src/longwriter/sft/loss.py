"""TRL's SFT trainer on packs: the loss averaged as the settings say, and what a step achieves.

TRL's fused head gives the log-probability of every target in chunks, so the full logits never
exist. What is left to say is how much each target weighs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import is_peft_model
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from longwriter.core.errors import SettingsError
from longwriter.sft.packing import IGNORED
from longwriter.sft.settings import Averaging
from longwriter.sft.throughput import Throughput

LONGWRITER_DIVISOR = 30
"""Source: https://github.com/THUDM/LongWriter, train/main.py, at commit ca6ccd4."""


def weigh(
    labels: torch.Tensor, seq_lengths: list[int], averaging: Averaging
) -> tuple[torch.Tensor, float]:
    """How much each token of a pack weighs in the loss, and for how much the pack counts.

    The loss of a batch is Σ weight · NLL over its tokens / Σ count over its packs.

    Args:
        labels: (tokens), IGNORED where there is no target.
        seq_lengths: tokens of each row.

    Returns:
        Weights (tokens), 0 where there is no target; and the pack's count: its targets, its rows or
        1. A pack without a target, which only fills up a batch, counts for 0.
    """
    targets = labels != IGNORED
    rows = [row.sum() for row in torch.split(targets, seq_lengths)]
    if not targets.any():
        return torch.zeros(len(labels)), 0.0
    if averaging is Averaging.token:
        return targets.float(), float(targets.sum())
    if averaging is Averaging.longwriter:
        return targets * (len(rows) / LONGWRITER_DIVISOR / targets.sum()), 1.0
    shares = [1 / number for number in rows]
    weights = targets * torch.repeat_interleave(torch.stack(shares), torch.tensor(seq_lengths))
    return weights, float(len(rows))


@dataclass
class PackCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """TRL's padding-free batch, with `loss_weights` (1, tokens) and `totals`, as `total` has them."""

    averaging: Averaging = Averaging.token
    padding_free: bool = True

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        weighed = [
            weigh(torch.tensor(pack["labels"]), pack["seq_lengths"], self.averaging)
            for pack in examples
        ]
        batch["loss_weights"] = torch.cat([weights for weights, _ in weighed])[None]
        batch["totals"] = total(examples, sum(count for _, count in weighed))
        return batch


def total(examples: list[dict[str, Any]], count: float) -> torch.Tensor:
    """Loss count, packs, tokens, targets and Σ (tokens of a row)² of a batch, as float64. Packs
    without a target, which only fill up the batch, are not in it."""
    packs = [pack for pack in examples if any(label != IGNORED for label in pack["labels"])]
    lengths = [length for pack in packs for length in pack["seq_lengths"]]
    targets = sum(label != IGNORED for pack in packs for label in pack["labels"])
    numbers = [count, len(packs), sum(lengths), targets, sum(n * n for n in lengths)]
    return torch.tensor(numbers, dtype=torch.float64)


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains on `Packs.dataset`.

    Every log entry holds, besides TRL's loss, gradient norm and learning rate, what `Speed` measures.
    """

    def __init__(
        self, *, averaging: Averaging, max_length: int, peak_tflops: float | None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        add_fused_lm_head(_plain(self.model))  # TRL's own also computes entropies and hits
        self.loss_is_scaled_for_ga = True
        config = self.accelerator.parallelism_config
        self.sharded = bool(config and config.sp_enabled)
        if self.sharded and averaging is not Averaging.token:
            raise SettingsError("sft.loss: sequence parallelism knows the mean over tokens only")
        if not self.sharded:
            tokenizer = self.processing_class
            self.data_collator = PackCollator(tokenizer.pad_token_id, averaging=averaging)
        self.speed = Throughput(_plain(self.model), max_length, peak_tflops, self.args.world_size)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """As transformers'; what the loss is divided by is the count of the packs of all processes."""
        batches, number = super().get_batch_samples(epoch_iterator, num_batches, device)
        if self.sharded or not batches:
            return batches, number
        totals = torch.stack([batch.pop("totals") for batch in batches]).sum(dim=0)
        count, *seen = self.accelerator.reduce(totals.to(device)).tolist()
        self.speed.add(*seen)
        return batches, count

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """This process's part of the batch's loss, times the processes: DDP takes their mean."""
        if self.sharded:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        weights = inputs.pop("loss_weights")
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        loss = -(outputs.log_probs * weights[:, 1:]).sum() / num_items_in_batch
        return loss * self.accelerator.num_processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs | self.speed.take() if "loss" in logs else logs, start_time)


def _plain(model: Any) -> Any:
    """The model below a LoRA adapter."""
    return model.get_base_model() if is_peft_model(model) else model
