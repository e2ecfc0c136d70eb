"""Losses by hand, log-probabilities against a plain forward pass, the reference's cache."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, concatenate_datasets
from helpers.checkpoints import default_settings, packaged_tokenizer, write_tiny, write_tiny_mixture
from helpers.dpo_runs import PAIRS, job
from transformers import AutoModelForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func
from trl.trainer.utils import FusedCausalLMOutput

from longwriter.config.schema import Settings
from longwriter.core.workspace import Workspace
from longwriter.models import training_run
from longwriter.models.checkpoint import load
from longwriter.preference import dpo
from longwriter.preference.settings import Loss
from longwriter.preference.tokens import open_tokens, tokenize
from longwriter.preference.trainer import RowByRow, _is_real, filled

Build = Callable[..., Any]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "sft", packaged_tokenizer())


@pytest.fixture(autouse=True)
def _own_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(training_run, "bf16_here", lambda: False)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def build(start: Path, tmp_path: Path) -> Build:
    """Builds a trainer on PAIRS, in float32; keywords replace dpo's settings."""

    def trainer_with(checkpoint: Path = start, validation: bool = False, **changes: Any) -> Any:
        settings: Settings = default_settings()
        changes = {"max_length": 128, "per_device_train_batch_size": 2, **changes}
        settings.dpo = replace(settings.dpo, **changes)
        model, tokenizer = load(checkpoint, settings.student)
        held_out = PAIRS if validation else ()
        work = Workspace(tmp_path, tmp_path)
        given = job(checkpoint, tmp_path / "dpo", settings, work, PAIRS, held_out)
        return dpo.build_trainer(
            given, dpo._config(given), model, tokenizer, open_tokens(given.pairs)
        )

    return trainer_with


def batch_of(trainer: Any) -> dict[str, torch.Tensor]:
    """Both pairs as the collator pads them: rows chosen, chosen, rejected, rejected."""
    rows = [trainer.train_dataset[place] for place in range(2)]
    batch: dict[str, torch.Tensor] = trainer.data_collator(rows)
    return batch


# Losses

LOG_PROBS = {0: [-1.0, -2.0], 1: [-1.0], 2: [-2.0], 3: [-1.0, -1.0, -1.0]}
"""Of the answers' tokens: chosen 1 and 2, rejected 1 and 2. Row n begins with the token n."""


def told(input_ids: torch.Tensor, labels: torch.Tensor, **_: Any) -> FusedCausalLMOutput:
    """A model that gives LOG_PROBS; each row holds one token of prompt and no padding."""
    answer = LOG_PROBS[int(input_ids[0, 0])]
    assert input_ids.shape == (1, 1 + len(answer))
    assert labels.tolist() == [[-100, *input_ids[0, 1:].tolist()]]
    log_probs = torch.tensor([answer], requires_grad=True)
    return FusedCausalLMOutput(
        log_probs=log_probs,
        entropy=log_probs,
        mean_logits=log_probs.detach(),
        is_top1=log_probs.detach() > 0,
    )


BATCH = {
    "input_ids": torch.tensor([[0, 9, 9, 0], [1, 9, 0, 0], [2, 9, 0, 0], [3, 9, 9, 9]]),
    "attention_mask": torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1]]),
    "completion_mask": torch.tensor([[0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 1]]),
    "ref_chosen_logps": torch.tensor([-4.0, -0.5]),
    "ref_rejected_logps": torch.tensor([-1.5, -4.0]),
}
# Log-ratios: chosen -3 + 4 = 1 and -1 + 0.5 = -0.5; rejected -2 + 1.5 = -0.5 and -3 + 4 = 1.
# Their differences: 1.5 and -1.5. Divided by lengths first: 1/2 + 0.5/1 = 1, -0.5/1 - 1/3 = -5/6.


