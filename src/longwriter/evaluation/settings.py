"""Settings of the benchmark, its predictions and their scores."""

from dataclasses import dataclass

from longwriter.core.settings import bounded, names_file
from longwriter.llm.settings import ServerSettings


@dataclass(kw_only=True)
class BenchSettings:
    """The benchmark, its answers and how they are scored."""

    seed: int
    """Sampling seed of the answers and of the judge."""
    path: str = names_file()
    """JSON Lines with `prompt`, `type`, `length`; relative to the checkout, or absolute."""
    sha256: str | None
    """SHA-256 that the file must have, in hex; null: not checked."""
    languages: list[str]
    """Use only prompts in these languages, `en` and `zh`; `[en]` of LongBench-Write is the paper's
    English half."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` prompts; null: all."""
    samples: int = bounded(ge=1, le=100)
    """Answers a prompt (the paper: 1)."""
    judged: int | None = bounded(ge=1)
    """How many of a model's answers the judge grades, evenly spread; null: all. S_l counts all."""
    length_bins: list[int]
    """Lower edges, in required words, of the length bins in which scores are shown."""


@dataclass(kw_only=True)
class ContaminationSettings:
    """When a prompt counts as one of a benchmark's: it is left out of SFT rows and preference pairs.

    The stage `pairs` drops instructions that overlap the SFT data by the same thresholds.
    """

    benchmarks: list[str] = names_file()  # noqa: RUF009 (it returns a field)
    """Files of benchmark prompts, relative to the checkout, or absolute. A file that is missing is not
    checked, and the data card says so."""
    max_overlap: float = bounded(gt=0, le=1)
    """Share of a benchmark prompt's 3-word sequences from which on a prompt contains it."""
    min_similarity: float = bounded(gt=0, le=1)
    """Jaccard similarity of their 3-word sequences from which on two prompts are the same."""
    min_cosine: float = bounded(gt=0, le=1)
    """Cosine of their rare words (by their inverse document frequency in the benchmark) from which on two
    prompts are the same in other words or with typos; 1: not compared."""


@dataclass(kw_only=True)
class JudgeSettings(ServerSettings):
    """The model that grades, and how it is asked."""

    prompt_path: str | None = names_file()
    """File with a prompt for the judge in place of the project's own, with `$INST$` for the request
    and `$RESPONSE$` for the text, as in the paper's judge.txt; relative to the checkout, or absolute.
    No JSON schema constrains the answer then: the file says how to answer."""
    prompt_sha256: str | None
    """SHA-256 that prompt_path must have, in hex; null: not checked."""
    repeats: int = bounded(ge=1, le=100)
    """How often each text is graded (the paper: once). More than 1 needs a temperature above 0."""
    max_unscored: float = bounded(ge=0, le=1)
    """Share of the texts to be graded that may stay without grades, including those that tell the
    judge how to grade; above it the stage fails. 1: it never fails."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that a stage's grades may cost, over all runs with the same settings; null: no limit."""


@dataclass(kw_only=True)
class PredictSettings:
    """Inputs of a prediction run by hand."""

    model: str | None = names_file()
    """Checkpoint folder or GGUF file to serve; null: models/dpo."""
    benchmark: str | None = names_file()
    """Benchmark file instead of bench.path."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the answers of a model may cost, over all runs with the same settings; null: no
    limit."""


@dataclass(kw_only=True)
class EvalSettings:
    """Inputs of an evaluation run by hand."""

    predictions: str | None = names_file()
    """Predictions to score; null: data/predictions/dpo.jsonl."""


@dataclass(kw_only=True)
class JudgeAuditSettings:
    """How the judge itself is tested."""

    predictions: str | None = names_file()
    """Texts to test it on; null: data/predictions/sft.jsonl."""
    labels: str | None = names_file()
    """People's grades, JSON Lines of `row` (line of `predictions`, counted from 1), `dimension`,
    `score`; relative to the checkout, or absolute; null: agreement with people is not measured."""
    labels_sha256: str | None
    """SHA-256 that `labels` must have, in hex; null: not checked."""
    probes: int = bounded(ge=0)
    """Texts, evenly spread, that are graded in several forms to measure the judge's biases."""
    min_probes: int = bounded(ge=1)
    """A judge can be trusted, and S_q and S̄ are shown, only where at least so many texts were graded in all
    forms, """
    max_bias: float = bounded(ge=0)
    """its biases for length, padding and position are at most so many points of S_q, """
    min_found: float = bounded(ge=0, le=1)
    """it grades at least this share of texts lower when their words are scrambled, """
    min_agreement: float = bounded(ge=-1, le=1)
    """and, where there are labels, its rank correlation with people's grades is at least this."""
