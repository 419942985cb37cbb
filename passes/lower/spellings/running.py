# SPDX-License-Identifier: Apache-2.0
"""Operators that run along an axis: Range, CumSum and CumProd, by loops where an opset lacks them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_of
from .forms import alike, as_is, dtype_of, is_float, without

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_INT64 = ir.DataType.INT64

# The longest axis whose cumulative sum is one product with a triangle of ones.
_TRIANGLE = 1024

as_is("Range", since=27)
without("Range", since=11, stash_type=1)


@spells("Range")
def range_by_loop(op: Emitter, start: Operand, limit: Operand, delta: Operand, *, stash_type: int = 1) -> ir.Value:
    """Before Range: ``start + i * delta`` for every round of a loop, or a constant where all three are."""
    first, end, step = alike(op, start, limit, delta)
    known = [constant_of(value) for value in (first, end, step)]
    if all(value is not None for value in known):
        begin, stop, stride = (np.asarray(value).reshape(()) for value in known)
        count = max(0, int(np.ceil((stop - begin) / stride)))
        return op.const(begin + np.arange(count).astype(begin.dtype) * stride, dtype_of(first))
    first, end, step = (_rank_zero(op, value) for value in (first, end, step))
    span = op.Sub(end, first)
    if is_float(first):
        rounds = op.cast(op.Ceil(op.Div(span, step)), _INT64)
    else:
        span, wide_step = op.cast(span, _INT64), op.cast(step, _INT64)
        whole = op.Div(span, wide_step)
        # Integer division drops the remainder; one more round where there is one and the quotient is not negative.
        rest = op.Sub(span, op.Mul(whole, wide_step))
        same_side = op.Greater(op.Mul(rest, wide_step), 0)
        rounds = op.Add(whole, op.cast(same_side, _INT64))
    body = op.body(("i", _INT64, []), ("go", ir.DataType.BOOL, []), ("unused", ir.DataType.BOOL, []))
    index, go, unused = body.inputs
    item = body.Add(first, body.Mul(body.cast(index, dtype_of(first)), step))
    graph = body.graph([go, unused, item])
    yes = op.const(True, ir.DataType.BOOL)
    # A loop of these opsets carries at least one value.
    _, items = op.raw("Loop", _not_negative(op, rounds), yes, yes, body=graph, outputs=2)
    items.dtype, items.shape = dtype_of(first), ir.Shape([ir.SymbolicDim(None)])
    return items


def _rank_zero(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Squeeze(x, [0]) if op.rank(x) == 1 else x


def _not_negative(op: Emitter, count: ir.Value) -> ir.Value:
    return op.Mul(count, op.cast(op.Greater(count, 0), _INT64))


as_is("CumSum", since=11)


@spells("CumSum")
def cum_sum_before_11(op: Emitter, x: Operand, axis: Operand, *, exclusive: int = 0, reverse: int = 0) -> ir.Value:
    """Before CumSum: integers by a product with a triangle of ones, floats (where 0 * inf is NaN) by a loop."""
    (data,) = alike(op, x)
    (where,) = op.static_ints(axis, "CumSum's axis")
    where %= op.rank(data)
    size = op.dim(data, where)
    if is_float(data) or size is None or size > _TRIANGLE:
        return _cumulated(op, data, where, "Add", 0, exclusive, reverse)
    from .axes import moved_back, moved_to_the_end

    triangle = np.tri(size, size, -1 if exclusive else 0).T
    moved, order = moved_to_the_end(op, data, where)
    return moved_back(op, op.MatMul(moved, op.const_like(triangle.T if reverse else triangle, data)), order)


as_is("CumProd", since=27)


@spells("CumProd")
def cum_prod_by_loop(op: Emitter, x: Operand, axis: Operand, *, exclusive: int = 0, reverse: int = 0) -> ir.Value:
    """Before CumProd: a loop that carries the product."""
    (data,) = alike(op, x)
    (where,) = op.static_ints(axis, "CumProd's axis")
    return _cumulated(op, data, where % op.rank(data), "Mul", 1, exclusive, reverse)


def _cumulated(
    op: Emitter, x: ir.Value, axis: int, operator: str, neutral: int, exclusive: int, reverse: int
) -> ir.Value:
    """Carry a running result along an axis with a Loop, whose scan output stacks the steps."""
    rank = op.rank(x)
    order = [axis, *(other for other in range(rank) if other != axis)]
    front = x if axis == 0 else op.Transpose(x, perm=order)
    inner: list[Any] = [front.shape[index] for index in range(1, rank)] if front.shape is not None else []
    length = op.scalar(op.size(front, 0))
    sizes = op.int_vector([op.size(front, index) for index in range(1, rank)])
    first = op.Expand(op.const_like(neutral, x), sizes) if rank > 1 else op.const_like(neutral, x)
    body = op.body(("i", _INT64, []), ("go", ir.DataType.BOOL, []), ("so_far", dtype_of(x), inner))
    index, go, so_far = body.inputs
    place = body.Sub(body.Sub(length, 1), index) if reverse else index
    total = getattr(body, operator)(so_far, body.Gather(front, place, axis=0))
    graph = body.graph([go, total, body.Identity(so_far if exclusive else total)])
    _, stacked = op.raw("Loop", length, op.const(True, ir.DataType.BOOL), first, body=graph, outputs=2)
    stacked.dtype, stacked.shape = dtype_of(x), ir.Shape([front.shape[0] if front.shape is not None else None, *inner])
    if reverse:
        stacked = op.Slice(stacked, [-1], [-(2**63)], [0], [-1])
    if axis == 0:
        return stacked
    return op.Transpose(stacked, perm=[order.index(index) for index in range(rank)])
