"""The README.md that goes with an aligned model."""

from pathlib import Path
from typing import Any

from longwriter.settings import Settings
from longwriter.training.digest import checkpoint_digest


def card(settings: Settings, start: Path, metrics: dict[str, Any]) -> str:
    """A model card: what was trained, on what, how, and what it did to held-out pairs.

    Args:
        start: the checkpoint that was aligned.
        metrics: as in metrics/dpo.json.
    """
    dpo = settings.dpo
    losses = " + ".join(
        f"{weight:g} · {loss.value}"
        for loss, weight in zip(dpo.loss_type, dpo.loss_weights, strict=True)
    )
    adapter = dpo.lora is not None and not dpo.merge
    method = "all weights" if dpo.lora is None else f"LoRA of rank {dpo.lora.r}"
    kind = "the adapter alone" if adapter else "whole weights"
    loader = "AutoPeftModelForCausalLM" if adapter else "AutoModelForCausalLM"
    return f"""\
---
library_name: {"peft" if adapter else "transformers"}
base_model: {settings.student.checkpoint}
tags: [dpo, longwriter]
---

# {start.parent.name}/{start.name}, aligned by DPO

The supervised model (`{settings.student.checkpoint}`, tuned by longwriter; SHA-256 of its weights
`{checkpoint_digest(start)}`) after direct preference optimisation on {metrics["pairs"]} pairs of
its own samples, {metrics["tokens"]:,} tokens. Trained: {method}; saved: {kind}.

| setting | value |
|---|---|
| loss | {losses} |
| beta | {dpo.beta:g} |
| ld_alpha | {"none" if dpo.ld_alpha is None else f"{dpo.ld_alpha:g}"} |
| learning rate, schedule | {dpo.learning_rate:g}, {dpo.lr_scheduler_type} |
| epochs, optimiser steps | {dpo.num_train_epochs:g}, {metrics["steps"]} |
| longest sequence | {dpo.max_length:,} tokens, nothing cut |

{_held_out(metrics)}

Load it with `{loader}.from_pretrained` and the tokenizer beside it. The licence is that of
`{settings.student.checkpoint}`.
"""


def _held_out(metrics: dict[str, Any]) -> str:
    found = metrics.get("held_out")
    if not found:
        return "No pairs were held out, so what it learned was not measured on others."
    return (
        f"On {found['pairs']} held-out pairs of {found['instructions']} instructions the mean reward "
        f"margin went from 0 to {found['margin']:.3f} (95 % interval {found['low']:.3f} to "
        f"{found['high']:.3f}); the chosen answer has the higher reward in {found['accuracy']:.0%} "
        "of them."
    )
