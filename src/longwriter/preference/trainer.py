"""TRL's DPOTrainer, without padding and with reference log-probabilities cached on disk.

It imports torch and TRL, so import it only where training begins.

`PreferenceTrainer` uses four private names of TRL 1.16, each in one place, because TRL offers no
public hook: `_prepare_dataset` (tokenises pairs), `_precompute_ref_logps` (computes the reference),
`_compute_loss` (calls the model on a padded batch) and `_metrics` (what the loss collects for the
log).
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import transformers
import trl
from torch.nn.functional import pad
from torch.utils.data import DataLoader
from trl import DPOTrainer
from trl.trainer.utils import FusedCausalLMOutput

from longwriter.core.files import write_json

REFERENCE = ("ref_chosen_logps", "ref_rejected_logps")


def _is_real(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Returns (pairs): whether a padded batch's pair is real; the answers of a filler are equal."""
    sides = [batch[name].chunk(2) for name in ("input_ids", "attention_mask")]
    return torch.cat([chosen != rejected for chosen, rejected in sides], dim=1).any(dim=1)


class RowByRow:
    """Calls a model on each row of a right-padded batch separately, without the padding.

    TRL pads the two answers of a pair to the longer one. Row by row, the cost is the sum of their
    tokens instead of twice the larger number, and attention needs no mask of tokens² entries (a GiB
    at 32,768 tokens).
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self.log_probs: torch.Tensor
        """Log-probabilities of the last call, (rows, tokens - 1); 0 outside the answers."""

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        labels: torch.Tensor,
        **more: Any,
    ) -> FusedCausalLMOutput:
        """Returns what the model would return for the batch.

        Each field is (rows, tokens - 1), 0 at padding. With a mixture of experts there is also the
        router's load-balancing loss, a mean over rows.

        Args:
            input_ids, attention_mask, labels: (rows, tokens), padded on the right.
            more: arguments of the model's forward, such as `fused_lm_head`.
        """
        outputs = [
            self._model(input_ids=row[None, :length], labels=targets[None, :length], **more)
            for row, targets, length in zip(
                input_ids, labels, attention_mask.sum(dim=1).tolist(), strict=True
            )
        ]
        width = input_ids.size(1) - 1
        whole = {
            name: torch.cat(
                [pad(output[name], (0, width - output[name].size(1))) for output in outputs]
            )
            for name in ("log_probs", "entropy", "mean_logits", "is_top1")
            if outputs[0].get(name) is not None
        }
        self.log_probs = whole["log_probs"].detach()
        routing = [output.aux_loss for output in outputs if output.get("aux_loss") is not None]
        balance = torch.stack(routing).mean() if routing else None
        return FusedCausalLMOutput(**whole, aux_loss=balance)


def filled(dataset: Any, multiple: int) -> Any:
    """Returns `dataset` with filler pairs added until its length is a multiple of `multiple`.

    If that is the number of pairs in an optimiser step, every process gets the same number of pairs
    (otherwise accelerate would repeat some and train on them twice), every step has at least one
    real pair, and the order does not depend on the number of processes. A filler's two answers are
    equal; `PreferenceTrainer` leaves it out of the loss.
    """
    from datasets import Dataset, concatenate_datasets

    missing = -len(dataset) % multiple
    if not missing:
        return dataset
    shortest = min(range(len(dataset)), key=lambda row: len(dataset[row]["chosen_ids"]))
    pair = dataset[shortest]
    filler = pair | {"rejected_ids": pair["chosen_ids"]}
    return concatenate_datasets(
        [dataset, Dataset.from_list([filler] * missing, features=dataset.features)]
    )


class PreferenceTrainer(DPOTrainer):  # type: ignore[misc]
    """DPOTrainer for answers of very different lengths. `precompute_ref_log_probs` must be set.

    Args:
        reference: folder for the reference's log-probabilities.
        identity: identifies the reference model, e.g. {"model": digest of its weights}.
        arguments: DPOTrainer's.
    """

    def __init__(self, *, reference: Path, identity: dict[str, str], **arguments: Any) -> None:
        self._reference, self._identity = reference, identity  # TRL's __init__ uses them
        self._share = 1.0
        super().__init__(**arguments)

    def _prepare_dataset(self, dataset: Any, *more: Any) -> Any:
        """Returns `dataset` as it is: its pairs are already tokenised (`preference.tokens`)."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Returns `dataset` with the columns REFERENCE, cached by an earlier run or computed now.

        TRL's own cache of them ignores `ld_alpha` (seen with 1.16), so the data set gets our key,
        which includes it, as its fingerprint.
        """
        validation = name == "eval"
        key = self._reference_key(dataset, validation)
        path = self._reference / f"{key}.json"
        if path.exists():
            kept = json.loads(path.read_bytes())
        else:
            with self._without_autocast() if validation else nullcontext():
                named = dataset.select(range(len(dataset)), new_fingerprint=key)
                computed = super()._precompute_ref_logps(named, name, batch_size)
            kept = {column: computed[column][:] for column in REFERENCE}
            if self.accelerator.is_main_process:
                write_json(path, kept)
        for column in REFERENCE:
            dataset = dataset.add_column(column, kept[column])
        return dataset

    @contextmanager
    def _without_autocast(self) -> Iterator[None]:
        """Turns autocast off in the block, so that it computes in the type of the weights.

        Rounding to bfloat16 changes the log-ratio of an answer of a few hundred tokens by more than
        a short training run does (docs/log.md).
        """
        native_amp, own = self.accelerator.native_amp, self.model.__dict__
        wrapper = {name: own[name] for name in ("forward", "_original_forward") if name in own}
        self.accelerator.native_amp = False
        self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False)  # training wrapped it
        try:
            yield
        finally:
            self.accelerator.native_amp = native_amp
            own.update(wrapper)

    def _reference_key(self, dataset: Any, validation: bool) -> str:
        """Returns a hash of everything that affects the reference's log-probabilities.

        It needs no attention implementation: transformers chooses that by model and version.
        """
        shape = {
            **self._identity,
            "rows": [dataset[column][:] for column in ("prompt_ids", "chosen_ids", "rejected_ids")],
            "ld_alpha": self.ld_alpha,
            "max_length": self.args.max_length,
            "bf16": self.args.bf16 and not validation,
            "device": self.accelerator.device.type,
            "versions": [module.__version__ for module in (torch, transformers, trl)],
        }
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:24]

    def compute_ref_log_probs(self, model: Any, inputs: dict[str, Any]) -> Any:
        """Computes the same as TRL's method, row by row."""
        return super().compute_ref_log_probs(RowByRow(model), inputs)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], Any]:
        """Returns the same as transformers' method, and sets `_share`.

        `_share` is the number of pairs in the optimiser step, over all processes, divided by the
        number of real ones. The mean over all pairs times `_share` is the mean over the real ones.
        """
        batches, number = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            real = torch.stack([_is_real(batch).sum() for batch in batches]).sum()
            pairs = torch.tensor(sum(len(_is_real(batch)) for batch in batches))
            counts = self.accelerator.reduce(torch.stack([pairs, real]).to(device)).tolist()
            self._share = counts[0] / counts[1]
        return batches, number

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        """Computes TRL's loss row by row; also logs lengths and log-probabilities per token.

        Lengths are in tokens. Fillers count neither in the loss nor in what is logged.
        """
        rows = RowByRow(model)
        real = _is_real(inputs) if self.model.training else torch.tensor([True])
        real = real.to(inputs["input_ids"].device)
        with self._gathers(self.accelerator.gather(real.any()[None])):
            loss = super()._compute_loss(rows, inputs, return_outputs)
            lengths = inputs["completion_mask"][:, 1:].sum(dim=1)
            a_token = rows.log_probs.sum(dim=1) / lengths
            metrics = self._logged("train" if self.model.training else "eval")
            for name, values in (("lengths", lengths.float()), ("logps_per_token", a_token)):
                for side, part in zip(("chosen", "rejected"), values.chunk(2), strict=True):
                    found = self.accelerator.gather_for_metrics(part)
                    metrics[f"{name}/{side}"].append(found.mean().item())
        if not self.model.training:
            return loss
        return loss * self._share if real.any() else loss * 0

    def evaluation_loop(self, *arguments: Any, **keywords: Any) -> Any:
        """Runs transformers' loop without autocast, as for the reference's log-probabilities."""
        with self._without_autocast():
            return super().evaluation_loop(*arguments, **keywords)

    @contextmanager
    def _gathers(self, real: torch.Tensor) -> Iterator[None]:
        """Limits what is logged in the block to the processes whose batch is real.

        Args:
            real: (processes), whether the batch of each is real.
        """
        if real.all():
            yield
            return
        gather, gather_for_metrics = self.accelerator.gather, self.accelerator.gather_for_metrics
        metrics = self._logged("train" if self.model.training else "eval")
        kept = {name: len(values) for name, values in metrics.items()}

        def of_real(values: torch.Tensor) -> torch.Tensor:
            each = gather(values).chunk(len(real))
            return torch.cat([part for part, is_real in zip(each, real, strict=True) if is_real])

        if real.any():
            self.accelerator.gather = self.accelerator.gather_for_metrics = of_real
        try:
            yield
        finally:
            self.accelerator.gather, self.accelerator.gather_for_metrics = (
                gather,
                gather_for_metrics,
            )
        if not real.any():
            for name, values in metrics.items():
                del values[kept.get(name, 0) :]

    def _logged(self, mode: str) -> Any:
        """Returns what the loss has collected since the last log entry: name → one value per batch.

        Args:
            mode: `train` or `eval`.
        """
        return self._metrics[mode]

    def validation_rewards(self) -> list[tuple[float, float]]:
        """Returns the rewards of the chosen and rejected answer of each pair in `eval_dataset`.

        They are in the order of `eval_dataset`. A reward is β times the log-ratio of the current
        policy and the reference, computed without autocast. Every process goes through all pairs,
        so what TRL gathers is the same from each.
        """
        training, found = self.model.training, self._logged("eval")
        self.model.eval()
        found.clear()
        loader = DataLoader(self.eval_dataset, batch_size=1, collate_fn=self.data_collator)
        with self._without_autocast():
            for batch in loader:
                self.prediction_step(self.model, batch, prediction_loss_only=True)
        rewards = list(zip(found["rewards/chosen"], found["rewards/rejected"], strict=True))
        found.clear()
        self.model.train(training)
        return rewards
