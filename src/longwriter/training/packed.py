"""TRL's SFT trainer on packs: the loss averaged as the settings say, and what a step achieves.

TRL's fused head gives the log-probability of every target in chunks, so the full logits never
exist. What is left to say is how much each target weighs.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import is_peft_model
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head, get_peak_flops

from longwriter.errors import SettingsError
from longwriter.training.packing import IGNORED
from longwriter.training.settings import Averaging
from longwriter.training.trainer import peak_memory_mb

RELEASED_DIVISOR = 30
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
    if averaging is Averaging.released:
        return targets * (len(rows) / RELEASED_DIVISOR / targets.sum()), 1.0
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
        self.speed = Speed(_plain(self.model), max_length, peak_tflops, self.args.world_size)

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


class Speed:
    """What the steps since the last log entry achieved, over all processes.

    `tokens_per_s`, `target_tokens_per_s`, `packing_efficiency` (tokens, of packs times max_length),
    `peak_memory_mb` and, where a peak is known, `mfu`: model FLOPs utilisation in percent,

        (4 · P + 2 · P_trained) · tokens + 6 · layers · heads · head_dim · Σ (tokens of a row)²
        ───────────────────────────────────────────────────────────────────────────────────────
                               seconds · processes · peak_tflops · 10¹²

    P counts the weights of matrix products, the output matrix among them and the embedding not.
    A product costs 2 FLOPs a weight forward and 2 backward for its input, and 2 for a weight that is
    trained. Causal attention costs 2 · heads · head_dim · n² a layer forward, twice that backward.
    What checkpointing computes again does not count. The peak is that of dense products in the
    device's data sheet: runtime.peak_tflops, else TRL's table for the GPU in bfloat16 (an H100 SXM:
    989), else, as on a CPU, none.

    Source: PaLM (arXiv 2204.02311), appendix B, with causal attention and LoRA.
    """

    def __init__(
        self, model: Any, max_length: int, peak_tflops: float | None, processes: int
    ) -> None:
        config = model.config.get_text_config()
        head = getattr(config, "head_dim", None) or (
            config.hidden_size // config.num_attention_heads
        )
        self.attention = 6 * config.num_hidden_layers * config.num_attention_heads * head
        embedding = model.get_input_embeddings().weight
        tied = embedding is model.get_output_embeddings().weight
        weights = [p for p in model.parameters() if tied or p is not embedding]
        trained = sum(_size(p) for p in weights if p.requires_grad)
        self.products = 4 * sum(map(_size, weights)) + 2 * trained
        if peak_tflops is None and torch.cuda.is_available():
            known = get_peak_flops(torch.cuda.get_device_name(), "bfloat16")
            peak_tflops = known and known / 1e12
        self.peak = peak_tflops and processes * peak_tflops * 1e12
        self.max_length = max_length
        self._begin()

    def _begin(self) -> None:
        self.start = time.monotonic()
        self.seen = [0.0] * 4

    def add(self, *numbers: float) -> None:
        """Adds packs, tokens, targets and Σ (tokens of a row)² of a step."""
        self.seen = [a + b for a, b in zip(self.seen, numbers, strict=True)]

    def take(self) -> dict[str, float]:
        """The numbers since it was last called; none under sequence parallelism."""
        if not any(self.seen):
            return {}
        seconds = time.monotonic() - self.start
        packs, tokens, targets, squares = self.seen
        found = {
            "tokens_per_s": tokens / seconds,
            "target_tokens_per_s": targets / seconds,
            "packing_efficiency": tokens / (packs * self.max_length),
            "peak_memory_mb": peak_memory_mb(),
        }
        if self.peak:
            flops = self.products * tokens + self.attention * squares
            found["mfu"] = 100 * flops / seconds / self.peak
        self._begin()
        return found


def _plain(model: Any) -> Any:
    """The model below a LoRA adapter."""
    return model.get_base_model() if is_peft_model(model) else model


def _size(parameter: Any) -> int:
    """Number of weights, also of one that DeepSpeed has split."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))