@pytest.mark.parametrize(
    ("loss_type", "weights", "ld_alpha", "expected"),
    [
        # beta 0.5: -ln σ(0.75) = ln(1 + e^-0.75) = 0.386871, -ln σ(-0.75) = 0.386871 + 0.75
        pytest.param([Loss.sigmoid], [1.0], None, 0.761871, id="sigmoid"),
        # -ln σ(0.5) = 0.474077, -ln σ(-5/12) = ln(1 + e^0.416667) = 0.923026
        pytest.param([Loss.sigmoid_norm], [1.0], None, 0.698552, id="sigmoid_norm"),
        # (1 - 1/(2 · 0.5))² = 0, (-5/6 - 1)² = 3.361111
        pytest.param([Loss.ipo], [1.0], None, 1.680556, id="ipo"),
        # The mean of the chosen tokens' 1, 2 and 1, not of the two answers' means
        pytest.param([Loss.sft], [1.0], None, 1.333333, id="sft"),
        pytest.param([Loss.sigmoid, Loss.sft], [1.0, 0.25], None, 1.095204, id="sigmoid + sft"),
        pytest.param([Loss.ipo, Loss.sigmoid], [0.5, 2.0], None, 2.364020, id="ipo + sigmoid"),
        # Tokens past the shared length (1 and 1) count half: chosen -1 - 1 = -2 and -1, rejected -2
        # and -1 - 1 = -2; log-ratios 2, -0.5, -0.5, 2; ln(1 + e^-1.25) = 0.251929, and + 1.25
        pytest.param([Loss.sigmoid], [1.0], 0.5, 0.876929, id="ld_alpha"),
    ],
)
def test_two_pairs_by_hand(
    build: Build, loss_type: list[Loss], weights: list[float], ld_alpha: float, expected: float
) -> None:
    built = build(loss_type=loss_type, loss_weights=weights, ld_alpha=ld_alpha, beta=0.5)
    built.model.train()
    loss = built._compute_loss(told, dict(BATCH), False)
    assert loss.item() == pytest.approx(expected, abs=1e-5)
    logged = {name: values[0] for name, values in built._metrics["train"].items()}
    assert logged["lengths/chosen"] == 1.5
    assert logged["lengths/rejected"] == 2
    assert logged["logps_per_token/chosen"] == pytest.approx(-1.25)  # of -1.5 and -1
    assert logged["logps_per_token/rejected"] == pytest.approx(-1.5)  # of -2 and -1
    if ld_alpha is None:
        assert logged["rewards/chosen"] == pytest.approx(0.5 * 0.25)
        assert logged["rewards/margins"] == pytest.approx(0)


# Log-probabilities


def plain_log_probs(checkpoint: Path, ids: list[int], answer: int) -> torch.Tensor:
    """Of the last `answer` tokens, from one plain float32 forward pass without padding."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1]
    log_probs = logits.log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return log_probs[-answer:]


def test_log_probs_of_every_token_are_those_of_a_plain_forward(start: Path, build: Build) -> None:
    built = build()
    batch = batch_of(built)
    assert batch["attention_mask"].sum(dim=1).unique().numel() > 1  # there is padding
    model = RowByRow(built.model)
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    model(batch["input_ids"], batch["attention_mask"], labels, fused_lm_head=True)
    seen = 0
    for row, ids in enumerate(batch["input_ids"]):
        length = int(batch["attention_mask"][row].sum())
        answer = int(batch["completion_mask"][row].sum())
        expected = plain_log_probs(start, ids[:length].tolist(), answer)
        found = model.log_probs[row]
        place = slice(length - 1 - answer, length - 1)
        assert torch.allclose(found[place], expected, atol=1e-4)
        assert found[: place.start].eq(0).all()
        assert found[place.stop :].eq(0).all()
        seen += answer
    assert seen == int(batch["completion_mask"].sum()) > 50


def test_rows_alone_give_the_gradients_of_the_padded_batch(build: Build) -> None:
    """Against TRL's own way: chosen and rejected padded in one call."""
    built = build(beta=0.5)
    for name, parameter in built.model.named_parameters():
        if "lora_B" in name:  # 0 at first, and the gradients of lora_A with it
            torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of(built)
    mine = built._compute_loss(built.model, dict(batch), False)
    mine.backward()
    gradients = {n: p.grad.clone() for n, p in built.model.named_parameters() if p.requires_grad}
    built.model.zero_grad()
    theirs = super(type(built), built)._compute_loss(built.model, dict(batch), False)
    theirs.backward()
    assert mine.item() == pytest.approx(theirs.item(), abs=1e-5)
    assert abs(mine.item() - 0.6931) > 0.01  # not the first step, where much is equal
    for name, parameter in built.model.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(gradients[name], parameter.grad, atol=1e-5), name


