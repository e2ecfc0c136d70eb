"""Settings of preference pairs and of DPO."""

from dataclasses import dataclass
from enum import Enum

from longwriter.core.settings import bounded, names_file
from longwriter.evaluation.settings import JudgeSettings
from longwriter.models.settings import LoraSettings, TrainerSettings


class Loss(Enum):
    """The supported ones of TRL's DPO losses.

    Source: `sigmoid` arXiv 2305.18290, `ipo` arXiv 2310.12036 (mean over tokens), `sigmoid_norm`
    the sigmoid loss of log-ratios divided by their lengths (arXiv 2411.15124), `sft` the mean NLL
    per token of the chosen answers.
    """

    sigmoid = "sigmoid"
    sigmoid_norm = "sigmoid_norm"
    ipo = "ipo"
    sft = "sft"

    def __repr__(self) -> str:  # how MLflow shows it in a list
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
    """One weight for each loss in `loss_type`."""
    ld_alpha: float | None = bounded(ge=0, le=1)
    """Weight of the tokens beyond the length of the shorter answer, to counter length bias
    (arXiv 2409.06411); 1 or null: all tokens weigh the same."""
    lora: LoraSettings | None
    """Train a LoRA adapter; null: train all weights."""
    merge: bool
    """Save full weights, which llama.cpp and vLLM serve directly; false: only the adapter."""


class Selection(Enum):
    """Which candidates of an instruction become a pair."""

    best_against_random = "best_against_random"
    """The best is chosen, one of the others is rejected at random (the paper)."""
    best_against_worst = "best_against_worst"
    above_margin = "above_margin"
    """All pairs whose scores differ by min_margin or more, widest margins first."""


@dataclass(kw_only=True)
class ScoreWeights:
    """Weights of the parts of a candidate's score. A part with weight 0 is not computed."""

    length: float = bounded(ge=0)
    """Weight of S_l, if the instruction asks for a length."""
    quality: float = bounded(ge=0)
    """Weight of S_q, graded by `judge`."""
    repetition: float = bounded(ge=0)
    """Points subtracted for each percent of repeated 8-grams."""


@dataclass(kw_only=True)
class ChatMixPairsSettings:
    """Preference pairs of general chat to mix in."""

    path: str | None = names_file()
    """JSON Lines file in TRL's preference format, or the hub id of a data set; null: none."""
    revision: str | None
    """Commit or tag of the hub's data set."""
    split: str
    """Split of the hub's data set."""
    limit: int | None = bounded(ge=1)
    """Number of pairs to take, at random; null: all."""


@dataclass(kw_only=True)
class PairsSettings:
    """Sampling the SFT model's candidates and making preference pairs from them."""

    seed: int
    """Sampling seed; it also chooses rejected answers and validation instructions."""
    instructions: str = names_file()
    """Instructions to sample answers for, JSON Lines; relative to the checkout, or absolute. Those
    that overlap a benchmark prompt (`contamination`) are dropped."""
    exclude_sft: bool
    """Also drop instructions that overlap a prompt in data/sft/train.jsonl."""
    limit: int | None = bounded(ge=1)
    """Use the first `limit` of the remaining instructions; null: all."""
    samples: int = bounded(ge=1)
    """Candidates per instruction (the paper: 4)."""
    temperature: float = bounded(ge=0, le=2)
    """Sampling temperature."""
    max_tokens: int = bounded(ge=1)
    """Maximum tokens per sample."""
    weights: ScoreWeights
    judge: JudgeSettings | None
    """Grades the candidates if `weights.quality` is not 0; ${judge}: the run's judge."""
    max_cost: float | None = bounded(gt=0)
    """Maximum US dollars for the samples, over all runs with the same settings; null: no limit."""
    select: Selection
    min_margin: float = bounded(ge=0)
    """Minimum score difference of a pair, in points; 0: any difference above 0."""
    max_pairs: int = bounded(ge=1)
    """Maximum pairs per instruction."""
    validation_fraction: float = bounded(ge=0, lt=1)
    """Share of instructions with pairs, rounded down, whose pairs are held out to measure DPO."""
    chat_mix: ChatMixPairsSettings
