"""Training throughput: tokens per second, memory and utilisation."""

import time
from typing import Any

import torch
from trl.trainer.utils import get_peak_flops

from longwriter.models.training_run import peak_memory_mb


class Throughput:
    """Measures the steps since the last log entry, over all processes.

    `take` returns `tokens_per_s`, `target_tokens_per_s`, `packing_efficiency` (tokens / (packs ·
    max_length)), `peak_memory_mb` and, where the device's peak is known, `mfu`, the model FLOPs
    utilisation in percent:

        (4 · P + 2 · P_trained) · tokens + 6 · layers · heads · head_dim · Σ (tokens of a row)²
        ───────────────────────────────────────────────────────────────────────────────────────
                               seconds · processes · peak_tflops · 10¹²

    P counts the weights used in matrix products, which include the output matrix but not the
    embedding. Per weight and token, a product costs 2 FLOPs in the forward pass, 2 in the backward
    pass for its input, and 2 more if the weight is trained. Per layer, causal attention costs
    2 · heads · head_dim · n² forward and twice that backward. Recomputation by activation
    checkpointing is not counted. The peak is the data sheet's for dense products:
    runtime.peak_tflops, else TRL's table for the GPU in bfloat16 (an H100 SXM: 989). There is no
    default for a CPU.

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
        """Adds a step's numbers of packs, tokens and targets, and its Σ (tokens of a row)²."""
        self.seen = [a + b for a, b in zip(self.seen, numbers, strict=True)]

    def take(self) -> dict[str, float]:
        """Returns the measurements since the last call; empty under sequence parallelism."""
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


def _size(parameter: Any) -> int:
    """Returns the number of weights of a parameter, even if DeepSpeed has partitioned it."""
    return int(getattr(parameter, "ds_numel", parameter.numel()))
