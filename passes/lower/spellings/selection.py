# SPDX-License-Identifier: Apache-2.0
"""Operators that choose elements: Where, TopK, OneHot and Trilu."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_ints
from .forms import alike, as_is, dtype_of, index_vector, is_float, non_negative

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Where", since=9)


@spells("Where")
def where_by_arithmetic(op: Emitter, condition: Operand, X: Operand, Y: Operand) -> ir.Value:
    """Before Where: ``x**c * y**(1 - c)`` of floats, ``x * c + y * (1 - c)`` of integers, logic of bools.

    The powers are exact for every float: by IEEE 754-2008, 9.2.1, ``pow(x, 0)`` is one for any x, even NaN or an
    infinity, and ``pow(x, 1)`` is x, so the element that is not chosen leaves no trace.
    """
    if not isinstance(condition, ir.Value):
        condition = op.const(condition, ir.DataType.BOOL)
    x, y = alike(op, X, Y)
    dtype = dtype_of(x)
    if dtype == ir.DataType.BOOL:
        return op.Or(op.And(condition, x), op.And(op.Not(condition), y))
    if dtype == ir.DataType.STRING:
        raise op.cannot("Where of strings needs opset 9")
    chosen, other = op.cast(condition, dtype), op.cast(op.Not(condition), dtype)
    if dtype.is_floating_point():
        return op.Mul(op.raw("Pow", x, chosen), op.raw("Pow", y, other))
    return op.Add(op.Mul(x, chosen), op.Mul(y, other))


@spells("TopK", since=11)
def top_k(op: Emitter, X: Operand, K: Operand, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    """TopK 11, as it is."""
    return op.raw("TopK", X, index_vector(op, K), axis=axis, largest=largest, sorted=sorted)


def _of_either_end(op: Emitter, X: Operand, axis: int, largest: int, top: Callable[[ir.Value, int], Any]) -> Any:
    """Find the largest with ``top``, or the smallest as the largest of the negated numbers."""
    (x,) = alike(op, X)
    axis = non_negative(op, x, axis)
    if largest:
        return top(x, axis)
    dtype = dtype_of(x)
    carrier = dtype if is_float(x) else ir.DataType.DOUBLE
    values, indices = top(op.Neg(op.cast(x, carrier)), axis)
    return op.cast(op.Neg(values), dtype), indices


@spells("TopK", since=10)
def top_k_largest(op: Emitter, X: Operand, K: Operand, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> Any:
    """TopK 10: the largest, always sorted."""
    count = index_vector(op, K)
    return _of_either_end(op, X, axis, largest, lambda x, axis: op.raw("TopK", x, count, axis=axis))


@spells("TopK")
def top_k_by_attribute(
    op: Emitter, X: Operand, K: Operand, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> Any:
    """TopK 1: the number is an attribute.  One known only at run time is cut from all, sorted."""
    known = constant_ints(K)

    def top(x: ir.Value, axis: int) -> Any:
        if known is not None:
            return op.raw("TopK", x, k=known[0], axis=axis)
        size = op.dim(x, axis)
        if size is None:
            raise op.cannot("TopK of an unknown number among an unknown number needs opset 10")
        return tuple(op.Slice(part, [0], op.vector(K), [axis]) for part in op.raw("TopK", x, k=size, axis=axis))

    return _of_either_end(op, X, axis, largest, top)


as_is("OneHot", since=9)


@spells("OneHot")
def one_hot_by_comparing(op: Emitter, indices: Operand, depth: Operand, values: Operand, *, axis: int = -1) -> ir.Value:
    """Before OneHot: compare with every class; ``values`` holds the number for "off", then that for "on"."""
    (x,) = alike(op, indices)
    axis = non_negative(op, x, axis, 1)
    x = op.cast(x, ir.DataType.INT64)
    classes = op.Range(0, op.scalar(depth), 1)
    if op.rank(x) > axis:
        classes = op.Unsqueeze(classes, list(range(1, 1 + op.rank(x) - axis)))
    hit = op.Equal(op.Unsqueeze(x, [axis]), classes)
    pair = index_vector(op, values) if isinstance(values, list) and all(isinstance(v, int) for v in values) else None
    (numbers,) = (pair,) if pair is not None else alike(op, values)
    return op.Where(hit, op.Gather(numbers, [1]), op.Gather(numbers, [0]))


as_is("NonZero", since=9)


@spells("NonZero")
def non_zero_by_loop(op: Emitter, X: Operand) -> ir.Value:
    """Before NonZero: a loop of as many rounds as there are such elements takes the first that is left."""
    (x,) = alike(op, X)
    sizes = [op.size(x, axis) for axis in range(op.rank(x))]
    mask = op.Reshape(op.cast(x, ir.DataType.BOOL), [-1])
    place = op.Range(0, op.scalar(op.size(mask, 0)), 1)
    rounds = op.ReduceSum(op.cast(mask, ir.DataType.INT64), [0], keepdims=0)
    left = op.cast(mask, ir.DataType.FLOAT)
    body = op.body(
        ("i", ir.DataType.INT64, []), ("go", ir.DataType.BOOL, []), ("left", ir.DataType.FLOAT, list(left.shape or []))
    )
    _, go, still = body.inputs
    first = body.ArgMax(still, axis=0, keepdims=1)
    others = body.Mul(still, body.cast(body.Not(body.Equal(place, first)), ir.DataType.FLOAT))
    graph = body.graph([go, others, first])
    _, found = op.Loop(rounds, op.const(True, ir.DataType.BOOL), left, body=graph, outputs=2)
    found.type, found.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([None, 1])
    flat = op.Reshape(found, [-1])
    rows: list[ir.Value] = []
    for size in reversed(sizes):
        extent = op.i64(size) if isinstance(size, int) else op.scalar(size)
        rows.insert(0, op.Unsqueeze(op.Mod(flat, extent), [0]))
        flat = op.Div(flat, extent)
    return rows[0] if len(rows) == 1 else op.Concat(*rows, axis=0)


as_is("Trilu", since=14)


@spells("Trilu")
def trilu_by_comparing(op: Emitter, input: Operand, k: Operand = None, *, upper: int = 1) -> ir.Value:
    """Before Trilu: keep what lies on one side of a diagonal, by row and column number."""
    (x,) = alike(op, input)
    rank = op.rank(x)
    diagonal: Any = 0 if k is None else k
    rows, columns = op.dim(x, -2), op.dim(x, -1)
    if rows is not None and columns is not None and not isinstance(k, ir.Value) and rows * columns <= 2**20:
        distance = np.arange(columns)[None, :] - np.arange(rows)[:, None] - int(np.asarray(diagonal).reshape(()))
        kept = op.const(distance >= 0 if upper else distance <= 0, ir.DataType.BOOL)
    else:
        row = op.Unsqueeze(op.Range(0, op.scalar(op.size(x, rank - 2)), 1), [1])
        column = op.Range(0, op.scalar(op.size(x, rank - 1)), 1)
        limit = op.Add(row, op.scalar(diagonal))
        kept = op.Not(op.Less(column, limit) if upper else op.Greater(column, limit))
    return op.Where(kept, x, op.const_like(0, x))
