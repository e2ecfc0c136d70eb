"""The models of the pipeline: the one place, besides the matrix in dvc.yaml, that lists them."""

from typing import NamedTuple


class Model(NamedTuple):
    """A checkpoint that the pipeline trains or starts from, and how reports show it."""

    name: str
    """As in models/NAME, metrics/eval/NAME.json and dvc.yaml's matrix."""
    title: str
    """What made it, as the subject of a sentence."""
    before: str | None
    """The model that it is compared with: the one that it was trained from."""
    colour: str
    """Okabe and Ito's colours, which people with any kind of colour vision can tell apart."""
    marker: str
    """matplotlib's."""


MODELS = (
    Model("base", "The starting checkpoint", None, "#000000", "o"),
    Model("sft", "Supervised fine-tuning", "base", "#0072B2", "s"),
    Model("dpo", "DPO", "sft", "#D55E00", "D"),
)
"""In the order of training, which is the order of every table and figure."""

BY_NAME = {model.name: model for model in MODELS}

STEPS = {f"{model.name}-{model.before}": model for model in MODELS if model.before}
"""Paired comparison, such as `sft-base` → the model that it is about."""
