# SPDX-License-Identifier: Apache-2.0
"""Embeddings: rows of a table by index, one at a time or reduced by bags."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_SUM, _MEAN, _MAX = 0, 1, 2


@lowers("aten::embedding")
def embedding(
    op: Emitter,
    weight: ir.Value,
    indices: ir.Value,
    *,
    padding_idx: Any = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> ir.Value:
    """Lower a table look-up; the other arguments only shape the gradient."""
    return op.Gather(weight, indices, axis=0)


@lowers("aten::embedding_renorm")
def embedding_renorm(
    op: Emitter, weight: ir.Value, indices: ir.Value, *, max_norm: float, norm_type: float
) -> ir.Value:
    """Lower the shortening of the rows that are looked up to a largest norm (aten/src/ATen/native/Embedding.cpp)."""
    places = op.cast(op.Reshape(indices, op.i64([-1])), ir.DataType.INT64)
    rows = op.Gather(weight, places, axis=0)
    norms = op.call("aten::linalg_vector_norm", rows, ord=norm_type, dim=[1], keepdim=True)
    scale = op.Div(op.const(max_norm, norms.dtype), op.Add(norms, 1e-7))
    shortened = op.Where(op.Greater(norms, max_norm), op.Mul(rows, scale), rows)
    # A row that is looked up twice is written twice, with the same numbers.
    return op.ScatterND(weight, op.Unsqueeze(places, [1]), shortened)


def _membership(
    op: Emitter, indices: ir.Value, offsets: ir.Value, include_last_offset: bool, padding_idx: int | None
) -> ir.Value:
    """Return which indices belong to each bag (bags x indices); a padding index belongs to none."""
    count = op.vector(op.size(indices, 0))
    offsets = op.cast(offsets, ir.DataType.INT64)
    if include_last_offset:
        starts = op.Slice(offsets, op.i64([0]), op.i64([-1]), op.i64([0]))
        ends = op.Slice(offsets, op.i64([1]), op.i64([2**63 - 1]), op.i64([0]))
    else:
        starts = offsets
        ends = op.Concat(op.Slice(offsets, op.i64([1]), op.i64([2**63 - 1]), op.i64([0])), count, axis=0)
    size = op.dim(indices, 0)
    place = op.Range(op.i64(0), op.scalar(count), op.i64(1)) if size is None else op.i64(np.arange(size))
    begun = op.GreaterOrEqual(place, op.Unsqueeze(starts, [1]))
    member = op.And(begun, op.Less(place, op.Unsqueeze(ends, [1])))
    if padding_idx is None:
        return member
    return op.And(member, op.Not(op.Equal(op.cast(indices, ir.DataType.INT64), op.i64(padding_idx))))


def _bags(
    op: Emitter,
    weight: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    per_sample_weights: ir.Value | None,
    mode: int,
    include_last_offset: bool,
    padding_idx: int | None,
) -> tuple[ir.Value]:
    """Reduce the rows of each bag; an empty bag is zero.  The bookkeeping outputs have no counterpart."""
    if padding_idx is not None and padding_idx < 0:
        rows = op.dim(weight, 0)
        if rows is None:
            raise op.cannot("a padding index counted from the end of a table whose size is only known at run time")
        padding_idx += rows
    member = _membership(op, indices, offsets, include_last_offset, padding_idx)
    rows = op.Gather(weight, indices, axis=0)
    if mode == _MAX:
        lowest = op.const(-np.inf, rows.dtype)
        held = op.Unsqueeze(member, [2])
        highest = op.ReduceMax(op.Where(held, op.Unsqueeze(rows, [0]), lowest), op.i64([1]), keepdims=0)
        filled = op.ReduceMax(op.cast(held, ir.DataType.INT32), op.i64([1]), keepdims=0)
        return (op.Where(op.cast(filled, ir.DataType.BOOL), highest, op.const(0, rows.dtype)),)
    if per_sample_weights is not None:
        rows = op.Mul(rows, op.Unsqueeze(per_sample_weights, [1]))
    shares = op.cast(member, rows.dtype)
    total = op.MatMul(shares, rows)
    if mode == _MEAN:
        count = op.ReduceSum(shares, op.i64([1]), keepdims=1)
        total = op.Div(total, op.Max(count, op.const(1, rows.dtype)))
    return (total,)


@lowers("aten::embedding_bag")
def embedding_bag(
    op: Emitter,
    weight: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    per_sample_weights: ir.Value | None = None,
    *,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> tuple[ir.Value]:
    """Lower look-ups that are reduced bag by bag."""
    return _bags(op, weight, indices, offsets, per_sample_weights, mode, include_last_offset, padding_idx)


@lowers("aten::_embedding_bag", "aten::_embedding_bag_forward_only")
def core_embedding_bag(
    op: Emitter,
    weight: ir.Value,
    indices: ir.Value,
    offsets: ir.Value,
    per_sample_weights: ir.Value | None = None,
    *,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[ir.Value]:
    """Lower the core form, in which a padding index of -1 stands for none."""
    padding = None if padding_idx < 0 else padding_idx
    return _bags(op, weight, indices, offsets, per_sample_weights, mode, include_last_offset, padding)
