# SPDX-License-Identifier: Apache-2.0
"""The fused transformer operators that PyTorch's own modules call at inference ("fast path")."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .attention import attend_by_parts
from .spatial import wanted

# What a mask of one's own covers: query by key, padded keys, or both (torch/nn/modules/activation.py).
_SOURCE, _PADDING = 0, 1


def _linear(op: Emitter, x: ir.Value, weight: ir.Value, bias: ir.Value | None) -> ir.Value:
    return op.call("aten::linear", x, weight, bias)


def _heads(op: Emitter, x: ir.Value, heads: int, width: int) -> ir.Value:
    return op.Transpose(op.Reshape(x, op.i64([0, 0, heads, width])), perm=[0, 2, 1, 3])


def _mask(op: Emitter, mask: ir.Value | None, mask_type: int | None, dtype: ir.DataType) -> ir.Value | None:
    """Return which keys may be seen (a boolean mask here says which may not), ready to broadcast over heads."""
    if mask is None:
        return None
    if mask_type == _PADDING:
        mask = op.Unsqueeze(mask, op.i64([1, 2]))
    elif op.rank(mask) == 3:
        mask = op.Unsqueeze(mask, [1])
    return op.Not(mask) if mask.dtype == ir.DataType.BOOL else op.cast(mask, dtype)


def _multi_head(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    embed_dim: int,
    num_heads: int,
    qkv_weight: ir.Value,
    qkv_bias: ir.Value,
    proj_weight: ir.Value,
    proj_bias: ir.Value,
    mask: ir.Value | None,
    mask_type: int | None,
    weights_wanted: bool,
) -> tuple[ir.Value, ir.Value | None]:
    """Write multi-head attention of batch x length x features; returns the result and the weights of each head."""
    width = embed_dim // num_heads
    parts = []
    for index, source in enumerate((query, key, value)):
        rows = [op.i64([index * embed_dim]), op.i64([(index + 1) * embed_dim]), op.i64([0])]
        projected = _linear(op, source, op.Slice(qkv_weight, *rows), op.Slice(qkv_bias, *rows))
        parts.append(_heads(op, projected, num_heads, width))
    seen = _mask(op, mask, mask_type, query.dtype)
    weights: ir.Value | None = None
    if weights_wanted:
        attended = attend_by_parts(op, parts[0], parts[1], parts[2], seen)
        y, weights = attended.y, attended.weights
    else:
        y = op.call("aten::scaled_dot_product_attention", *parts, seen, scale=1.0 / math.sqrt(width))
    joined = op.Reshape(op.Transpose(y, perm=[0, 2, 1, 3]), op.i64([0, 0, embed_dim]))
    return _linear(op, joined, proj_weight, proj_bias), weights


@lowers("aten::_native_multi_head_attention")
def native_multi_head_attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    qkv_weight: ir.Value,
    qkv_bias: ir.Value,
    proj_weight: ir.Value,
    proj_bias: ir.Value,
    mask: ir.Value | None = None,
    *,
    embed_dim: Any,
    num_head: Any,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower multi-head attention with its projections."""
    weights_wanted = need_weights and wanted(op, 1)
    y, weights = _multi_head(
        op,
        query,
        key,
        value,
        op.static_number(embed_dim),
        op.static_number(num_head),
        qkv_weight,
        qkv_bias,
        proj_weight,
        proj_bias,
        mask,
        mask_type,
        weights_wanted,
    )
    if weights is not None and average_attn_weights:
        weights = op.ReduceMean(weights, op.i64([1]), keepdims=0)
    return y, weights


@lowers("aten::_transformer_encoder_layer_fwd")
def transformer_encoder_layer(
    op: Emitter,
    src: ir.Value,
    qkv_weight: ir.Value,
    qkv_bias: ir.Value,
    proj_weight: ir.Value,
    proj_bias: ir.Value,
    norm_weight_1: ir.Value,
    norm_bias_1: ir.Value,
    norm_weight_2: ir.Value,
    norm_bias_2: ir.Value,
    ffn_weight_1: ir.Value,
    ffn_bias_1: ir.Value,
    ffn_weight_2: ir.Value,
    ffn_bias_2: ir.Value,
    mask: ir.Value | None = None,
    *,
    embed_dim: Any,
    num_heads: Any,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    mask_type: int | None = None,
) -> ir.Value:
    """Lower a whole encoder layer: attention and a two-layer perceptron, each with a residual and a normalization."""
    features = op.static_number(embed_dim)

    def normalized(x: ir.Value, weight: ir.Value, bias: ir.Value) -> ir.Value:
        return op.call("aten::layer_norm", x, weight, bias, normalized_shape=[features], eps=eps)

    def attended(x: ir.Value) -> ir.Value:
        return _multi_head(
            op,
            x,
            x,
            x,
            features,
            op.static_number(num_heads),
            qkv_weight,
            qkv_bias,
            proj_weight,
            proj_bias,
            mask,
            mask_type,
            False,
        )[0]

    def fed_forward(x: ir.Value) -> ir.Value:
        inner = _linear(op, x, ffn_weight_1, ffn_bias_1)
        inner = op.call("aten::gelu", inner) if use_gelu else op.Relu(inner)
        return _linear(op, inner, ffn_weight_2, ffn_bias_2)

    if norm_first:
        x = op.Add(src, attended(normalized(src, norm_weight_1, norm_bias_1)))
        return op.Add(x, fed_forward(normalized(x, norm_weight_2, norm_bias_2)))
    x = normalized(op.Add(src, attended(src)), norm_weight_1, norm_bias_1)
    return normalized(op.Add(x, fed_forward(x)), norm_weight_2, norm_bias_2)
