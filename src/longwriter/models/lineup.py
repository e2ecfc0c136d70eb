"""The pipeline's models, listed only here and in the matrix of dvc.yaml."""

from typing import NamedTuple


class Model(NamedTuple):
    """A checkpoint that the pipeline trains or starts from, and how reports show it."""

    name: str
    """Name in models/NAME, metrics/eval/NAME.json and dvc.yaml's matrix."""
    title: str
    """How it was made, worded as the subject of a sentence."""
    before: str | None
    """The model it was trained from and is compared with; None: it is the first."""
    colour: str
    """Hex colour of the Okabe-Ito palette, which is safe for colour-blind readers."""
    marker: str
    """matplotlib marker."""


MODELS = (
    Model("base", "The starting checkpoint", None, "#000000", "o"),
    Model("sft", "Supervised fine-tuning", "base", "#0072B2", "s"),
    Model("dpo", "DPO", "sft", "#D55E00", "D"),
)
"""In training order, which is also the order of every table and figure."""

BY_NAME = {model.name: model for model in MODELS}

STEPS = {f"{model.name}-{model.before}": model for model in MODELS if model.before}
"""Paired comparison, such as `sft-base` → the model that is compared with its predecessor."""
