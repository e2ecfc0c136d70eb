"""Settings of the benchmark, its predictions and their scores."""

from dataclasses import dataclass

from longwriter.bounds import bounded


@dataclass(kw_only=True)
class BenchSettings:
    """The benchmark and its statistics."""

    path: str
    """JSON Lines with `prompt`, `type`, `length`; relative to the checkout, or absolute."""
    sha256: str | None
    """Checksum that the file must have; null: not checked."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` prompts; null: all."""
    judged: int | None = bounded(ge=1)
    """How many of a model's answers the judge grades, evenly spread; null: all. S_l is over all."""
    length_bins: list[int]
    """Lower edges, in required words, of the length bins that scores are shown by."""
    resamples: int = bounded(ge=100)
    """Bootstrap resamples over prompts for the 95 % intervals."""


@dataclass(kw_only=True)
class PredictSettings:
    """Inputs of a prediction run by hand."""

    model: str | None
    """Checkpoint folder or GGUF file to serve; null: models/dpo."""
    benchmark: str | None
    """Benchmark file instead of bench.path."""


@dataclass(kw_only=True)
class EvalSettings:
    """Inputs of an evaluation run by hand."""

    predictions: str | None
    """Predictions to score; null: data/predictions/dpo.jsonl."""
