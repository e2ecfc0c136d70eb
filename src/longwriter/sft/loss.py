"""The SFT loss: the weight of every token, and what the sum over a batch is divided by.

TRL's fused LM head returns per-token log-probabilities in chunks, so full logits are never
materialised. This module sets the per-token weights and the normaliser:

    loss of an optimiser step = Σ weight · NLL over its tokens / Σ count over its packs

`weigh` returns both for a pack, as the setting `sft.loss` demands; `PackTrainer` sums the counts
over processes and accumulated batches, and divides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate.utils import is_peft_model
from torch.utils.data import DataLoader, IterableDataset
from transformers.trainer_utils import EvalLoopOutput
from trl import SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling
from trl.trainer.utils import add_fused_lm_head

from longwriter.core.errors import SettingsError
from longwriter.sft.packing import IGNORED
from longwriter.sft.settings import Averaging
from longwriter.sft.throughput import Throughput

LONGWRITER_DIVISOR = 30
"""Source: https://github.com/THUDM/LongWriter, train/main.py, at commit ca6ccd4."""


def weigh(
    labels: torch.Tensor, seq_lengths: list[int], averaging: Averaging
) -> tuple[torch.Tensor, float]:
    """Returns each token's weight in the loss, and the pack's count in the normaliser.

    With `token`, the batch's loss is the mean NLL of its targets:

        weights = targets            count = targets.sum()

    with `example`, the mean over its rows of a row's mean NLL:

        weights = targets / targets of the token's row            count = rows

    and with `longwriter`, the mean over its packs of a pack's mean NLL times its rows / 30:

        weights = targets * rows / 30 / targets.sum()             count = 1

    Args:
        labels: (tokens), IGNORED where there is no target.
        seq_lengths: tokens of each row of the pack; they sum to len(labels).

    Returns:
        Weights (tokens), 0 where there is no target, and the count. The count of a filler pack,
        which has no target, is 0.
    """
    targets = labels != IGNORED
    rows = [row.sum() for row in torch.split(targets, seq_lengths)]
    if not targets.any():
        return torch.zeros(len(labels)), 0.0
    if averaging is Averaging.token:
        return targets.float(), float(targets.sum())
    if averaging is Averaging.longwriter:
        return targets * (len(rows) / LONGWRITER_DIVISOR / targets.sum()), 1.0
    shares = [1 / number for number in rows]
    weights = targets * torch.repeat_interleave(torch.stack(shares), torch.tensor(seq_lengths))
    return weights, float(len(rows))


@dataclass
class PackCollator(DataCollatorForLanguageModeling):  # type: ignore[misc]
    """Concatenates packs into one sequence without padding.

    Returns TRL's padding-free batch: `input_ids`, `labels` and `position_ids`, each (1, tokens),
    with positions restarting at 0 in every row; `cu_seq_lens_q` and `cu_seq_lens_k`, each
    (rows + 1), the row boundaries; and in addition

        loss_weights: (1, tokens), as `weigh` returns them.
        totals: (5), as `batch_totals` returns them.
    """

    averaging: Averaging = Averaging.token
    padding_free: bool = True

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch: dict[str, Any] = super().torch_call(examples)
        weighed = [
            weigh(torch.tensor(pack["labels"]), pack["seq_lengths"], self.averaging)
            for pack in examples
        ]
        batch["loss_weights"] = torch.cat([weights for weights, _ in weighed])[None]
        batch["totals"] = batch_totals(examples, sum(count for _, count in weighed))
        return batch


@dataclass
class SequenceCollator:
    """Pads every pack to the same length, for Ulysses sequence parallelism.

    Returns `input_ids`, `labels` and `position_ids`, each (1, length). Ulysses splits them among
    the processes and accepts no tensors of another shape. The padding is a row without a target.
    """

    length: int
    filler: int

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        [pack] = examples
        missing = self.length - len(pack["input_ids"])
        lengths = pack["seq_lengths"] + [missing] * (missing > 0)
        batch = {
            "input_ids": [*pack["input_ids"], *[self.filler] * missing],
            "labels": [*pack["labels"], *[IGNORED] * missing],
            "position_ids": [place for n in lengths for place in range(n)],
        }
        found = {name: torch.tensor(values)[None] for name, values in batch.items()}
        found["labels"][found["position_ids"] == 0] = (
            IGNORED  # no row predicts the first token of the next one
        )
        return found


class SharedPacks(IterableDataset[dict[str, torch.Tensor]]):
    """This process's part of every pack of an epoch, in a form that allows a run to resume.

    DeepSpeed's loader, which splits the packs, can only count epochs from the first. This one
    starts at the epoch that training has reached, and transformers can skip packs in it.
    """

    def __init__(self, trainer: SFTTrainer, packs: Any, parts: Callable[[], Any]) -> None:
        """Wraps DeepSpeed's loader.

        Args:
            packs: accelerate's loader.
            parts: returns DeepSpeed's loader over `packs`.
        """
        self.trainer, self.packs, self.parts = trainer, packs, parts

    def __len__(self) -> int:
        return len(self.parts())

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        self.packs.set_epoch(int(self.trainer.state.epoch or 0))
        yield from self.parts()


