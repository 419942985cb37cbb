# SPDX-License-Identifier: Apache-2.0
"""Reductions over segments of an axis, each as long as a tensor says."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .elimination import dtype_of, places

_INT64 = ir.DataType.INT64
_STARTS = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}


def _bounds(op: Emitter, lengths: ir.Value | None, offsets: ir.Value | None) -> tuple[ir.Value, ir.Value]:
    """Return where each segment begins and ends."""
    if offsets is not None:
        axis = op.rank(offsets) - 1
        offsets = op.cast(offsets, _INT64)
        return op.Slice(offsets, [0], [-1], [axis]), op.Slice(offsets, [1], [2**63 - 1], [axis])
    if lengths is None:
        raise op.cannot("segments are given by lengths or offsets")
    lengths = op.cast(lengths, _INT64)
    ends = op.CumSum(lengths, op.i64(op.rank(lengths) - 1))
    return op.Sub(ends, lengths), ends


@lowers("aten::segment_reduce")
def segment_reduce(
    op: Emitter,
    x: ir.Value,
    lengths: ir.Value | None = None,
    indices: ir.Value | None = None,
    offsets: ir.Value | None = None,
    *,
    reduce: str,
    axis: int = 0,
    unsafe: bool = False,
    initial: Operand = None,
) -> ir.Value:
    """Reduce each segment to one element; an empty one to the initial value, or to what PyTorch takes for it."""
    del unsafe  # whether the lengths are looked at first
    if indices is not None:
        raise op.cannot("segments by indices are not implemented in PyTorch")
    dtype, rank = dtype_of(x), op.rank(x)
    axis %= rank
    begins, ends = _bounds(op, lengths, offsets)
    index = places(op, x, axis)
    inside = op.And(
        op.GreaterOrEqual(index, op.Unsqueeze(begins, [axis + 1])), op.Less(index, op.Unsqueeze(ends, [axis + 1]))
    )
    behind = list(range(axis + 2, rank + 1))
    mask = op.Unsqueeze(inside, behind) if behind else inside
    start = float(_STARTS[reduce] if initial is None else initial)
    neutral = _STARTS[reduce]
    members = op.Where(mask, op.Unsqueeze(x, [axis]), op.const(neutral, dtype))
    if reduce in ("sum", "mean"):
        result = op.ReduceSum(members, [axis + 1], keepdims=0)
        result = op.Add(result, start) if start else result
    elif reduce == "prod":
        result = op.ReduceProd(members, [axis + 1], keepdims=0)
        result = op.Mul(result, start) if start != 1 else result
    else:
        result = (op.ReduceMax if reduce == "max" else op.ReduceMin)(members, [axis + 1], keepdims=0)
        result = (op.Max if reduce == "max" else op.Min)(result, start) if initial is not None else result
    if reduce != "mean":
        return result
    count = op.cast(op.Sub(ends, begins), dtype)
    count = op.Unsqueeze(count, [position - 1 for position in behind]) if behind else count
    empty = op.Equal(count, op.const(0, dtype))
    nothing = op.const(math.nan if initial is None else start, dtype)
    return op.Where(empty, nothing, op.Div(result, op.Where(empty, op.const(1, dtype), count)))
