"""Settings of preference pairs and of DPO."""

from dataclasses import dataclass
from enum import Enum

from longwriter.core.settings import bounded, names_file
from longwriter.evaluation.settings import JudgeSettings
from longwriter.models.settings import LoraSettings, TrainerSettings


class Loss(Enum):
    """TRL's DPO losses that are supported.

    Source: `sigmoid` arXiv 2305.18290, `ipo` arXiv 2310.12036 (mean over tokens), `sigmoid_norm` the
    sigmoid loss of log-ratios divided by their lengths (arXiv 2411.15124), `sft` the mean NLL a token
    of the chosen answers.
    """

    sigmoid = "sigmoid"
    sigmoid_norm = "sigmoid_norm"
    ipo = "ipo"
    sft = "sft"

    def __repr__(self) -> str:  # in a list, as MLflow shows it
        return self.value


@dataclass(kw_only=True)
class DpoSettings(TrainerSettings):
    """Direct preference optimisation of the SFT model."""

    pairs: str | None = names_file()
    """Preference pairs; null: data/dpo/pairs.jsonl."""
    validation: str | None = names_file()
    """Pairs to measure on; null: data/dpo/validation.jsonl, or none where `pairs` is given."""
    beta: float = bounded(gt=0)
    loss_type: list[Loss]
    """Losses whose weighted sum is minimised."""
    loss_weights: list[float]
    """A weight for each of `loss_type`."""
    ld_alpha: float | None = bounded(ge=0, le=1)
    """Weight of the tokens beyond the length that chosen and rejected share, against length bias
    (arXiv 2409.06411); 1 and null: all tokens weigh the same."""
    lora: LoraSettings | None
    """null: all weights are trained."""
    merge: bool
    """Save whole weights, which llama.cpp and vLLM serve as they are; false: the adapter alone."""


class Selection(Enum):
    """Which candidates of an instruction become a pair."""

    best_against_random = "best_against_random"
    """The best is chosen, one of the others is rejected at random (the paper)."""
    best_against_worst = "best_against_worst"
    above_margin = "above_margin"
    """All two whose scores differ by min_margin or more, the widest margins first."""


@dataclass(kw_only=True)
class ScoreWeights:
    """Weights in a candidate's score. What weighs 0 is not computed."""

    length: float = bounded(ge=0)
    """Of S_l, where the instruction asks for a length."""
    quality: float = bounded(ge=0)
    """Of S_q, by `judge`."""
    repetition: float = bounded(ge=0)
    """Points subtracted for each percent of repeated 8-grams."""


@dataclass(kw_only=True)
class ChatMixPairsSettings:
    """Preference pairs of general chat that are mixed in."""

    path: str | None = names_file()
    """JSON Lines in TRL's preference format, or the id of a data set on the hub; null: none."""
    revision: str | None
    """Commit or tag of the hub's data set."""
    split: str
    """Of the hub's data set."""
    limit: int | None = bounded(ge=1)
    """Number of pairs to take, at random; null: all."""


@dataclass(kw_only=True)
class PairsSettings:
    """Candidates of the SFT model and the pairs made of them."""

    seed: int
    """Sampling seed; it also chooses rejected answers and validation instructions."""
    instructions: str = names_file()
    """Instructions to sample answers for, JSON Lines; relative to the checkout, or absolute. Those
    that overlap a benchmark prompt (`contamination`) are dropped."""
    exclude_sft: bool
    """Also drop those that overlap a prompt in data/sft/train.jsonl."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` instructions that are left; null: all."""
    samples: int = bounded(ge=1)
    """Candidates an instruction (the paper: 4)."""
    temperature: float = bounded(ge=0, le=2)
    """Of the samples."""
    max_tokens: int = bounded(ge=1)
    """Most tokens of a sample."""
    weights: ScoreWeights
    judge: JudgeSettings | None
    """Grades the candidates where `weights.quality` is not 0; ${judge}: the run's judge."""
    max_cost: float | None = bounded(gt=0)
    """US dollars that the samples may cost, over all runs with the same settings; null: no limit."""
    select: Selection
    min_margin: float = bounded(ge=0)
    """Least difference of the scores, in points; 0: any above 0."""
    max_pairs: int = bounded(ge=1)
    """Most pairs an instruction."""
    validation_fraction: float = bounded(ge=0, lt=1)
    """Share of the instructions with pairs, rounded down, whose pairs are measured and never trained
    on."""
    chat_mix: ChatMixPairsSettings
