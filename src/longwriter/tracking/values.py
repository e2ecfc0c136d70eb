"""Metrics in the form that MLflow accepts."""

import math
import re
from collections.abc import Mapping


def flatten(metrics: Mapping[str, object]) -> dict[str, float]:
    """Returns every finite number in `metrics` under a name that MLflow accepts.

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
    """Returns `name` with the characters that MLflow refuses replaced."""
    name = re.sub(r"\[(\d+),\s*∞\)", r"\1-up", name)
    name = re.sub(r"\[(\d+),\s*(\d+)[)\]]", r"\1-\2", name)
    return re.sub(r"[^\w./ -]", "_", name) or "_"
