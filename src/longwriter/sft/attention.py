"""Attention that stays inside each row of a pack, with PyTorch's own kernels.

transformers' sdpa separates rows with a mask of (tokens of the pack)² entries, a GiB at 32k tokens,
and computes the masked scores too. Here scores are computed only within a row.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from longwriter.core.errors import SettingsError

NAME = "row_by_row"
"""Value of `attn_implementation`."""

AMPERE = (8, 0)
"""The first compute capability that flash attention runs on."""

WIDEST_FLASH = 256
"""Largest head_dim that flash attention supports."""


def register() -> None:
    """Registers NAME with transformers, which builds no mask for attention registered this way."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, row_by_row)


def row_by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Computes causal attention within each row.

    Args:
        query: (1, heads, tokens, head_dim).
        key: (1, key-value heads, tokens, head_dim).
        value: (1, key-value heads, tokens, head_dim of values).
        attention_mask: None; transformers makes none for this attention.
        sliding_window: number of tokens that a token attends to, including itself; None: all up to
            it.
        kwargs: `cu_seq_lens_q` (rows + 1), the row boundaries, and `max_length_q`. Without them the
            sequence counts as one row.

    Returns:
        (1, tokens, heads, head_dim of values), and None in place of attention weights.

    Raises:
        SettingsError: the model's attention has sinks or a soft cap, which these kernels don't
            support.
    """
    for feature, name, remedy in (
        ("s_aux", "sinks", "kernels-community/vllm-flash-attn3"),
        ("softcap", "a soft cap", "flash_attention_2"),
    ):
        if kwargs.get(feature) is not None:
            raise SettingsError(
                f"sft.attn_implementation: the student's attention has {name}, which PyTorch's kernels "
                f"lack; on a GPU set sft.attn_implementation={remedy}"
            )
    bounds = kwargs.get("cu_seq_lens_q")
    if bounds is None:
        bounds = torch.tensor([0, query.size(2)], dtype=torch.int32, device=query.device)
    if query.is_cuda and not dropout and fits_flash(query, value):
        longest = kwargs.get("max_length_q") or query.size(2)
        return _flash(query, key, value, scaling, sliding_window, bounds, longest), None
    lengths = bounds.diff().tolist()
    queries, keys, values = (torch.split(x, lengths, dim=2) for x in (query, key, value))
    attended = [
        _row(q, k, v, sliding_window, dropout_p=dropout, scale=scaling, enable_gqa=True)
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, window: int | None, **more: Any
) -> torch.Tensor:
    """Computes causal attention within one row.

    A row longer than the window is computed in blocks of one window, each against the last two
    windows of keys, which are all that its tokens can see.
    """
    tokens = query.size(2)
    if window is None or tokens <= window:
        return scaled_dot_product_attention(query, key, value, is_causal=True, **more)
    attended = []
    for start in range(0, tokens, window):
        end, first = min(start + window, tokens), max(0, start - window + 1)
        places = torch.arange(first, end, device=query.device)
        distance = places[start - first :, None] - places
        attended.append(
            scaled_dot_product_attention(
                query[:, :, start:end], key[:, :, first:end], value[:, :, first:end],
                attn_mask=(distance >= 0) & (distance < window), **more,
            )
        )  # fmt: skip
    return torch.cat(attended, dim=2)


def fits_flash(query: torch.Tensor, value: torch.Tensor) -> bool:
    """Returns whether flash attention supports tensors like these on this GPU.

    It needs a 16-bit type, the same head_dim for queries and values of at most WIDEST_FLASH, and an
    Ampere GPU or a later one.
    """
    same = query.size(-1) == value.size(-1) <= WIDEST_FLASH
    narrow = _flash_dtype(value).itemsize == 2
    return same and narrow and torch.cuda.get_device_capability(query.device) >= AMPERE


def _flash_dtype(value: torch.Tensor) -> torch.dtype:
    """Returns the type to compute in: autocast's if it is on, else that of `value`.

    Under autocast, rotary positions leave queries and keys in float32.
    """
    device = value.device.type
    if torch.is_autocast_enabled(device):
        return torch.get_autocast_dtype(device)
    return value.dtype


def _flash(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    window: int | None,
    bounds: torch.Tensor,
    longest: int,
) -> torch.Tensor:
    """Computes the same in one call of PyTorch's variable-length flash attention."""
    from torch.nn.attention.varlen import varlen_attn

    dtype = _flash_dtype(value)
    queries, keys, values = (x[0].transpose(0, 1).to(dtype) for x in (query, key, value))
    attended = varlen_attn(
        queries,
        keys,
        values,
        bounds,
        bounds,
        longest,
        longest,
        scale=scaling,
        window_size=(-1 if window is None else window - 1, 0),  # to the left, and causal
        enable_gqa=True,
    )
    assert isinstance(attended, torch.Tensor)
    return attended[None]
