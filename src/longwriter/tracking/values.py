"""Converts metrics to the form that MLflow accepts."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

_LONGEST = 80
"""Maximum characters of a part of a name; MLflow allows 250 in all."""


def flatten(metrics: Mapping[str, object]) -> dict[str, float]:
    """Returns every finite number in `metrics` under a name that MLflow accepts.

    Nested keys are joined by `/`, by which MLflow groups charts; a bin `[0,100)` becomes `0-100`,
    `[400,∞)` becomes `400-up`. Text, lists, booleans and null are left out.
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
    """Returns name → a unique valid name; valid names are kept as they are."""
    found = {name: name for name in names if valid(name) == name}
    for name in names:
        if name not in found:
            short = valid(name)
            mark = hashlib.sha256(name.encode()).hexdigest()[:8]
            found[name] = f"{short}-{mark}" if short in found.values() else short
    return found


def valid(name: str) -> str:
    """Returns `name` as a name that MLflow accepts.

    Bins are written as `0-100` or `400-up`, other invalid characters become `_`, path segments of
    only dots or spaces are dropped, and the result is truncated to _LONGEST characters.
    """
    name = re.sub(r"\[(\d+),\s*∞\)", r"\1-up", name)
    name = re.sub(r"\[(\d+),\s*(\d+)[)\]]", r"\1-\2", name)
    name = re.sub(r"[^\w./ -]", "_", name)
    name = "/".join(step for step in name.split("/") if step.strip(". ")) or "_"
    return name if len(name) <= _LONGEST else name[:_LONGEST].rstrip("/. ")
