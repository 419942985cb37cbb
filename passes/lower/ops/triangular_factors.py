# SPDX-License-Identifier: Apache-2.0
"""LU factors with partial pivoting, a column a round of a Loop (Golub and Van Loan, Matrix Computations, 3.4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import body_of, dtype_of, loop, places, solved_matrices, turned
from .expanding import expand_to
from .reflections import smaller_side
from .views import sizes_of

_INT64 = ir.DataType.INT64
_INT32 = ir.DataType.INT32


def factored(op: Emitter, x: ir.Value, pivot: bool = True) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Factor matrices in place.

    Returns:
        L below the diagonal and U on and above it in one matrix; for each column the row, from 0, that it changed
        places with; and the first column, from 1, whose pivot is zero, or 0.
    """
    rank, dtype = op.rank(x), dtype_of(x)
    count = smaller_side(op, x)
    batch = sizes_of(op, x, 0, rank - 2)
    nothing = op.i64(0)
    carried = [x, expand_to(op, nothing, [*batch, count]), expand_to(op, nothing, batch)]
    body = body_of(op, carried)
    column, _, now, swaps, info = body.inputs
    rows, columns = places(op, x, rank - 2), places(op, x, rank - 1)
    zero, one = op.const(0, dtype), op.const(1, dtype)
    values = body.Gather(now, column, axis=rank - 1)
    if pivot:
        size = body.Where(body.Less(rows, column), op.const(-1, dtype), body.Abs(values))
        found = body.ArgMax(size, axis=rank - 2, keepdims=1)
    else:
        found = expand_to(body, column, [*batch, 1])
    source = body.Where(body.Equal(rows, column), found, body.Where(body.Equal(rows, found), column, rows))
    order = body.cast(body.Equal(body.Unsqueeze(source, [rank - 1]), rows), dtype)
    swapped = body.MatMul(order, now)
    rows_down = op.Unsqueeze(rows, [1])
    below = body.Greater(rows_down, column)
    values = body.Unsqueeze(body.Gather(swapped, column, axis=rank - 1), [rank - 1])
    chosen = body.ReduceSum(body.Where(body.Equal(rows_down, column), values, zero), [rank - 2], keepdims=1)
    singular = body.Equal(chosen, zero)
    factors = body.Where(below, body.Div(values, body.Where(singular, one, chosen)), zero)
    across = body.Unsqueeze(body.Gather(swapped, column, axis=rank - 2), [rank - 2])
    changed = body.Sub(swapped, body.Mul(factors, across))
    own = body.Where(below, factors, values)
    following = body.Where(
        body.Greater(columns, column), changed, body.Where(body.Equal(columns, column), own, swapped)
    )
    index = places(op, carried[1], rank - 2)
    noted = body.Where(body.Equal(index, column), found, swaps)
    met = body.And(body.Squeeze(singular, [rank - 2, rank - 1]), body.Equal(info, nothing))
    told = body.Where(met, body.Add(column, op.i64(1)), info)
    packed, swaps, info = loop(op, op.scalar(count), carried, body, [following, noted, told])
    return packed, swaps, info


def permutation(op: Emitter, swaps: ir.Value, rows: int | ir.Value, dtype: ir.DataType) -> ir.Value:
    """Return the matrices P of ``A = P @ L @ U`` for the changes of places, from 0, that :func:`factored` tells."""
    rank = op.rank(swaps)
    index = op.i64(np.arange(rows)) if isinstance(rows, int) else op.Range(op.i64(0), op.scalar(rows), op.i64(1))
    start = expand_to(op, index, [*sizes_of(op, swaps, 0, rank - 1), -1])
    body = body_of(op, [start])
    turn, _, now = body.inputs
    other = body.Unsqueeze(body.Gather(swaps, turn, axis=rank - 1), [rank - 1])
    at_turn, at_other = body.Equal(index, turn), body.Equal(index, other)
    none = op.i64(0)
    first = body.ReduceSum(body.Where(at_turn, now, none), [rank - 1], keepdims=1)
    second = body.ReduceSum(body.Where(at_other, now, none), [rank - 1], keepdims=1)
    swapped = body.Where(at_turn, second, body.Where(at_other, first, now))
    (order,) = loop(op, op.scalar(op.size(swaps, rank - 1)), [start], body, [swapped])
    return op.cast(op.Equal(op.Unsqueeze(index, [1]), op.Unsqueeze(order, [rank - 1])), dtype)


