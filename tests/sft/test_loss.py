"""The loss of packs against plain arithmetic in float64 on rows that are not packed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import packs
from helpers.checkpoints import (
    CHECKOUT,
    default_settings,
    packaged_tokenizer,
    write_tiny,
    write_tiny_mixture,
)
from omegaconf import OmegaConf
from torch.nn import functional
from transformers import AutoModelForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from longwriter.sft.loss import PackCollator, weigh
from longwriter.sft.packing import TokenizedRow
from longwriter.sft.settings import Averaging
from longwriter.sft.throughput import Throughput


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny") / "base", packaged_tokenizer())


# How much a token weighs


def test_weights_of_a_pack_by_hand() -> None:
    # Two rows: 1 prompt token and 3 targets; 2 prompt tokens and 1 target.
    labels, lengths = torch.tensor([-100, 7, 7, 7, -100, -100, 7]), [4, 3]
    third = 1 / 3
    expected = {
        Averaging.token: ([0, 1, 1, 1, 0, 0, 1], 4),  # Σ NLL / 4 targets
        Averaging.example: ([0, third, third, third, 0, 0, 1], 2),  # Σ means / 2 rows
        Averaging.longwriter: ([0, *[2 / 30 / 4] * 3, 0, 0, 2 / 30 / 4], 1),  # mean · 2 rows / 30
    }
    for averaging, (weights, count) in expected.items():
        found, counted = weigh(labels, lengths, averaging)
        torch.testing.assert_close(found, torch.tensor(weights, dtype=torch.float32))
        assert counted == count
        assert weigh(torch.tensor([-100, -100]), [2], averaging)[1] == 0


def test_a_batch_of_several_packs_is_one_sequence_without_padding() -> None:
    rows = [
        {"input_ids": [1, 2, 3, 4, 5], "labels": [-100, 2, 3, -100, 5], "seq_lengths": [3, 2]},
        {"input_ids": [6, 7], "labels": [-100, 7], "seq_lengths": [2]},
        {"input_ids": [9, 9], "labels": [-100, -100], "seq_lengths": [2]},  # only fills up
    ]
    batch = PackCollator(0, averaging=Averaging.example)(rows)
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5, 6, 7, 9, 9]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1, 0, 1, 0, 1]]
    assert batch["cu_seq_lens_q"].tolist() == [0, 3, 5, 7, 9]
    assert batch["loss_weights"].tolist() == [[0, 0.5, 0.5, 0, 1, 0, 1, 0, 0]]
    # 3 rows count; 2 packs, 7 tokens, 4 targets, 3² + 2² + 2²
    assert batch["totals"].tolist() == [3, 2, 7, 4, 17]
    assert "attention_mask" not in batch


def test_packs_are_filled_up_to_as_many_for_every_process() -> None:
    made = packs.packs()
    whole = made.dataset(1, 5)
    assert len(whole) == 7
    assert whole[2]["seq_lengths"] == [3, 15]
    assert whole[2]["labels"][:5] == [-100, -100, whole[2]["input_ids"][2], -100, -100]
    filled = made.dataset(4, 5)
    assert len(filled) == 8
    assert filled[:7] == whole[:]
    assert filled[7] == {"input_ids": [5, 5], "labels": [-100, -100], "seq_lengths": [2]}
    assert len(made.dataset(7, 5)) == 7


# The loss


@pytest.fixture(scope="module")
def row_losses(base: Path) -> list[list[torch.Tensor]]:
    """Pack → row → the NLL of each target, from float64 forward passes over one row each."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64)
    found = []
    for number, rows in enumerate(packs.PACKS):
        found.append([])
        for row in range(len(rows)):
            tokens = TokenizedRow(**packs.tokens(number, row))
            ids, labels = torch.tensor(tokens.input_ids), torch.tensor(tokens.labels)
            logits = model(ids[None], use_cache=False).logits[0, :-1]
            nll = functional.cross_entropy(logits, labels[1:], reduction="none", ignore_index=-100)
            found[-1].append(nll[labels[1:] != -100])
    return found


def plain_loss(batch: list[list[torch.Tensor]], averaging: Averaging) -> torch.Tensor:
    """The loss of the packs of one optimiser step, as the three definitions have it."""
    rows = [row for pack in batch for row in pack]
    if averaging is Averaging.token:
        return torch.cat(rows).mean()
    if averaging is Averaging.example:
        return torch.stack([row.mean() for row in rows]).mean()
    return torch.stack([torch.cat(pack).mean() * len(pack) / 30 for pack in batch]).mean()


