"""Metrics in the form that MLflow accepts."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

_LONGEST = 80
"""Characters of a part of a name: MLflow takes 250 in all."""


def flatten(metrics: Mapping[str, object]) -> dict[str, float]:
    """Returns every finite number in `metrics` under a name that MLflow accepts.

    Nested keys are joined by `/`, which groups charts; a bin `[0,100)` becomes `0-100`, `[400,∞)`
    becomes `400-up`. Text, lists, booleans and null are left out.
    """
    flat: dict[str, float] = {}
    names = _valid_names(list(metrics))
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{names[key]}/{inner}": n for inner, n in flatten(value).items()}
        elif isinstance(value, bool) or not isinstance(value, int | float):
            continue
        elif math.isfinite(value):
            flat[names[key]] = float(value)
    return flat


def _valid_names(names: Sequence[str]) -> dict[str, str]:
    """Each name → a valid one that no other has. Valid names stay as they are."""
    found = {name: name for name in names if valid(name) == name}
    for name in names:
        if name not in found:
            short = valid(name)
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            found[name] = f"{short}-{mark}" if short in found.values() else short
    return found


def valid(name: str) -> str:
    """Returns `name` in the form that MLflow accepts: its characters, no step of a path that is empty or
    leads up, at most _LONGEST characters."""
    name = re.sub(r"\[(\d+),\s*∞\)", r"\1-up", name)
    name = re.sub(r"\[(\d+),\s*(\d+)[)\]]", r"\1-\2", name)
    name = re.sub(r"[^\w./ -]", "_", name)
    name = "/".join(step for step in name.split("/") if step.strip(". ")) or "_"
    return name if len(name) <= _LONGEST else name[:_LONGEST].rstrip("/. ")
