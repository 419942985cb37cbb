# SPDX-License-Identifier: Apache-2.0
"""Scaled dot-product attention, whole where the runtime has it, else by its parts.

A query that may look at no key gives zeros, as in eager PyTorch; a plain softmax would give NaN or an average.

For onnxruntime the operator Attention is taken at opsets 23 and 24 only: it has no kernel of its own for the one of
opset 25, and expands the operator's function body, which took 1.5 times as long as the parts written here (12 heads
of 64, lengths 128 and 512).  A floating mask goes by parts too: those kernels take its lowest finite number, which
many models mask with, for minus infinity.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of, same_dim
from .spatial import wanted

# A causal mask up to this many elements is a constant (of one byte each); a larger one is made at run time.
_LARGEST_CONSTANT_MASK = 1 << 22


def scale_of(op: Emitter, query: ir.Value, scale: Any) -> float | ir.Value:
    """Return what scores are multiplied with: the scale that is given, or one over the root of the width."""
    if scale is not None:
        return scale
    width = op.size(query, -1)
    if isinstance(width, int):
        return 1.0 / math.sqrt(width) if width else 1.0
    return op.Reciprocal(op.Sqrt(op.cast(width, query.dtype)))


def last_two_swapped(op: Emitter, x: ir.Value) -> ir.Value:
    """Swap the last two axes, in one step with a transposition that the value may come from."""
    rank = op.rank(x)
    order = [*range(rank - 2), rank - 1, rank - 2]
    producer = x.producer()
    if producer is not None and producer.op_type == "Transpose" and producer.domain == "":
        before = producer.attributes["perm"].as_ints() if "perm" in producer.attributes else None
        source = producer.inputs[0]
        if before is not None and source is not None:
            return op.Transpose(source, perm=[before[axis] for axis in order])
    return op.Transpose(x, perm=order)


def causal_mask(op: Emitter, query: ir.Value, key: ir.Value) -> ir.Value:
    """Return which key each query may look at: those not after it, counted from the first of both."""
    rows, columns = op.size(query, -2), op.size(key, -2)
    if isinstance(rows, int) and isinstance(columns, int) and rows * columns <= _LARGEST_CONSTANT_MASK:
        return op.const(np.tri(rows, columns, dtype=bool), ir.DataType.BOOL)
    row = op.Unsqueeze(op.Range(op.i64(0), op.scalar(rows), op.i64(1)), [1])
    return op.GreaterOrEqual(row, op.Range(op.i64(0), op.scalar(columns), op.i64(1)))


def _sees_something(op: Emitter, mask: ir.Value) -> ir.Value | None:
    """Return a mask of the queries that may look at some key (its last axis of size one), or None if all are known to.

    It depends on the mask alone, so that all layers of a model share it.
    """
    constant = constant_of(mask)
    if constant is not None:
        seen = constant if mask.dtype == ir.DataType.BOOL else constant != -np.inf
        return None if bool(np.all(np.any(seen, axis=-1))) else mask
    if mask.dtype == ir.DataType.BOOL:
        return mask
    highest = op.ReduceMax(mask, op.i64([-1]), keepdims=1)
    return op.Greater(highest, op.const(-np.inf, mask.dtype))


class Heads:
    """Queries, keys and values of attention, with query heads that share a key head grouped on an axis of their own."""

    def __init__(self, op: Emitter, query: ir.Value, key: ir.Value, value: ir.Value, grouped: bool) -> None:
        self.query, self.key, self.value = query, key, value
        self.grouped = grouped and not self._same_heads(op)
        if self.grouped:
            self._group(op)

    def _same_heads(self, op: Emitter) -> bool:
        heads = op.dim(self.query, -3), op.dim(self.key, -3)
        return None not in heads and heads[0] == heads[1]

    def _group(self, op: Emitter) -> None:
        rank = op.rank(self.query)
        lead = [op.size(self.query, axis) for axis in range(rank - 3)]
        heads, key_heads = op.size(self.query, -3), op.size(self.key, -3)
        if isinstance(heads, int) and isinstance(key_heads, int):
            share: Any = heads // key_heads
        else:
            share = op.Div(op.vector(heads), op.vector(key_heads))
        tail = [op.size(self.query, -2), op.size(self.query, -1)]
        self._lead, self._heads, self._rows = lead, heads, tail[0]
        self.query = op.Reshape(self.query, op.i64(op.int_vector([*lead, key_heads, share, *tail])))
        self.key = op.Unsqueeze(self.key, op.i64([rank - 2]))
        self.value = op.Unsqueeze(self.value, op.i64([rank - 2]))
        self._split = [key_heads, share]

    def mask(self, op: Emitter, mask: ir.Value) -> ir.Value:
        """Lay a mask's heads as the queries' are."""
        if not self.grouped or op.rank(mask) < 3:
            return mask
        if op.dim(mask, -3) == 1:
            return op.Unsqueeze(mask, op.i64([op.rank(mask) - 3]))
        if op.dim(mask, -3) is None:
            # Its heads may turn out to be one, or as many as the queries'.
            mask = op.Expand(mask, op.i64(op.int_vector([self._heads, 1, 1])))
        sizes = [op.size(mask, axis) for axis in range(op.rank(mask))]
        return op.Reshape(mask, op.i64(op.int_vector([*sizes[:-3], *self._split, *sizes[-2:]])))

    def joined(self, op: Emitter, y: ir.Value) -> ir.Value:
        """Undo the grouping on a result that still has the queries as its last but one axis."""
        if not self.grouped:
            return y
        return op.Reshape(y, op.i64(op.int_vector([*self._lead, self._heads, self._rows, op.size(y, -1)])))


@attrs.frozen
class Attended:
    """What attention by parts leaves: the result, the weights, and the masked scores before their softmax."""

    y: ir.Value
    weights: ir.Value
    scores: ir.Value
    heads: Heads


def attend_by_parts(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    mask: ir.Value | None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> Attended:
    """Write attention as products and a softmax."""
    factor = scale_of(op, query, scale)
    causal = causal_mask(op, query, key) if is_causal else None
    heads = Heads(op, query, key, value, enable_gqa)
    query = heads.query if isinstance(factor, float) and factor == 1.0 else op.Mul(heads.query, factor)
    scores = op.MatMul(query, last_two_swapped(op, heads.key))
    lowest = op.const(-np.inf, scores.dtype)
    alive: ir.Value | None = None
    if causal is not None:
        scores = op.Where(causal, scores, lowest)
    if mask is not None:
        alive = _sees_something(op, mask)
        alive = None if alive is None else heads.mask(op, alive)
        laid = heads.mask(op, mask)
        if mask.dtype == ir.DataType.BOOL:
            scores = op.Where(laid, scores, lowest)
        else:
            scores = op.Add(scores, op.cast(laid, scores.dtype))
    weights = op.Softmax(scores, axis=-1)
    if alive is not None:
        weights = op.Where(alive, weights, op.const(0, weights.dtype))
    dropped = op.call("aten::dropout", weights, p=dropout_p, train=True) if dropout_p else weights
    return Attended(heads.joined(op, op.MatMul(dropped, heads.value)), weights, scores, heads)


def _suits_the_operator(
    op: Emitter, query: ir.Value, key: ir.Value, value: ir.Value, mask: ir.Value | None, grouped: bool
) -> bool:
    if any(op.rank(x) != 4 for x in (query, key, value)) or query.dtype == ir.DataType.DOUBLE:
        return False
    # PyTorch broadcasts batches and heads, and gives zeros for no keys at all; the operator does none of it.
    alike = [(query, key, 0), (key, value, 0), (key, value, 1), *([] if grouped else [(query, key, 1)])]
    if any(not same_dim(a.shape[axis], b.shape[axis]) for a, b, axis in alike) or op.dim(key, -2) == 0:
        return False
    return mask is None or picks_keys(op, mask, query, key)


def picks_keys(op: Emitter, mask: ir.Value, query: ir.Value, key: ir.Value) -> bool:
    """Whether kernels of the operator Attention read a mask as PyTorch does.

    It is of booleans, with its last two axes whole: kernels only broadcast the others.
    """
    return (
        mask.dtype == ir.DataType.BOOL
        and 2 <= op.rank(mask) <= 4
        and same_dim(mask.shape[-2], query.shape[-2])
        and same_dim(mask.shape[-1], key.shape[-2])
    )


@lowers("aten::scaled_dot_product_attention", since=23)
def attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> ir.Value:
    """Lower attention to the operator of that name where it says the same, else by parts."""
    number = scale is None or not isinstance(scale, ir.Value)
    fits = op.whole("Attention") and number and not dropout_p
    if not fits or not _suits_the_operator(op, query, key, value, attn_mask, enable_gqa):
        return attend_by_parts(
            op,
            query,
            key,
            value,
            attn_mask,
            dropout_p=dropout_p,
            is_causal=is_causal,
            scale=scale,
            enable_gqa=enable_gqa,
        ).y
    return op.Attention(query, key, value, attn_mask, is_causal=1 if is_causal else None, scale=scale, outputs=1)


@lowers("aten::scaled_dot_product_attention")
def attention_by_parts(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> ir.Value:
    """Lower attention by parts."""
    return attend_by_parts(
        op,
        query,
        key,
        value,
        attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    ).y


def _with_logsumexp(
    op: Emitter, query: ir.Value, key: ir.Value, value: ir.Value, mask: ir.Value | None, **arguments: Any
) -> tuple[ir.Value, ir.Value | None]:
    """Lower a core form whose second output is the logarithm of the sum of the exponentials of the scores."""
    if not wanted(op, 1):
        return op.call("aten::scaled_dot_product_attention", query, key, value, mask, **arguments), None
    parts = attend_by_parts(op, query, key, value, mask, **arguments)
    scores = parts.scores if parts.scores.dtype == ir.DataType.DOUBLE else op.cast(parts.scores, ir.DataType.FLOAT)
    sums = op.ReduceLogSumExp(scores, op.i64([-1]), keepdims=1)
    return parts.y, op.Squeeze(parts.heads.joined(op, sums), [-1])


@lowers("aten::_scaled_dot_product_flash_attention_for_cpu")
def flash_attention_for_cpu(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the form that PyTorch records on a CPU; eight query heads may share two key heads here, too."""
    return _with_logsumexp(
        op, query, key, value, attn_mask, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=True
    )


