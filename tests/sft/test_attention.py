"""Attention of each row to itself: against plain arithmetic, and in models whose attention has windows."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from longwriter.core.errors import SettingsError
from longwriter.sft import attention

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
    "pad_token_id": 0,
}
WINDOW = 5
FAMILIES: dict[str, dict[str, Any]] = {  # transformers' name of the configuration → what it adds
    "LlamaConfig": {},
    "Qwen3Config": {},
    "Qwen2Config": {
        "sliding_window": WINDOW, "use_sliding_window": True, "layer_types": ["sliding_attention"] * 2,
    },
    "MistralConfig": {"sliding_window": WINDOW},
    "Phi3Config": {"sliding_window": WINDOW},
    "Olmo3Config": {
        "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"],
    },
    "Gemma3TextConfig": {
        "sliding_window": WINDOW, "layer_types": ["sliding_attention", "full_attention"],
    },
    "GlmConfig": {},
    "SmolLM3Config": {},
}  # fmt: skip
WINDOWED = [name for name, added in FAMILIES.items() if "sliding_window" in added]


def bounds(*lengths: int) -> torch.Tensor:
    return torch.tensor([0, *torch.tensor(lengths).cumsum(0)], dtype=torch.int32)


def expected(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, edges: list[int], window: int
) -> torch.Tensor:
    """Attention by its definition, a token and a head at a time."""
    found = torch.empty(1, query.size(2), query.size(1), value.size(3), dtype=query.dtype)
    shared = query.size(1) // key.size(1)
    for start, end in pairwise(edges):
        for place in range(start, end):
            seen = slice(max(start, place - window + 1), place + 1)
            for head in range(query.size(1)):
                scores = 0.3 * key[0, head // shared, seen] @ query[0, head, place]
                found[0, place, head] = scores.softmax(0) @ value[0, head // shared, seen]
    return found


def drawn(tokens: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [
        torch.randn(1, heads, tokens, 8, generator=generator, dtype=torch.float64).to(dtype)
        for heads in (4, 2, 2)
    ]


@pytest.mark.parametrize("window", [None, 1, 3, 4, 5, 100])
def test_a_row_attends_to_itself_as_far_as_its_window_reaches(window: int | None) -> None:
    query, key, value = drawn(14)
    found, _ = attention.row_by_row(
        torch.nn.Module(), query, key, value, None,
        scaling=0.3, sliding_window=window, cu_seq_lens_q=bounds(4, 1, 9),
    )  # fmt: skip
    assert found.shape == (1, 14, 4, 8)
    torch.testing.assert_close(found, expected(query, key, value, [0, 4, 5, 14], window or 100))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_a_pack_are_those_of_each_row_alone(family: str) -> None:
    """By transformers' own attention, which inference uses."""
    attention.register()
    torch.manual_seed(7)
    config = getattr(transformers, family)(**SIZES, **FAMILIES[family])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float64).eval()
    rows = [torch.randint(1, 300, (1, n)) for n in (12, 23, 2)]
    model.set_attn_implementation("eager")
    with torch.no_grad():
        alone = torch.cat([model(row).logits for row in rows], dim=1)
        model.set_attn_implementation(attention.NAME)
        packed = model(
            torch.cat(rows, dim=1),
            position_ids=torch.cat([torch.arange(12), torch.arange(23), torch.arange(2)])[None],
            cu_seq_lens_q=bounds(12, 23, 2),
            max_length_q=23,
            use_cache=False,
        ).logits
        wide = "sliding_window" in FAMILIES[family] and model(rows[1], use_cache=False).logits
        torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
        if family in WINDOWED:  # a window that is ignored would show
            for module in model.modules():
                if getattr(module, "sliding_window", None):
                    module.sliding_window = None
            model.config.sliding_window = None
            assert (model(rows[1], use_cache=False).logits - wide).abs().max() > 0.1


@pytest.mark.parametrize(
    ("family", "added", "what"),
    [
        (
            "GptOssConfig",
            {"num_local_experts": 2, "num_experts_per_tok": 1},
            "sinks.*vllm-flash-attn3",
        ),
        ("Gemma2Config", {"attn_logit_softcapping": 50.0}, "a soft cap.*flash_attention_2"),
    ],
)
def test_what_the_kernels_lack_is_refused_by_name(
    family: str, added: dict[str, Any], what: str
) -> None:
    attention.register()
    config = getattr(transformers, family)(**SIZES, **added)
    model = AutoModelForCausalLM.from_config(config, attn_implementation=attention.NAME)
    with pytest.raises(SettingsError, match=rf"^sft\.attn_implementation: .* has {what}"):
        model(torch.tensor([[1, 2]]), use_cache=False)


@pytest.mark.parametrize("window", [None, 3])
def test_the_gpu_s_kernel_gets_one_type_and_the_window(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for the kernel, which as the real one takes 16 bits and one type only."""

    def kernel(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        starts: torch.Tensor, same: torch.Tensor, longest: int, again: int, *,
        scale: float, window_size: tuple[int, int], enable_gqa: bool,
    ) -> torch.Tensor:  # fmt: skip
        assert query.dtype == key.dtype == value.dtype == torch.bfloat16
        assert (starts is same, longest, again, scale, enable_gqa) == (True, 9, 9, 0.3, True)
        left, right = window_size
        assert right == 0
        turned = [x.transpose(0, 1)[None].double() for x in (query, key, value)]
        reach = 100 if left < 0 else left + 1
        return expected(*turned, starts.tolist(), reach)[0].to(query.dtype)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    query, key, value = drawn(14)
    with torch.autocast("cpu", torch.bfloat16):
        found = attention._flash(
            query.float(), key.float(), value.bfloat16(), 0.3, window, bounds(4, 1, 9), 9
        )
    wanted = expected(query, key, value, [0, 4, 5, 14], window or 100)
    torch.testing.assert_close(found.double(), wanted, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("head", "values", "dtype", "card", "fits"),
    [
        (128, 128, torch.bfloat16, (8, 0), True),
        (128, 128, torch.float16, (9, 0), True),
        (128, 128, torch.float32, (9, 0), False),
        (128, 128, torch.bfloat16, (7, 5), False),  # Turing
        (512, 512, torch.bfloat16, (9, 0), False),
        (192, 128, torch.bfloat16, (9, 0), False),  # DeepSeek's latent attention
    ],
)
def test_what_flash_attention_takes(
    head: int, values: int, dtype: torch.dtype, card: tuple[int, int], fits: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda _: card)
    query, value = (torch.empty(1, 2, 3, size, dtype=dtype) for size in (head, values))
    assert attention.fits_flash(query, value) is fits
