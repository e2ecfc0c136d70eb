"""Tiny random models of the families that students come from."""

from pathlib import Path
from typing import Any

import transformers
from helpers.checkpoints import packaged_tokenizer

WORDS = [
    "river",
    "sea",
    "hill",
    "rain",
    "wind",
    "light",
    "stone",
    "tree",
    "house",
    "road",
    "bird",
    "fish",
    "boat",
    "bread",
    "water",
    "fire",
    "snow",
    "night",
    "day",
    "sun",
    "moon",
    "star",
    "field",
    "door",
    "hand",
    "heart",
    "song",
    "book",
    "time",
    "world",
]
"""Each a token of SmolLM2's with the space before it."""
SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
}
WINDOW = 32
"""Tokens, of the layers that have one: far fewer than the text."""
STRETCHED: dict[str, Any] = {"rope_theta": 10_000.0, "factor": 4.0}
CONVERTED: dict[str, tuple[str, dict[str, Any]]] = {  # class of the configuration, its arguments
    "llama": ("LlamaConfig", {}),
    "llama, linear": ("LlamaConfig", {"rope_parameters": STRETCHED | {"rope_type": "linear"}}),
    "llama, as 3.1": (
        "LlamaConfig",
        {
            "rope_parameters": STRETCHED
            | {
                "rope_type": "llama3",
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "qwen3": ("Qwen3Config", {"tie_word_embeddings": True}),
    "qwen3, yarn": (
        "Qwen3Config",
        {
            "rope_parameters": STRETCHED
            | {"rope_type": "yarn", "original_max_position_embeddings": 512}
        },
    ),
    "gemma3_text": (
        "Gemma3TextConfig",
        {
            "num_hidden_layers": 6,
            "query_pre_attn_scalar": 16,
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention"] * 5 + ["full_attention"],
        },
    ),
    "olmo2": ("Olmo2Config", {}),
    "olmo3": (
        "Olmo3Config",
        {
            "sliding_window": WINDOW,
            "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
        },
    ),
    "smollm3": ("SmolLM3Config", {"no_rope_layers": [1, 1, 1, 0]}),
}


MODELS = CONVERTED | {
    "mistral, windowed": ("MistralConfig", {"sliding_window": WINDOW}),
    "phi3": ("Phi3Config", {"sliding_window": WINDOW}),
    "glm": ("GlmConfig", {}),
}


def write_model(name: str, folder: Path) -> Path:
    """Writes a random model of MODELS with SmolLM2's tokenizer."""
    model, tokenizer = _model(name)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_speaker(name: str, folder: Path) -> Path:
    """Writes a model of MODELS that says words of WORDS in a random order, and ends after about 15."""
    import torch

    model, tokenizer = _model(name, tie_word_embeddings=False)
    with torch.no_grad():
        head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
        embedding[:, 0] = 400.0  # all that is left of a state once it is normalised: 8 there, √64
        head.mul_(0.02)
        for word in WORDS:
            [token] = tokenizer.encode(f" {word}", add_special_tokens=False)
            head[token, 0] = 2.0
        head[tokenizer.eos_token_id, 0] = 2.1  # e^0.8, by 32 in all: one in 15
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _model(name: str, **more: Any) -> tuple[Any, Any]:
    import torch

    tokenizer = packaged_tokenizer()
    kind, own = MODELS[name]
    special = {f"{n}_token_id": getattr(tokenizer, f"{n}_token_id") for n in ("bos", "eos", "pad")}
    torch.manual_seed(1)
    sizes = {**SIZES, **special, **own, **more}
    config = getattr(transformers, kind)(vocab_size=len(tokenizer), **sizes)
    return transformers.AutoModelForCausalLM.from_config(config), tokenizer
