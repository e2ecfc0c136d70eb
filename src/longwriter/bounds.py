"""Ranges of settings, stated where the setting is declared and checked when it is loaded."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

_CHECKS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("above", lambda value, bound: value > bound),
    "ge": ("at least", lambda value, bound: value >= bound),
    "lt": ("below", lambda value, bound: value < bound),
    "le": ("at most", lambda value, bound: value <= bound),
}


def bounded(
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> Any:
    """A dataclass field whose number must be above, at least, below or at most the given bound."""
    bounds = {"gt": gt, "ge": ge, "lt": lt, "le": le}
    return dataclasses.field(metadata={k: v for k, v in bounds.items() if v is not None})


def violations(settings: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yields (full key, what is wrong) for every field of a dataclass that leaves its range."""
    for field in dataclasses.fields(settings):
        value, key = getattr(settings, field.name), f"{prefix}{field.name}"
        if dataclasses.is_dataclass(value):
            yield from violations(value, f"{key}.")
        for name, bound in field.metadata.items():
            words, holds = _CHECKS[name]
            if value is not None and not holds(value, bound):
                yield key, f"is {value} and must be {words} {bound}"
