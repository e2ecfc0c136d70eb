"""Attention that stays inside each row of a pack, with PyTorch's own kernels.

transformers' sdpa separates rows by a mask of (tokens of the pack)² entries, a GiB at 32k tokens, and
computes every masked score. Here a row's tokens meet only their own row's.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "row_by_row"
"""Value of `attn_implementation`."""


def register() -> None:
    """Makes NAME known to transformers, which builds no mask for an attention registered this way."""
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
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention of every row to itself.

    Args:
        query: (1, heads, tokens, head_dim).
        key, value: (1, key-value heads, tokens, head_dim).
        attention_mask: None; transformers makes none for this attention.
        kwargs: `cu_seq_lens_q` (rows + 1), where rows begin and end, and `max_length_q`.

    Returns:
        (1, tokens, heads, head_dim), and None in place of attention weights.
    """
    if query.is_cuda and not dropout:
        return _on_gpu(query, key, value, scaling, **kwargs), None
    lengths = kwargs["cu_seq_lens_q"].diff().tolist()
    queries, keys, values = (torch.split(x, lengths, dim=2) for x in (query, key, value))
    attended = [
        scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, scale=scaling, is_causal=True, enable_gqa=True
        )
        for q, k, v in zip(queries, keys, values, strict=True)
    ]
    return torch.cat(attended, dim=2).transpose(1, 2), None


def _on_gpu(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    cu_seq_lens_q: torch.Tensor,
    max_length_q: int,
    **kwargs: Any,
) -> torch.Tensor:
    """The same in one call of PyTorch's flash attention for rows of several lengths."""
    from torch.nn.attention.varlen import varlen_attn

    attended = varlen_attn(
        query[0].transpose(0, 1),
        key[0].transpose(0, 1),
        value[0].transpose(0, 1),
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1, 0),  # causal
        enable_gqa=True,
    )
    assert isinstance(attended, torch.Tensor)
    return attended[None]