def check(
    entries: list[dict[str, float]],
    row_losses: list[list[torch.Tensor]],
    averaging: Averaging,
    packs_a_step: int,
) -> None:
    batches = [row_losses[n : n + packs_a_step] for n in range(0, len(row_losses), packs_a_step)]
    expected = [plain_loss(batch, averaging).item() for batch in batches]
    assert [entry["loss"] for entry in entries] == pytest.approx(expected, rel=1e-5)
    assert len({round(loss, 3) for loss in expected}) == len(expected)  # packs differ


@pytest.mark.parametrize(("averaging", "accumulation"), packs.CASES)
def test_loss_and_gradient_of_one_process(
    base: Path, row_losses: list[list[torch.Tensor]], averaging: Averaging, accumulation: int
) -> None:
    entries = packs.logged(base, averaging, accumulation)
    check(entries, row_losses, averaging, accumulation)
    if accumulation == 8:
        loss = plain_loss(row_losses, averaging)
        gradients = torch.autograd.grad(loss, _parameters(row_losses), retain_graph=True)
        norm = torch.sqrt(sum(g.square().sum() for g in gradients))
        assert entries[0]["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)


def _parameters(row_losses: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """The weights that the losses were computed from."""
    found, queue, seen = [], [row_losses[0][0].grad_fn], set()
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.append(node.variable)
        queue += [parent for parent, _ in node.next_functions]
    return found


@pytest.mark.slow
def test_loss_of_two_processes(
    base: Path, row_losses: list[list[torch.Tensor]], tmp_path: Path
) -> None:
    out, config = tmp_path / "logged.json", tmp_path / "accelerate.yaml"
    OmegaConf.save(default_settings("runtime=cpu2").runtime.accelerate, config)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    command += [str(config), str(Path(packs.__file__))]
    path = os.pathsep.join([str(CHECKOUT / "src"), str(Path(packs.__file__).parent)])
    subprocess.run(
        [*command, str(base), str(out)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=300,
    )
    for (averaging, accumulation), entries in zip(
        packs.CASES, json.loads(out.read_text()), strict=True
    ):
        check(entries, row_losses, averaging, 2 * accumulation)
        # An eighth pack without targets fills up the last step, and no row is trained twice.
        assert entries[-1]["epoch"] == 1


def test_full_logits_are_never_materialised(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    biggest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal biggest
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else [out]:
                if isinstance(tensor, torch.Tensor) and tensor.dim() > 1:
                    biggest = max(biggest, tensor.shape[-1])
            return out

    vocabulary = len(packaged_tokenizer())
    with Watch():
        packs.logged(base, Averaging.token, 8)
    assert 0 < biggest < vocabulary


@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_the_router_s_loss_of_a_mixture_of_experts_counts(
    coefficient: float, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        write_tiny_mixture(tmp_path, packaged_tokenizer(), coefficient)
    )
    entries = packs.logged(tmp_path, Averaging.token, 1)
    whole = packs.packs().dataset(1, 5)
    for pack, entry in zip(whole, entries, strict=True):
        nll, balance = [], []
        row_start = 0
        for length in pack["seq_lengths"]:
            ids, labels = (
                torch.tensor(pack[key][row_start : row_start + length])
                for key in ("input_ids", "labels")
            )
            with torch.no_grad():
                found = model(ids[None], output_router_logits=True, use_cache=False)
            row_nll = functional.cross_entropy(
                found.logits[0, :-1], labels[1:], reduction="none", ignore_index=-100
            )
            nll.append(row_nll[labels[1:] != -100])
            balance.append(found.router_logits)
            row_start += length
        logits = [torch.cat(layer) for layer in zip(*balance, strict=True)]
        routing = load_balancing_loss_func(tuple(logits), 4, 2)
        expected = torch.cat(nll).mean() + coefficient * routing
        assert entry["loss"] == pytest.approx(expected.item(), rel=1e-4)


# What a step achieves


def test_speed_by_hand(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0, 102.0])
    monkeypatch.setattr("longwriter.sft.throughput.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("longwriter.sft.throughput.peak_memory_mb", lambda: 7.0)
    model = AutoModelForCausalLM.from_pretrained(base)
    speed = Throughput(model, max_length=64, peak_tflops=0.5, processes=2)
    speed.add(1, 40, 30, 800)
    speed.add(2, 80, 50, 2400)
    # Weights of products, of 2 layers: q and o 64·64, k and v 64·32, three of the MLP 64·128; 2
    # norms of 64; the last norm; the tied output matrix.
    weights = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64) + 64
    weights += 64 * len(packaged_tokenizer())
    flops = 6 * weights * 120 + 6 * 2 * 64 * 3200  # heads · head_dim = 64
    assert speed.take() == pytest.approx(
        {
            "tokens_per_s": 60,
            "target_tokens_per_s": 40,
            "packing_efficiency": 120 / (3 * 64),
            "peak_memory_mb": 7,
            "mfu": 100 * flops / 2 / (2 * 0.5e12),
        }
    )