def batch_totals(examples: list[dict[str, Any]], count: float) -> torch.Tensor:
    """Returns (5), float64: `count`, packs, tokens, targets and Σ (tokens of a row)² of a batch.

    Filler packs, which have no target, are left out.
    """
    packs = [pack for pack in examples if any(label != IGNORED for label in pack["labels"])]
    lengths = [length for pack in packs for length in pack["seq_lengths"]]
    targets = sum(label != IGNORED for pack in packs for label in pack["labels"])
    numbers = [count, len(packs), sum(lengths), targets, sum(n * n for n in lengths)]
    return torch.tensor(numbers, dtype=torch.float64)


class PackTrainer(SFTTrainer):  # type: ignore[misc]
    """Trains on `Packs.dataset`.

    Besides TRL's loss, gradient norm and learning rate, every log entry has what `Throughput`
    measures.
    """

    def __init__(
        self, *, averaging: Averaging, max_length: int, peak_tflops: float | None, **arguments: Any
    ) -> None:
        super().__init__(**arguments)
        plain = self.model.get_base_model() if is_peft_model(self.model) else self.model
        add_fused_lm_head(plain)  # TRL's trainer adds one that also computes entropy and top-1
        self.loss_is_scaled_for_ga = True  # `compute_loss` divides by the whole step's count
        config = self.accelerator.parallelism_config
        self.sharded = bool(config and config.sp_enabled)
        if self.sharded and averaging is not Averaging.token:
            raise SettingsError("sft.loss: sequence parallelism supports only sft.loss=token")
        filler = self.processing_class.pad_token_id
        if self.sharded:
            if self.args.eval_strategy != "no":
                raise SettingsError(
                    "sft.trl.eval_strategy: sequence parallelism cannot evaluate while it trains; set no"
                )
            if self.args.per_device_train_batch_size > 1:
                raise SettingsError(
                    "sft.per_device_train_batch_size: sequence parallelism processes one pack at a "
                    "time; set it to 1"
                )
            parts = config.sp_size
            self.data_collator = SequenceCollator(-(-max_length // parts) * parts, filler)
            shared = self.accelerator.deepspeed_ulysses_dl_adapter
            self.accelerator.deepspeed_ulysses_dl_adapter = lambda loader, model: DataLoader(
                SharedPacks(self, loader, partial(shared, loader, model)), batch_size=None
            )
        else:
            self.data_collator = PackCollator(filler, averaging=averaging)
        self.throughput = Throughput(plain, max_length, peak_tflops, self.args.world_size)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Returns an optimiser step's batches and its normaliser (transformers: a token count).

        The normaliser is the count summed over all packs of the step, in all processes.
        """
        batches, number = super().get_batch_samples(epoch_iterator, num_batches, device)
        if not batches:
            return batches, number
        if self.sharded:  # each process has its part of every pack
            targets = sum((batch["shift_labels"] != IGNORED).sum() for batch in batches)
            return batches, self.accelerator.reduce(targets.to(device)).item()
        totals = torch.stack([batch.pop("totals") for batch in batches]).sum(dim=0)
        count, *seen = self.accelerator.reduce(totals.to(device)).tolist()
        self.throughput.add(*seen)
        return batches, count

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """Returns this process's part of the optimiser step's loss.

        It is multiplied by the number of processes because DDP averages their gradients.
        """
        if self.sharded:
            weights = inputs["shift_labels"] != IGNORED
        else:
            weights = inputs.pop("loss_weights")[:, 1:]
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
        loss = -(outputs.log_probs * weights).sum() / num_items_in_batch
        loss = loss * self.accelerator.num_processes
        if self.aux_loss_enabled and model.training:
            # Mixture of experts: the router loss is a mean over packs, as in TRL's own loss.
            routing = self.router_aux_loss_coef * outputs.aux_loss
            loss = loss + routing / self.current_gradient_accumulation_steps
        return loss

    def evaluation_loop(
        self,
        dataloader: Any,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """Returns the loss over all packs of all processes by `averaging`; no router loss."""
        model = self.model_wrapped
        model.eval()
        total = torch.zeros(2, dtype=torch.float64, device=self.args.device)
        for batch in dataloader:
            inputs = self._prepare_inputs(batch)
            count = inputs.pop("totals")[0]
            with torch.no_grad(), self.compute_loss_context_manager():
                loss = self.compute_loss(model, inputs, num_items_in_batch=1)
            total += torch.stack([loss.double() / self.accelerator.num_processes, count])
            self.control: Any = self.callback_handler.on_prediction_step(
                self.args, self.state, self.control
            )
        loss, count = self.accelerator.reduce(total).tolist()
        metrics = {f"{metric_key_prefix}_loss": loss / count}
        return EvalLoopOutput(None, None, metrics, len(dataloader.dataset))  # type: ignore[arg-type]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(logs | self.throughput.take() if "loss" in logs else logs, start_time)
