# SPDX-License-Identifier: Apache-2.0
"""Quantiles, and the median that leaves NaN out: reductions that need the elements in order."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import is_float


def _flat(op: Emitter, x: ir.Value) -> ir.Value:
    return x if op.rank(x) == 1 else op.Reshape(x, [-1])


def _length(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    return op.vector(op.size(x, axis))


def _ascending(op: Emitter, x: ir.Value, axis: int, count: Operand = None) -> tuple[ir.Value, ir.Value]:
    wanted = _length(op, x, axis) if count is None else op.vector(count)
    return op.TopK(x, wanted, axis=axis, largest=0, sorted=1)


@lowers("aten::nanmedian.dim")
def nanmedian_dim(op: Emitter, x: ir.Value, *, dim: int, keepdim: bool = False) -> tuple[ir.Value, ir.Value]:
    """The median of what is a number, and its index."""
    if op.rank(x) == 0 or not is_float(x):
        return op.call("aten::median.dim", x, dim=dim, keepdim=keepdim)
    missing = op.IsNaN(x)
    present = op.ReduceSum(op.cast(op.Not(missing), ir.DataType.INT64), [dim], keepdims=1)
    place = op.Div(op.Max(op.Sub(present, 1), 0), 2)
    _values, indices = _ascending(op, op.Where(missing, math.inf, x), dim)
    index = op.GatherElements(indices, place, axis=dim)
    # Taken from the input itself, a row of nothing but NaN gives NaN.
    value = op.GatherElements(x, index, axis=dim)
    return (value, index) if keepdim else (op.Squeeze(value, [dim]), op.Squeeze(index, [dim]))


@lowers("aten::nanmedian")
def nanmedian(op: Emitter, x: ir.Value) -> ir.Value:
    """The median of everything that is a number."""
    return x if op.rank(x) == 0 else nanmedian_dim(op, _flat(op, x), dim=0)[0]


# ---- quantiles -------------------------------------------------------------------------------------------------------


@lowers("aten::quantile", "aten::quantile.scalar")
def quantile(
    op: Emitter,
    x: ir.Value,
    at: ir.Value | None = None,
    *,
    q: Operand = None,
    dim: int | None = None,
    keepdim: bool = False,
    interpolation: str = "linear",
) -> ir.Value:
    """The value below which a share of the elements lies; NaN where there is one."""
    return _quantile(op, x, q if at is None else at, dim, keepdim, interpolation, skip_nan=False)


@lowers("aten::nanquantile", "aten::nanquantile.scalar")
def nanquantile(
    op: Emitter,
    x: ir.Value,
    at: ir.Value | None = None,
    *,
    q: Operand = None,
    dim: int | None = None,
    keepdim: bool = False,
    interpolation: str = "linear",
) -> ir.Value:
    """The value below which a share of the elements lies that are numbers."""
    return _quantile(op, x, q if at is None else at, dim, keepdim, interpolation, skip_nan=True)


def _quantile(
    op: Emitter, x: ir.Value, q: Operand, dim: int | None, keepdim: bool, interpolation: str, *, skip_nan: bool
) -> ir.Value:
    rank = op.rank(x)
    dtype = x.dtype or ir.DataType.FLOAT
    rows = _flat(op, x) if dim is None or rank == 0 else x
    axis = 0 if dim is None or rank == 0 else dim % rank
    last = op.rank(rows) - 1
    if axis != last:
        order = [place for place in range(last + 1) if place != axis] + [axis]
        rows = op.Transpose(rows, perm=order)
    missing = op.IsNaN(rows)
    values, _ = _ascending(op, op.Where(missing, math.inf, rows), last)
    share = op.cast(q, dtype)
    several = op.rank(share) == 1
    if skip_nan:
        count = op.ReduceSum(op.cast(op.Not(missing), dtype), [-1], keepdims=1)
        top = op.Sub(count, 1.0)
    else:
        top = (
            op.const_like(float(size - 1), rows)
            if isinstance(size := op.size(rows, last), int)
            else op.cast(op.Sub(size, 1), dtype)
        )
    # [..., q]: one rank for each share, in every row.
    position = op.Mul(share if several else op.Reshape(share, [1]), top)
    position = op.Clip(position, 0.0, None)
    batch = op.ReduceSum(op.Mul(op.cast(missing, dtype), 0.0), [-1], keepdims=1)
    position = op.Add(position, batch)
    low = op.Floor(position)
    if interpolation == "nearest":
        result = _pick(op, values, op.Round(position))
    elif interpolation == "lower":
        result = _pick(op, values, low)
    elif interpolation == "higher":
        result = _pick(op, values, op.Ceil(position))
    else:
        below, above = _pick(op, values, low), _pick(op, values, op.Ceil(position))
        weight = op.const_like(0.5, rows) if interpolation == "midpoint" else op.Sub(position, low)
        result = op.Add(below, op.Mul(op.Sub(above, below), weight))
    any_missing = op.cast(op.ReduceMax(op.cast(missing, ir.DataType.INT32), [-1], keepdims=1), ir.DataType.BOOL)
    if skip_nan:
        any_missing = op.Equal(count, 0.0)
    result = op.Where(any_missing, math.nan, result)
    return _placed(op, result, rank, axis, dim, keepdim, several)


def _pick(op: Emitter, values: ir.Value, position: ir.Value) -> ir.Value:
    return op.GatherElements(values, op.cast(position, ir.DataType.INT64), axis=op.rank(values) - 1)


def _placed(
    op: Emitter, result: ir.Value, rank: int, axis: int, dim: int | None, keepdim: bool, several: bool
) -> ir.Value:
    """Move the shares to the front, and put the reduced dimensions back as ones where they are kept."""
    last = op.rank(result) - 1
    if several:
        moved = op.Transpose(result, perm=[last, *range(last)]) if last else result
        if keepdim and rank:
            kept = list(range(1, rank + 1)) if dim is None else [axis + 1]
            return op.Unsqueeze(moved, kept)
        return moved
    dropped = op.Squeeze(result, [last])
    if keepdim and rank:
        return op.Unsqueeze(dropped, list(range(rank)) if dim is None else [axis])
    return dropped
