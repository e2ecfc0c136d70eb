"""Settings and metrics in the form that MLflow takes."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import Enum

from longwriter.settings import Settings

LONGEST_PARAMETER = 250
"""Characters of a parameter's value that are kept."""


def parameters(settings: Settings, groups: Sequence[str]) -> dict[str, str]:
    """Returns the settings of `groups` as full key → short text, those that are null left out."""
    flat: dict[str, str] = {}

    def add(prefix: str, value: object) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                add(f"{prefix}.{key}", inner)
        elif value is not None:
            items = value if isinstance(value, list) else [value]
            texts = [str(item.value if isinstance(item, Enum) else item) for item in items]
            flat[prefix] = ", ".join(texts)[:LONGEST_PARAMETER]

    for group in groups:
        add(group, asdict(getattr(settings, group)))
    return flat


def flatten(metrics: Mapping[str, object]) -> dict[str, float]:
    """Returns every finite number in `metrics` under a name that MLflow takes.

    Nested keys are joined by `/`, which groups charts; a bin `[0,100)` becomes `0-100`, `[400,∞)`
    becomes `400-up`. Text, lists, booleans and null are left out.
    """
    flat: dict[str, float] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{valid(key)}/{inner}": n for inner, n in flatten(value).items()}
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        elif math.isfinite(value):
            flat[valid(key)] = float(value)
    return flat


def valid(name: str) -> str:
    """Returns `name` with what MLflow refuses in names replaced."""
    name = re.sub(r"\[(\d+),\s*∞\)", r"\1-up", name)
    name = re.sub(r"\[(\d+),\s*(\d+)[)\]]", r"\1-\2", name)
    return re.sub(r"[^\w./ -]", "_", name) or "_"
