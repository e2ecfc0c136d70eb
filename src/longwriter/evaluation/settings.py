"""Settings of the benchmark, its predictions and their scores."""

from dataclasses import dataclass

from longwriter.core.settings import bounded, names_file
from longwriter.llm.settings import ServerSettings


@dataclass(kw_only=True)
class BenchSettings:
    """The benchmark, its answers and how they are scored."""

    seed: int
    """Seed of the answers and of the judge."""
    path: str = names_file()
    """JSON Lines with `prompt`, `type`, `length`; relative to the checkout, or absolute."""
    sha256: str | None
    """Checksum that the file must have; null: not checked."""
    languages: list[str]
    """Use the prompts of these languages only, `en` and `zh`; of LongBench-Write `[en]` is the
    paper's English half."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` prompts; null: all."""
    samples: int = bounded(ge=1, le=100)
    """Answers a prompt; the paper takes 1."""
    judged: int | None = bounded(ge=1)
    """How many of a model's answers the judge grades, evenly spread; null: all. S_l is over all."""
    length_bins: list[int]
    """Lower edges, in required words, of the length bins that scores are shown by."""


@dataclass(kw_only=True)
class ContaminationSettings:
    """Which prompts of benchmarks neither training rows nor preference pairs may ask for."""

    benchmarks: list[str] = names_file()
    """Files of benchmark prompts, relative to the checkout, or absolute. What is not there is not
    checked, and the data card says so."""
    max_overlap: float = bounded(gt=0, le=1)
    """Share of a benchmark prompt's 3-word sequences in an instruction from which on it is the
    benchmark's."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of their 3-word sequences from which on two prompts are the same."""


@dataclass(kw_only=True)
class JudgeSettings(ServerSettings):
    """The model that grades, and how it is asked."""

    prompt_path: str | None = names_file()
    """A file with what the judge is asked instead of the project's own prompt, `$INST$` and
    `$RESPONSE$` in the places of request and text, as in the paper's judge.txt; relative to the
    checkout, or absolute. Such a judge is held to no JSON schema: the file says how to answer."""
    prompt_sha256: str | None
    """Checksum that prompt_path must have; null: not checked."""
    repeats: int = bounded(ge=1, le=100)
    """Times that each text is graded; the paper's is 1. More need a temperature above 0."""
    max_unscored: float = bounded(ge=0, le=1)
    """Share of the texts to be graded that may be left without grades, those that tell the judge how
    to grade included; above it the stage fails. 1: never."""


@dataclass(kw_only=True)
class PredictSettings:
    """Inputs of a prediction run by hand."""

    model: str | None = names_file()
    """Checkpoint folder or GGUF file to serve; null: models/dpo."""
    benchmark: str | None = names_file()
    """Benchmark file instead of bench.path."""


@dataclass(kw_only=True)
class EvalSettings:
    """Inputs of an evaluation run by hand."""

    predictions: str | None = names_file()
    """Predictions to score; null: data/predictions/dpo.jsonl."""


@dataclass(kw_only=True)
class JudgeAuditSettings:
    """How the judge itself is tried."""

    predictions: str | None = names_file()
    """Texts to try it on; null: data/predictions/sft.jsonl."""
    labels: str | None = names_file()
    """People's grades, JSON Lines of `row` (line of `predictions`, counted from 1), `dimension`,
    `score`; relative to the checkout, or absolute; null: agreement with people is not measured."""
    labels_sha256: str | None
    """Checksum that `labels` must have; null: not checked."""
    probes: int = bounded(ge=0)
    """Texts, evenly spread, that are graded again in other forms to find the judge's biases."""