def lower_and_upper(op: Emitter, packed: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Take L, with ones on its diagonal, and U out of the matrix that holds both."""
    rank = op.rank(packed)
    count = op.vector(smaller_side(op, packed))
    tall = op.Slice(packed, [0], count, [rank - 1])
    wide = op.Slice(packed, [0], count, [rank - 2])
    # The diagonal is cut off before the ones are added: it may hold infinities.
    rows, columns = places(op, tall, rank - 2), places(op, tall, rank - 1)
    diagonal = op.cast(op.Equal(op.Unsqueeze(rows, [1]), columns), dtype_of(packed))
    return op.Add(op.Trilu(tall, op.i64(-1), upper=0), diagonal), op.Trilu(wide, op.i64(0), upper=1)


def _from_one(op: Emitter, swaps: ir.Value) -> ir.Value:
    return op.cast(op.Add(swaps, 1), _INT32)


def _from_zero(op: Emitter, pivots: ir.Value) -> ir.Value:
    return op.Sub(op.cast(pivots, _INT64), 1)


@lowers("aten::linalg_lu_factor_ex")
def lu_factor_ex(
    op: Emitter, x: ir.Value, *, pivot: bool = True, check_errors: bool = False
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Factor matrices; a zero pivot is told, as there is no way to raise an error."""
    del check_errors
    packed, swaps, info = factored(op, x, pivot)
    return packed, _from_one(op, swaps), op.cast(info, _INT32)


@lowers("aten::linalg_lu_factor")
def lu_factor(op: Emitter, x: ir.Value, *, pivot: bool = True) -> tuple[ir.Value, ir.Value]:
    """Factor matrices."""
    packed, swaps, _ = factored(op, x, pivot)
    return packed, _from_one(op, swaps)


@lowers("aten::_lu_with_info")
def lu_with_info(
    op: Emitter, x: ir.Value, *, pivot: bool = True, check_errors: bool = True
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Factor matrices."""
    return lu_factor_ex(op, x, pivot=pivot)


@lowers("aten::linalg_lu")
def lu(op: Emitter, x: ir.Value, *, pivot: bool = True) -> Sequence[ir.Value]:
    """Factor matrices into a permutation, a lower and an upper triangular one."""
    packed, swaps, _ = factored(op, x, pivot)
    if not pivot:
        return (op.const(np.zeros(0), dtype_of(x)), *lower_and_upper(op, packed))
    return (
        permutation(op, swaps, op.size(x, op.rank(x) - 2), dtype_of(x)),
        *lower_and_upper(op, packed),
    )


@lowers("aten::lu_unpack")
def lu_unpack(
    op: Emitter, packed: ir.Value, pivots: ir.Value, *, unpack_data: bool = True, unpack_pivots: bool = True
) -> Sequence[ir.Value]:
    """Take the factors apart; what is not asked for is an empty tensor."""
    nothing = op.const(np.zeros(0), dtype_of(packed))
    order = nothing
    if unpack_pivots:
        order = permutation(op, _from_zero(op, pivots), op.size(packed, op.rank(packed) - 2), dtype_of(packed))
    return (order, *(lower_and_upper(op, packed) if unpack_data else (nothing, nothing)))


@lowers("aten::linalg_lu_solve")
def lu_solve(
    op: Emitter, packed: ir.Value, pivots: ir.Value, right: ir.Value, *, left: bool = True, adjoint: bool = False
) -> ir.Value:
    """Solve systems whose matrix is given by its factors."""
    order = permutation(op, _from_zero(op, pivots), op.size(packed, op.rank(packed) - 2), dtype_of(packed))
    lower, upper = lower_and_upper(op, packed)
    matrix = op.MatMul(order, op.MatMul(lower, upper))
    return solved_matrices(op, turned(op, matrix) if adjoint else matrix, right, left)


@lowers("aten::lu_solve")
def lu_solve_old(op: Emitter, right: ir.Value, packed: ir.Value, pivots: ir.Value) -> ir.Value:
    """Solve systems whose matrix is given by its factors."""
    return lu_solve(op, packed, pivots, right)
