# SPDX-License-Identifier: Apache-2.0
"""Factors of symmetric matrices that are not definite, with blocks of one and two rows, and systems solved by them.

Source: J. R. Bunch and L. Kaufman, "Some stable methods for calculating inertia and solving symmetric linear systems",
Math. Comp. 31 (1977), 163-179; pivots are chosen and told as LAPACK's sytf2 does, which PyTorch calls.  A round of a
loop works on all matrices of a batch at once: rows are chosen by vectors that are one there and zero elsewhere.
"""

from __future__ import annotations

import math

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import batched_alike, body_of, loop

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL
_ALPHA = (1 + math.sqrt(17)) / 8


@attrs.frozen
class _Rows:
    """The row numbers of matrices in a body, and vectors (batch x n) of a dtype made of them."""

    op: Emitter
    numbers: ir.Value
    dtype: ir.DataType

    def mask(self, flags: ir.Value) -> ir.Value:
        """Return flags as numbers."""
        return self.op.cast(flags, self.dtype)

    def at(self, row: ir.Value) -> ir.Value:
        """Return the vector that is one in a row (batch x 1)."""
        return self.mask(self.op.Equal(self.numbers, row))

    def after(self, row: ir.Value) -> ir.Value:
        """Return the vector that is one after a row."""
        return self.mask(self.op.Greater(self.numbers, row))

    def before(self, row: ir.Value) -> ir.Value:
        """Return the vector that is one before a row."""
        return self.mask(self.op.Less(self.numbers, row))


def _column(op: Emitter, matrix: ir.Value, chosen: ir.Value) -> ir.Value:
    """Return the column of a matrix (batch x n x n) that a vector chooses."""
    return op.ReduceSum(op.Mul(matrix, op.Unsqueeze(chosen, [1])), [2], keepdims=0)


def _entry(op: Emitter, column: ir.Value, chosen: ir.Value) -> ir.Value:
    """Return the entry of a vector that another chooses (batch x 1)."""
    return op.ReduceSum(op.Mul(column, chosen), [1], keepdims=1)


def _outer(op: Emitter, column: ir.Value, row: ir.Value) -> ir.Value:
    return op.Mul(op.Unsqueeze(column, [2]), op.Unsqueeze(row, [1]))