@lowers("aten::_scaled_dot_product_flash_attention")
def flash_attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    scale: Any = None,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the form that PyTorch records on CUDA, as far as result and log-sum-exp go."""
    return _with_logsumexp(
        op, query, key, value, None, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=True
    )


@lowers("aten::_scaled_dot_product_efficient_attention")
def efficient_attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_bias: ir.Value | None,
    *,
    compute_log_sumexp: bool,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
) -> tuple[ir.Value]:
    """Lower the memory-efficient form; its log-sum-exp is padded by a rule of the CUDA kernel and is declined."""
    arguments = {"dropout_p": dropout_p, "is_causal": is_causal, "scale": scale}
    return (op.call("aten::scaled_dot_product_attention", query, key, value, attn_bias, **arguments),)


@lowers(
    "aten::_scaled_dot_product_cudnn_attention",
    "aten::_scaled_dot_product_fused_attention_overrideable",
)
def fused_attention(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_bias: ir.Value | None = None,
    *,
    compute_log_sumexp: bool = True,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    return_debug_mask: bool = False,
    scale: Any = None,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the forms of cuDNN and of other devices, as far as result and log-sum-exp go."""
    return _with_logsumexp(
        op, query, key, value, attn_bias, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=True
    )


@lowers("aten::_scaled_dot_product_attention_math")
def attention_math(
    op: Emitter,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    attn_mask: ir.Value | None = None,
    dropout_mask: ir.Value | None = None,
    *,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: Any = None,
    enable_gqa: bool = False,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the reference form, which also returns the attention weights."""
    if dropout_mask is not None:
        raise op.cannot("a dropout mask of one's own has no counterpart")
    parts = attend_by_parts(
        op,
        query,
        key,
        value,
        attn_mask,
        dropout_p=dropout_p,
        is_causal=is_causal,
        scale=scale,
        enable_gqa=enable_gqa,
    )
    return parts.y, parts.heads.joined(op, parts.weights) if wanted(op, 1) else None
