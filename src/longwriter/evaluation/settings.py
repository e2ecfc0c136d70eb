"""Settings of the benchmark, its predictions and their scores."""

from dataclasses import dataclass

from longwriter.core.settings import bounded, names_file
from longwriter.llm.settings import ServerSettings


@dataclass(kw_only=True)
class BenchSettings:
    """The benchmark, the answers to it and how they are scored."""

    seed: int
    """Sampling seed for the answers and for the judge."""
    path: str = names_file()
    """JSON Lines with `prompt`, `type`, `length`; absolute, or relative to the checkout."""
    sha256: str | None
    """SHA-256 that the file must have, in hex; null: not checked."""
    languages: list[str]
    """Languages of the prompts to use, `en` and `zh`; `[en]` of LongBench-Write is the paper's
    English half."""
    limit: int | None = bounded(ge=1)
    """Number of prompts to use, from the first on; null: all."""
    samples: int = bounded(ge=1, le=100)
    """Answers per prompt (the paper: 1)."""
    judged: int | None = bounded(ge=1)
    """How many of a model's answers the judge grades, evenly spread; null: all. S_l covers all."""
    length_bins: list[int]
    """Lower edges, in required words, of the length bins in which scores are shown."""


@dataclass(kw_only=True)
class ContaminationSettings:
    """When a prompt counts as a benchmark prompt, to be left out of SFT rows and preference pairs.

    The stage `pairs` uses the same thresholds to drop instructions that overlap the SFT data.
    """

    benchmarks: list[str] = names_file()  # noqa: RUF009 (it returns a field)
    """Files of benchmark prompts, absolute or relative to the checkout. A missing file is skipped,
    and the data card says so."""
    max_overlap: float = bounded(gt=0, le=1)
    """Share of a benchmark prompt's 3-word sequences at which a prompt counts as containing it."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of 3-word sequences at which two prompts count as the same."""
    min_cosine: float = bounded(gt=0, le=1)
    """Cosine of content words, weighted by inverse document frequency in the benchmark, at which
    two prompts count as the same despite other wording or typos; 1: not compared."""


@dataclass(kw_only=True)
class JudgeSettings(ServerSettings):
    """The judge model and how it is prompted."""

    prompt_path: str | None = names_file()
    """File with a prompt to use instead of the project's own, with `$INST$` for the request and
    `$RESPONSE$` for the text, as in the paper's judge.txt; absolute, or relative to the checkout.
    The answer is then not constrained by a JSON schema: the file must say how to answer."""
    prompt_sha256: str | None
    """SHA-256 that prompt_path must have, in hex; null: not checked."""
    repeats: int = bounded(ge=1, le=100)
    """How often each text is graded (the paper: once). More than 1 needs a temperature above 0."""
    max_unscored: float = bounded(ge=0, le=1)
    """Maximum share of the texts to grade that may end up without grades, including those that tell
    the judge how to grade; above it the stage fails. 1: it never fails."""
    max_cost: float | None = bounded(gt=0)
    """Maximum US dollars for a stage's grades, over all runs with the same settings; null: no
    limit."""


@dataclass(kw_only=True)
class PredictSettings:
    """Inputs of a manual prediction run."""

    model: str | None = names_file()
    """Checkpoint folder or GGUF file to serve; null: models/dpo."""
    benchmark: str | None = names_file()
    """Benchmark file to use instead of bench.path."""
    max_cost: float | None = bounded(gt=0)
    """Maximum US dollars for a model's answers, over all runs with the same settings; null: no
    limit."""


@dataclass(kw_only=True)
class EvalSettings:
    """Inputs of a manual evaluation run."""

    predictions: str | None = names_file()
    """Predictions to score; null: data/predictions/dpo.jsonl."""


@dataclass(kw_only=True)
class JudgeAuditSettings:
    """How the judge itself is tested, and what it takes to be trusted."""

    predictions: str | None = names_file()
    """Texts to test it on; null: data/predictions/sft.jsonl."""
    labels: str | None = names_file()
    """People's grades: JSON Lines of `row` (line of `predictions`, counted from 1), `dimension`,
    `score`; absolute, or relative to the checkout; null: agreement with people is not measured."""
    labels_sha256: str | None
    """SHA-256 that `labels` must have, in hex; null: not checked."""
    probes: int = bounded(ge=0)
    """Number of texts, evenly spread, graded in several forms to measure the judge's biases."""
    min_probes: int = bounded(ge=1)
    """Minimum number of texts on which the biases for length and padding, and the reaction to
    scrambled words, were measured. The judge is trusted, and S_q and S̄ are shown, only if this and
    the next three limits are met."""
    max_bias: float = bounded(ge=0)
    """Maximum bias for length, padding and position, in points of S_q, in either direction."""
    min_found: float = bounded(ge=0, le=1)
    """Minimum share of texts that the judge grades lower when their words are scrambled."""
    min_agreement: float = bounded(ge=-1, le=1)
    """Minimum rank correlation of the judge's grades with people's, if there are labels."""