# The reference


def references(built: Any) -> list[float]:
    rows = built.train_dataset
    return [*rows["ref_chosen_logps"][:], *rows["ref_rejected_logps"][:]]


def test_reference_is_the_checkpoint_s_sum(start: Path, build: Build) -> None:
    for lora in (default_settings().dpo.lora, None):
        built = build(lora=lora)
        batch = batch_of(built)
        for row, found in enumerate(references(built)):
            ids = batch["input_ids"][row][: int(batch["attention_mask"][row].sum())].tolist()
            expected = plain_log_probs(start, ids, int(batch["completion_mask"][row].sum()))
            assert found == pytest.approx(expected.sum().item(), abs=1e-3)


def test_reference_is_computed_once_for_everything_that_shapes_it(
    start: Path, build: Build, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_cache / "reference"
    whole = references(build())
    assert len(list(folder.iterdir())) == 1

    halved = references(build(ld_alpha=0.5))  # TRL's own cache would give `whole` again
    assert len(list(folder.iterdir())) == 2
    # The longer answers: of the river the rejected one, of the rain the chosen one
    assert [a != b for a, b in zip(whole, halved, strict=True)] == [False, True, True, False]
    other = write_tiny(tmp_path / "other", packaged_tokenizer(), seed=8)
    assert references(build(other)) != whole
    monkeypatch.setattr(training_run, "bf16_here", lambda: True)
    build()
    monkeypatch.setattr(training_run, "bf16_here", lambda: False)
    build(max_length=127)
    assert len(list(folder.iterdir())) == 5

    def never(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr("trl.DPOTrainer._precompute_ref_logps", never)
    assert references(build()) == whole
    assert references(build(learning_rate=1.0, loss_type=[Loss.ipo], beta=9)) == whole
    assert references(build(ld_alpha=0.5)) == halved


def test_the_file_holds_a_number_a_pair(build: Build, own_cache: Path) -> None:
    built = build(validation=True)  # the same pairs for validation: the same file
    [file] = (own_cache / "reference").iterdir()
    kept = json.loads(file.read_text())
    assert [*kept["ref_chosen_logps"], *kept["ref_rejected_logps"]] == references(built)
    assert set(built.eval_dataset.column_names) >= {"ref_chosen_logps", "ref_rejected_logps"}


# Validation pairs


def test_rewards_are_zero_before_training_and_beta_times_log_ratios_after(build: Build) -> None:
    built = build(validation=True, beta=0.2)
    built.model.train()
    assert built.validation_rewards() == [(0, 0), (0, 0)]
    assert built.model.training
    with torch.no_grad():
        for name, parameter in built.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    batch = batch_of(built)
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    with torch.no_grad():
        padded = built.model(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            fused_lm_head=True,
        )
    logs = padded.log_probs.sum(dim=1).tolist()
    expected = [0.2 * (log - ref) for log, ref in zip(logs, references(built), strict=True)]
    found = built.validation_rewards()
    sides = [side for rewards in zip(*found, strict=True) for side in rewards]
    assert sides == pytest.approx(expected, abs=1e-4)
    assert found[0][0] != found[0][1]
    assert built._metrics["eval"] == {}  # nothing of it is logged as an evaluation


def test_validation_rewards_are_not_rounded_to_bfloat16(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = references(build(beta=0.2))
    monkeypatch.setattr(training_run, "bf16_here", lambda: True)
    built = build(validation=True, beta=0.2, learning_rate=0.01, logging_steps=1)
    columns = ("ref_chosen_logps", "ref_rejected_logps")
    assert [value for name in columns for value in built.eval_dataset[name]] == exact
    assert references(built) != exact  # what is trained on is
    built.args.report_to = []
    built.train()
    found = built.validation_rewards()
    plain = built.model.merge_and_unload()  # whose own forward nothing wraps
    batch = batch_of(built)
    labels = batch["input_ids"].masked_fill(batch["completion_mask"] == 0, -100)
    with torch.no_grad():
        logs = plain(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            labels=labels,
            fused_lm_head=True,
        ).log_probs.sum(dim=1)
    expected = [0.2 * (log - ref) for log, ref in zip(logs.tolist(), exact, strict=True)]
    sides = [side for rewards in zip(*found, strict=True) for side in rewards]
    assert sides == pytest.approx(expected, abs=1e-4)
    assert max(map(abs, sides)) > 0.01


def test_the_router_s_loss_of_a_mixture_of_experts_counts(build: Build, tmp_path: Path) -> None:
    tokenizer = packaged_tokenizer()
    losses = {}
    for coefficient in (0.0, 0.5):
        folder = write_tiny_mixture(tmp_path / str(coefficient), tokenizer, coefficient)
        trainer = build(folder)
        losses[coefficient] = trainer.compute_loss(trainer.model, batch_of(trainer))
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokens = [tokenize(pair, tokenizer, 128) for pair in PAIRS]
    found = []
    for row in tokens:
        for answer in (row["chosen_ids"], row["rejected_ids"]):
            ids = torch.tensor([row["prompt_ids"] + answer])
            with torch.no_grad():
                logits = model(ids, output_router_logits=True).router_logits
            found.append(load_balancing_loss_func(logits, 4, 2))
    added = (losses[0.5] - losses[0.0]).item()
    assert added == pytest.approx(0.5 * torch.stack(found).mean().item(), abs=1e-4)


def test_a_filler_changes_neither_the_loss_nor_what_is_logged(build: Build) -> None:
    """Three pairs in steps of two: the last one has a pair that only fills it up."""
    trainers = [build(per_device_train_batch_size=1, gradient_accumulation_steps=n) for n in (1, 2)]
    one, two = (trainer.train_dataset for trainer in trainers)
    assert (len(one), len(two)) == (2, 2)
    tripled = concatenate_datasets([one, one.select([0])])
    full = filled(tripled, 2)
    assert (len(full), len(filled(tripled, 1))) == (4, 3)
    assert full[3]["chosen_ids"] == full[3]["rejected_ids"] == full[0]["chosen_ids"]

    trainer = trainers[1]
    batches = [trainer.data_collator([full[n]]) for n in (2, 3)]
    samples, _ = trainer.get_batch_samples(iter(batches), 2, torch.device("cpu"))
    assert trainer._share == 2.0
    losses = [trainer._compute_loss(trainer.model, batch, False) for batch in samples]
    logged = {name: list(values) for name, values in trainer._logged("train").items()}
    assert losses[1].item() == 0
    trainer._share = 1.0
    trainer._logged("train").clear()
    alone = trainer._compute_loss(trainer.model, samples[0], False)
    assert alone.item() == pytest.approx(math.log(2))  # the policy is its reference
    assert sum(losses).item() / 2 == pytest.approx(
        alone.item()
    )  # the step's mean over its one pair
    again = dict(trainer._logged("train"))
    for metrics in (logged, again):
        del metrics["num_tokens"]  # a running total
    assert logged == again


def test_a_validation_pair_of_equal_answers_has_its_rewards(build: Build) -> None:
    built = build(validation=True)
    row = built.eval_dataset[0]
    same = Dataset.from_list([row | {"rejected_ids": row["chosen_ids"]}, row])
    built.eval_dataset = same
    assert len(built.validation_rewards()) == 2


def test_a_longer_answer_padded_with_its_end_is_no_filler() -> None:
    batch = {
        "input_ids": torch.tensor([[5, 6, 2], [5, 6, 2], [5, 6, 2], [5, 6, 2]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]]),
    }
    assert _is_real(batch).tolist() == [True, False]
