# SPDX-License-Identifier: Apache-2.0
"""The operators of ``torch.onnx.ops`` that compute in PyTorch too: RotaryEmbedding and Attention of opset 23.

Source: https://docs.pytorch.org/docs/stable/onnx_ops.html. Where opset, runtime or recipe do not have one of them, the
fallback pass takes its definition in PyTorch apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .attention import picks_keys


@lowers("onnx::RotaryEmbedding", since=23)
def rotary_embedding(
    op: Emitter,
    x: ir.Value,
    cos_cache: ir.Value,
    sin_cache: ir.Value,
    position_ids: ir.Value | None = None,
    *,
    interleaved: bool = False,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> ir.Value:
    """Write RotaryEmbedding 23 with the attributes that are not at their defaults."""
    if not op.whole("RotaryEmbedding"):
        raise op.cannot("RotaryEmbedding is to be written by its parts")
    return op.RotaryEmbedding(
        x,
        cos_cache,
        sin_cache,
        position_ids,
        interleaved=int(interleaved) or None,
        num_heads=num_heads or None,
        rotary_embedding_dim=rotary_embedding_dim or None,
    )


@lowers("onnx::Attention", since=23)
def attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    past_key: ir.Value | None = None,
    past_value: ir.Value | None = None,
    *,
    is_causal: bool = False,
    kv_num_heads: int = 0,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int | None = None,
) -> Sequence[ir.Value]:
    """Write Attention 23 where all opsets that have it mean the same by the arguments, and leave the rest to its parts.

    With a past, opset 23 and PyTorch count a causal mask from the first key, and later ones from the first new key;
    the order of mask and soft cap changed too, and so did the numbers of the fourth output.
    """
    changed = (is_causal and past_key is not None) or softcap or op.result(3).used
    plain = query.dtype != ir.DataType.DOUBLE and (attn_mask is None or picks_keys(op, attn_mask, query, key))
    if changed or not plain or not op.whole("Attention"):
        raise op.cannot("Attention is to be written by its parts")
    made = op.Attention(
        query,
        key,
        value,
        attn_mask,
        past_key,
        past_value,
        is_causal=int(is_causal) or None,
        kv_num_heads=kv_num_heads or None,
        q_num_heads=q_num_heads or None,
        scale=scale,
        softmax_precision=softmax_precision,
        outputs=3,
    )
    return [*made, None]