def _largest(op: Emitter, column: ir.Value, allowed: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return where the largest size among the allowed entries is, the first of several, and that size; zero if none."""
    one = op.const_like(1, column)
    sizes = op.Sub(op.Mul(op.Abs(column), allowed), op.Sub(one, allowed))
    return op.ArgMax(sizes, axis=1, keepdims=1), op.Max(op.ReduceMax(sizes, [1], keepdims=1), op.const_like(0, column))


def _exchanged(op: Emitter, rows: _Rows, matrix: ir.Value, a: ir.Value, b: ir.Value, both: bool) -> ir.Value:
    """Exchange two rows of matrices, and the columns of the same numbers."""
    other = op.Where(op.Equal(rows.numbers, a), b, op.Where(op.Equal(rows.numbers, b), a, rows.numbers))
    order = op.cast(op.Equal(op.Unsqueeze(other, [2]), op.Unsqueeze(rows.numbers, [1])), rows.dtype)
    moved = op.MatMul(order, matrix)
    return op.MatMul(moved, op.Transpose(order, perm=[0, 2, 1])) if both else moved


def _not_zero(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Where(op.Equal(x, op.const_like(0, x)), op.const_like(1, x), x)


def _flat(op: Emitter, x: ir.Value, trailing: int) -> tuple[ir.Value, int]:
    """Fold the batch axes to one; also returns how many rows there are."""
    size = op.dim(x, -trailing)
    if size is None:
        raise op.cannot("symmetric factors of a matrix whose size is only known at run time")
    tail = [op.size(x, axis) for axis in range(op.rank(x) - trailing, op.rank(x))]
    return op.Reshape(x, op.i64(op.int_vector([-1, *tail]))), size


def _is_empty(op: Emitter, x: ir.Value) -> bool:
    return any(op.dim(x, axis) == 0 for axis in range(op.rank(x)))


@lowers("aten::linalg_ldl_factor_ex")
def ldl_factor_ex(
    op: Emitter, x: ir.Value, *, hermitian: bool = False, check_errors: bool = False
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Factor symmetric matrices, of which the lower triangle is read; ``info`` is the first row whose block is zero."""
    del hermitian, check_errors
    lead = [op.size(x, axis) for axis in range(op.rank(x) - 2)]
    if _is_empty(op, x):
        zero = op.const(0, ir.DataType.INT32)
        told, info = (op.Expand(zero, op.i64(op.int_vector(sizes))) for sizes in ([*lead, op.size(x, -1)], lead))
        return op.Identity(x), told, info
    flat, n = _flat(op, x, 2)
    dtype = flat.dtype or ir.DataType.FLOAT
    lower = op.Trilu(flat, upper=0)
    below = op.Trilu(flat, op.i64(-1), upper=0)
    trailing = op.Add(lower, op.Transpose(below, perm=[0, 2, 1]))
    corner = op.Slice(flat, [0, 0], [1, 1], [1, 2])
    nothing = op.Squeeze(op.cast(op.Mul(corner, op.const_like(0, corner)), _INT64), [2])
    blank = op.Mul(flat, op.const_like(0, flat))
    pivots = op.Expand(nothing, op.int_vector([1, n]))
    carried = [trailing, blank, pivots, nothing, nothing]
    nothing.shape, pivots.shape = ir.Shape([None, 1]), ir.Shape([None, n])
    trailing.shape = blank.shape = ir.Shape([None, n, n])
    body = body_of(op, carried)
    matrix, factors, told, k, info = body.inputs[2:]
    rows = _Rows(body, op.i64([list(range(n))]), dtype)
    first, after = rows.at(k), rows.after(k)
    here = _column(body, matrix, first)
    size = body.Abs(_entry(body, here, first))
    imax, colmax = _largest(body, here, after)
    there = _column(body, matrix, rows.at(imax))
    among = body.Mul(body.Add(first, after), body.Sub(body.const_like(1, first), rows.at(imax)))
    _, rowmax = _largest(body, there, among)
    alpha = body.const_like(_ALPHA, size)
    zero = body.Equal(body.Max(size, colmax), body.const_like(0, size))
    fresh = body.And(body.And(zero, body.Less(k, n)), body.Equal(info, 0))
    info = body.Where(fresh, body.Add(k, 1), info)
    limit = body.Mul(alpha, colmax)
    ratio = body.Div(colmax, _not_zero(body, rowmax))
    stays = body.Or(body.Not(body.Less(size, limit)), body.Not(body.Less(size, body.Mul(limit, ratio))))
    alone = body.Not(body.Less(body.Abs(_entry(body, there, rows.at(imax))), body.Mul(alpha, rowmax)))
    pivot = body.Where(stays, k, imax)
    paired = body.And(body.Not(stays), body.Not(alone))
    step = body.Add(body.cast(paired, _INT64), 1)
    matrix = _exchanged(body, rows, matrix, body.Sub(body.Add(k, step), 1), pivot, both=True)

    second = rows.at(body.Add(k, 1))
    c1, c2 = _column(body, matrix, first), _column(body, matrix, second)
    a, b, c = _entry(body, c1, first), _entry(body, c1, second), _entry(body, c2, second)
    rest = rows.after(body.Sub(body.Add(k, step), 1))
    r1, r2 = body.Mul(c1, rest), body.Mul(c2, rest)
    single = body.Div(r1, _not_zero(body, a))
    off = _not_zero(body, b)
    d11, d22 = body.Div(c, off), body.Div(a, off)
    scale = body.Div(body.Reciprocal(_not_zero(body, body.Sub(body.Mul(d11, d22), body.const_like(1, d11)))), off)
    left = body.Mul(scale, body.Sub(body.Mul(d11, r1), r2))
    right = body.Mul(scale, body.Sub(body.Mul(d22, r2), r1))
    w1 = body.Where(paired, left, single)
    w2 = body.Where(paired, right, body.Mul(r2, body.const_like(0, r2)))
    kept = _outer(body, rest, rest)
    matrix = body.Mul(body.Sub(body.Sub(matrix, _outer(body, w1, r1)), _outer(body, w2, r2)), kept)
    b = body.Where(paired, b, body.const_like(0, b))
    c = body.Where(paired, c, body.const_like(0, c))
    stored = body.Add(w1, body.Add(body.Mul(first, a), body.Mul(second, b)))
    factors = body.Add(factors, _outer(body, stored, first))
    factors = body.Add(factors, _outer(body, body.Add(w2, body.Mul(second, c)), second))
    number = body.Add(pivot, 1)
    number = body.Where(paired, body.Neg(number), number)
    block = body.Or(body.Equal(rows.numbers, k), body.And(body.Equal(rows.numbers, body.Add(k, 1)), paired))
    told = body.Where(block, number, told)
    results = [matrix, factors, told, body.Add(k, step), info]
    _, found, told, _, info = loop(op, op.i64(n), carried, body, results)

    told = op.cast(op.Reshape(told, op.i64(op.int_vector([*lead, n]))), ir.DataType.INT32)
    info = op.cast(op.Reshape(info, op.i64(op.int_vector(lead))), ir.DataType.INT32)
    return op.Reshape(found, op.i64(op.int_vector([*lead, n, n]))), told, info


@attrs.frozen
class _Block:
    """The block of one or two rows that a round works on, of a system of equations."""

    first: ir.Value
    second: ir.Value
    columns: tuple[ir.Value, ir.Value]
    paired: ir.Value
    pivot: ir.Value


def _row(op: Emitter, matrix: ir.Value, chosen: ir.Value) -> ir.Value:
    """Return the row of a matrix (batch x n x m) that a vector chooses, as batch x m."""
    return op.ReduceSum(op.Mul(matrix, op.Unsqueeze(chosen, [2])), [1], keepdims=0)


def _block(rows: _Rows, factors: ir.Value, pivots: ir.Value, k: ir.Value, neighbour: int) -> _Block:
    op = rows.op
    told = op.ReduceSum(op.Mul(pivots, op.cast(op.Equal(rows.numbers, k), _INT64)), [1], keepdims=1)
    first, second = rows.at(k), rows.at(op.Add(k, neighbour))
    columns = _column(op, factors, first), _column(op, factors, second)
    return _Block(first, second, columns, op.Less(told, 0), op.Sub(op.Abs(told), 1))


def _down(op: Emitter, factors: ir.Value, pivots: ir.Value, right: ir.Value, n: int, start: ir.Value) -> ir.Value:
    """Solve by the lower triangle and the blocks."""
    body = body_of(op, [right, start])
    y, k = body.inputs[2:]
    rows = _Rows(body, op.i64([list(range(n))]), right.dtype or ir.DataType.FLOAT)
    block = _block(rows, factors, pivots, k, 1)
    step = body.Add(body.cast(block.paired, _INT64), 1)
    last = body.Sub(body.Add(k, step), 1)
    y = _exchanged(body, rows, y, last, block.pivot, both=False)
    (f1, f2), rest = block.columns, rows.after(last)
    upper, lower = _row(body, y, block.first), _row(body, y, block.second)
    y = body.Sub(y, _outer(body, body.Mul(f1, rest), upper))
    two = rows.mask(block.paired)
    y = body.Sub(y, _outer(body, body.Mul(body.Mul(f2, rest), two), lower))
    a, b, c = _entry(body, f1, block.first), _entry(body, f1, block.second), _entry(body, f2, block.second)
    off = _not_zero(body, b)
    d1, d2, u, v = (body.Div(value, off) for value in (a, c, upper, lower))
    scale = body.Reciprocal(_not_zero(body, body.Sub(body.Mul(d1, d2), body.const_like(1, d1))))
    solved_upper = body.Where(
        block.paired, body.Mul(scale, body.Sub(body.Mul(d2, u), v)), body.Div(upper, _not_zero(body, a))
    )
    solved_lower = body.Mul(scale, body.Sub(body.Mul(d1, v), u))
    second = body.Mul(block.second, two)
    others = body.Sub(body.Sub(body.const_like(1, second), block.first), second)
    y = body.Mul(y, body.Unsqueeze(others, [2]))
    y = body.Add(y, body.Add(_outer(body, block.first, solved_upper), _outer(body, second, solved_lower)))
    return loop(op, op.i64(n), [right, start], body, [y, body.Add(k, step)])[0]


def _up(op: Emitter, factors: ir.Value, pivots: ir.Value, right: ir.Value, n: int, start: ir.Value) -> ir.Value:
    """Solve by the transpose of the lower triangle."""
    body = body_of(op, [right, start])
    y, k = body.inputs[2:]
    rows = _Rows(body, op.i64([list(range(n))]), right.dtype or ir.DataType.FLOAT)
    block = _block(rows, factors, pivots, k, -1)
    (f1, f2), rest = block.columns, rows.after(k)
    second = body.Mul(block.second, rows.mask(block.paired))
    y, whole = body.Sub(y, _outer(body, block.first, _row(body, y, body.Mul(f1, rest)))), y
    y = body.Sub(y, _outer(body, second, _row(body, whole, body.Mul(f2, rest))))
    y = _exchanged(body, rows, y, k, block.pivot, both=False)
    step = body.Add(body.cast(block.paired, _INT64), 1)
    return loop(op, op.i64(n), [right, start], body, [y, body.Sub(k, step)])[0]


@lowers("aten::linalg_ldl_solve")
def ldl_solve(
    op: Emitter, factors: ir.Value, pivots: ir.Value, right: ir.Value, *, hermitian: bool = False
) -> ir.Value:
    """Solve systems by such factors: down the rows, then up again."""
    del hermitian
    pivots = op.Unsqueeze(op.cast(pivots, _INT64), [op.rank(pivots)])
    factors, right = batched_alike(op, factors, right)
    pivots, right = batched_alike(op, pivots, right)
    if _is_empty(op, right):
        return op.Identity(right)
    lead = [op.size(right, axis) for axis in range(op.rank(right) - 2)]
    columns = op.size(right, op.rank(right) - 1)
    (matrix, n), (told, _), (y, _) = (_flat(op, value, 2) for value in (factors, pivots, right))
    width = op.dim(right, -1)
    y.shape = ir.Shape([None, n, width])
    told = op.Squeeze(told, [2])
    corner = op.cast(op.Slice(told, [0], [1], [1]), _INT64)
    start = op.Mul(corner, 0)
    start.shape = ir.Shape([None, 1])
    y = _down(op, matrix, told, y, n, start)
    y = _up(op, matrix, told, y, n, op.Add(start, n - 1))
    return op.Reshape(y, op.i64(op.int_vector([*lead, n, columns])))
