# SPDX-License-Identifier: Apache-2.0
"""Systems of equations: solve, inverse, determinants and Cholesky factors, by elimination in a Loop.

ONNX has Det and nothing else of this family.  Gauss-Jordan elimination with partial pivoting (Golub and Van Loan,
Matrix Computations, 3.4) takes one round of a Loop a column, over all matrices of a batch at once; the Cholesky factor
is made a column a round as well (ibid., 4.2.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .expanding import expand_to
from .views import Size, SizeOf, sizes_of, swapped

_INT64 = ir.DataType.INT64
_BOOL = ir.DataType.BOOL


def dtype_of(x: ir.Value) -> ir.DataType:
    """Return the dtype of a value."""
    return x.dtype or ir.DataType.FLOAT


def places(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    """Return 0, 1, ... along an axis, as a vector."""
    size = op.dim(x, axis)
    if size is not None:
        return op.i64(list(range(size)))
    return op.Range(op.i64(0), op.scalar(op.size(x, axis)), op.i64(1))


def identity_like(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the identity matrix of the size of the last axis, in the dtype of a value."""
    size = op.dim(x, -1)
    if size is not None:
        return op.const_like(np.eye(size), x)
    index = places(op, x, op.rank(x) - 1)
    return op.cast(op.Equal(op.Unsqueeze(index, [1]), index), dtype_of(x))


def loop(
    op: Emitter,
    rounds: ir.Value | None,
    carried: Sequence[ir.Value],
    body: Emitter,
    results: Sequence[ir.Value],
    go_on: ir.Value | None = None,
    start: ir.Value | None = None,
) -> list[ir.Value]:
    """Close a body whose inputs are round, condition and the carried values, and return what is carried out.

    Args:
        op: the emitter.
        rounds: how many rounds there are at most; None for no limit.
        carried: what goes into the first round.
        body: the emitter of the body.
        results: what goes into the next round.
        go_on: what the body says of whether there is a next round; None for always.
        start: whether there is a first round; None for yes.
    """
    graph = body.graph([body.inputs[1] if go_on is None else go_on, *results])
    made = op.Loop(
        rounds, op.const(True, _BOOL) if start is None else start, *carried, body=graph, outputs=len(carried)
    )
    outputs = list(made) if isinstance(made, tuple) else [made]
    for output, value in zip(outputs, carried, strict=True):
        output.type, output.shape = ir.TensorType(dtype_of(value)), value.shape
    return outputs


@attrs.frozen
class Eliminated:
    """What elimination finds: the solution, and the determinant as sign and logarithm as well as itself."""

    solution: ir.Value
    determinant: ir.Value
    sign: ir.Value
    log: ir.Value


def body_of(op: Emitter, carried: Sequence[ir.Value]) -> Emitter:
    """Open a body whose inputs are round, condition and the carried values."""
    named = [(f"carried_{i}", dtype_of(value), list(value.shape or ())) for i, value in enumerate(carried)]
    return op.body(("round", _INT64, []), ("go_on", _BOOL, []), *named)


def eliminated(op: Emitter, matrix: ir.Value, right: ir.Value) -> Eliminated:
    """Solve ``matrix @ solution = right`` for matrices in the last two axes, of the same batch axes."""
    rank = op.rank(matrix)
    dtype = dtype_of(matrix)
    wide = op.Concat(matrix, right, axis=rank - 1)
    one = op.const(1, dtype)
    batch = expand_to(op, one, sizes_of(op, matrix, 0, rank - 2))
    zero = expand_to(op, op.const(0, dtype), sizes_of(op, matrix, 0, rank - 2))
    carried = [wide, batch, batch, zero]
    body = body_of(op, carried)
    column, _, now, determinant, sign, log = body.inputs
    rows = places(op, matrix, rank - 2)
    values = body.Abs(body.Gather(now, column, axis=rank - 1))
    left_over = body.Where(body.Less(rows, column), body.const(-1, dtype), values)
    found = body.Unsqueeze(body.ArgMax(left_over, axis=rank - 2, keepdims=0), [rank - 2])
    # The row of the largest element changes places with the row of this round.
    source = body.Where(body.Equal(rows, column), found, body.Where(body.Equal(rows, found), column, rows))
    order = body.cast(body.Equal(body.Unsqueeze(source, [rank - 1]), rows), dtype)
    swapped_rows = body.MatMul(order, now)
    pivot_row = body.Gather(swapped_rows, column, axis=rank - 2)
    pivot = body.Gather(pivot_row, column, axis=rank - 2)
    scaled = body.Unsqueeze(body.Div(pivot_row, body.Unsqueeze(pivot, [rank - 2])), [rank - 2])
    here = body.Equal(body.Unsqueeze(rows, [1]), column)
    factors = body.Unsqueeze(body.Gather(swapped_rows, column, axis=rank - 1), [rank - 1])
    rest = body.Sub(swapped_rows, body.Mul(factors, scaled))
    following = body.Where(here, scaled, rest)
    stayed = body.Squeeze(body.Equal(found, column), [rank - 2])
    signed = body.Where(stayed, pivot, body.Neg(pivot))
    results = [
        following,
        body.Mul(determinant, signed),
        body.Mul(sign, body.Sign(signed)),
        body.Add(log, body.Log(body.Abs(pivot))),
    ]
    rounds = op.scalar(op.size(matrix, rank - 1))
    wide, determinant, sign, log = loop(op, rounds, carried, body, results)
    start = op.vector(op.size(matrix, rank - 1))
    solution = op.Slice(wide, start, [2**63 - 1], [rank - 1])
    return Eliminated(solution, determinant, sign, log)


def inverted(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the inverse of matrices in the last two axes: by formula up to two rows, else by elimination."""
    rank = op.rank(x)
    size = op.dim(x, -1)
    if size == 1:
        return op.Div(op.const_like(1, x), x)
    if size == 2:
        flat_axes = [op.Gather(x, op.i64(i), axis=rank - 2) for i in range(2)]
        (a, b), (c, d) = ([op.Gather(row, op.i64([i]), axis=rank - 2) for i in range(2)] for row in flat_axes)
        determinant = op.Unsqueeze(op.Sub(op.Mul(a, d), op.Mul(b, c)), [rank - 2])
        top, bottom = op.Concat(d, op.Neg(b), axis=rank - 2), op.Concat(op.Neg(c), a, axis=rank - 2)
        adjugate = op.Concat(*(op.Unsqueeze(row, [rank - 2]) for row in (top, bottom)), axis=rank - 2)
        return op.Div(adjugate, determinant)
    batch: list[Size] = sizes_of(op, x, 0, rank - 2)
    identity = expand_to(op, identity_like(op, x), [*batch, *sizes_of(op, x, rank - 2)])
    return eliminated(op, x, identity).solution


def no_errors(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the zero that says, for every matrix, that nothing went wrong."""
    return expand_to(op, op.const(0, ir.DataType.INT32), sizes_of(op, x, 0, op.rank(x) - 2))


@lowers("aten::linalg_inv_ex")
def inv_ex(op: Emitter, x: ir.Value, *, check_errors: bool = False) -> tuple[ir.Value, ir.Value]:
    """Invert matrices; one without an inverse gives infinities or NaNs, as there is no way to raise an error."""
    del check_errors
    return inverted(op, x), no_errors(op, x)


@lowers("aten::inverse", "aten::linalg_inv")
def inverse(op: Emitter, x: ir.Value) -> ir.Value:
    """Invert matrices."""
    return inverted(op, x)


def determinant(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the determinants of matrices in the last two axes, without ONNX's Det."""
    rank = op.rank(x)
    return eliminated(op, x, op.Slice(x, [0], [0], [rank - 1])).determinant


@lowers("aten::_linalg_det", "aten::linalg_det", "aten::det", since=11)
def det(op: Emitter, x: ir.Value) -> ir.Value:
    """Compute determinants."""
    return op.Det(x)


@lowers("aten::_linalg_det", "aten::linalg_det", "aten::det")
def det_by_elimination(op: Emitter, x: ir.Value) -> ir.Value:
    """Compute determinants, before ONNX had Det."""
    return determinant(op, x)


@lowers("aten::_linalg_slogdet", "aten::linalg_slogdet", "aten::slogdet")
def slogdet(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Compute determinants as sign and logarithm."""
    found = eliminated(op, x, op.Slice(x, [0], [0], [op.rank(x) - 1]))
    return found.sign, found.log


@lowers("aten::logdet")
def logdet(op: Emitter, x: ir.Value) -> ir.Value:
    """Compute the logarithm of determinants."""
    found = eliminated(op, x, op.Slice(x, [0], [0], [op.rank(x) - 1]))
    return op.Add(op.Log(found.sign), found.log)


def batched_alike(op: Emitter, matrix: ir.Value, right: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Broadcast the batch axes of two stacks of matrices against each other."""
    first, second = op.rank(matrix), op.rank(right)
    if first == second == 2:
        return matrix, right
    rank = max(first, second)
    sizes: list[list[Any]] = [[], []]
    for axis in range(rank - 2):
        candidates = [(x, axis - rank + own) for x, own in ((matrix, first), (right, second)) if axis - rank + own >= 0]
        longer = next((c for c in candidates if op.dim(c[0], c[1]) != 1), candidates[0])
        static = op.dim(longer[0], longer[1])
        for chosen in sizes:
            chosen.append(SizeOf(*longer) if static is None else static)
    made = [expand_to(op, x, [*own, -1, -1]) for x, own in zip((matrix, right), sizes, strict=True)]
    return made[0], made[1]


def solved(op: Emitter, matrix: ir.Value, right: ir.Value, left: bool = True) -> ir.Value:
    """Solve ``matrix @ x = right``, or ``x @ matrix = right``; a right side of fewer axes may be a vector."""
    if not left:
        return turned(op, solved(op, turned(op, matrix), turned(op, right)))
    # PyTorch's rule: a vector, or one vector for each matrix of the batch.
    is_vector = op.rank(right) == 1 or (
        op.rank(matrix) - 1 == op.rank(right) and list(right.shape or ()) == list(matrix.shape or ())[:-1]
    )
    if is_vector:
        right = op.Unsqueeze(right, [op.rank(right)])
    matrix, right = batched_alike(op, matrix, right)
    solution = eliminated(op, matrix, right).solution
    return op.Squeeze(solution, [op.rank(solution) - 1]) if is_vector else solution


def turned(op: Emitter, x: ir.Value) -> ir.Value:
    """Transpose matrices in the last two axes."""
    return swapped(op, x, -2, -1)


@lowers("aten::_linalg_solve_ex")
def solve_ex(
    op: Emitter, matrix: ir.Value, right: ir.Value, *, left: bool = True, check_errors: bool = False
) -> tuple[ir.Value | None, ...]:
    """Solve systems of linear equations; the factors, which only gradients read, are left out."""
    del check_errors
    return solved(op, matrix, right, left), None, None, no_errors(op, matrix)


@lowers("aten::linalg_solve_ex")
def solve_ex_with_info(
    op: Emitter, matrix: ir.Value, right: ir.Value, *, left: bool = True, check_errors: bool = False
) -> tuple[ir.Value, ir.Value]:
    """Solve systems of linear equations."""
    del check_errors
    return solved(op, matrix, right, left), no_errors(op, matrix)


@lowers("aten::linalg_solve")
def solve(op: Emitter, matrix: ir.Value, right: ir.Value, *, left: bool = True) -> ir.Value:
    """Solve systems of linear equations."""
    return solved(op, matrix, right, left)


def triangle(op: Emitter, x: ir.Value, upper: bool, unit: bool) -> ir.Value:
    """Return a triangle of matrices, with ones on the diagonal if asked for."""
    kept = op.Trilu(x, op.i64(0), upper=int(upper))
    if not unit:
        return kept
    index = places(op, x, op.rank(x) - 1)
    return op.Where(op.Equal(op.Unsqueeze(index, [1]), index), op.const_like(1, x), kept)


@lowers("aten::linalg_solve_triangular")
def solve_triangular(
    op: Emitter, matrix: ir.Value, right: ir.Value, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> ir.Value:
    """Solve systems whose matrix is a triangle."""
    return solved_matrices(op, triangle(op, matrix, upper, unitriangular), right, left)


def solved_matrices(op: Emitter, matrix: ir.Value, right: ir.Value, left: bool = True) -> ir.Value:
    """Solve like :func:`solved`, with a right side that holds matrices whatever its number of axes."""
    if not left:
        return turned(op, solved_matrices(op, turned(op, matrix), turned(op, right)))
    return eliminated(op, *batched_alike(op, matrix, right)).solution


@lowers("aten::triangular_solve")
def triangular_solve(
    op: Emitter,
    right: ir.Value,
    matrix: ir.Value,
    *,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> tuple[ir.Value, ir.Value]:
    """Solve systems whose matrix is a triangle; the matrix comes back as it is, its batch axes broadcast."""
    kept = triangle(op, matrix, upper, unitriangular)
    solution = solved_matrices(op, turned(op, kept) if transpose else kept, right)
    return solution, batched_alike(op, matrix, right)[0]


def cholesky_factor(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the lower triangular factor of symmetric positive definite matrices, a column a round."""
    rank = op.rank(x)
    start = op.Sub(x, x)
    body = body_of(op, [start])
    column, _, lower = body.inputs
    rows = places(op, x, rank - 2)
    row = body.Unsqueeze(body.Gather(lower, column, axis=rank - 2), [rank - 1])
    rest = body.Sub(body.Gather(x, column, axis=rank - 1), body.Squeeze(body.MatMul(lower, row), [rank - 1]))
    pivot = body.Unsqueeze(body.Gather(rest, column, axis=rank - 2), [rank - 2])
    made = body.Where(body.Less(rows, column), body.const_like(0, x), body.Div(rest, body.Sqrt(pivot)))
    written = body.Where(body.Equal(rows, column), body.Unsqueeze(made, [rank - 1]), lower)
    return loop(op, op.scalar(op.size(x, rank - 1)), [start], body, [written])[0]


@lowers("aten::linalg_cholesky_ex")
def cholesky_ex(
    op: Emitter, x: ir.Value, *, upper: bool = False, check_errors: bool = False
) -> tuple[ir.Value, ir.Value]:
    """Factor symmetric positive definite matrices."""
    del check_errors
    return _cholesky(op, x, upper), no_errors(op, x)


@lowers("aten::linalg_cholesky", "aten::cholesky")
def cholesky(op: Emitter, x: ir.Value, *, upper: bool = False) -> ir.Value:
    """Factor symmetric positive definite matrices."""
    return _cholesky(op, x, upper)


def _cholesky(op: Emitter, x: ir.Value, upper: bool) -> ir.Value:
    # Only one triangle is read, and PyTorch reads the one that is asked for.
    factor = cholesky_factor(op, turned(op, x) if upper else x)
    return turned(op, factor) if upper else factor


@lowers("aten::cholesky_solve", "aten::_cholesky_solve_helper")
def cholesky_solve(op: Emitter, right: ir.Value, factor: ir.Value, *, upper: bool = False) -> ir.Value:
    """Solve systems by the Cholesky factor of their matrix."""
    return solved_matrices(op, _from_factor(op, factor, upper), right)


def _from_factor(op: Emitter, factor: ir.Value, upper: bool) -> ir.Value:
    kept = triangle(op, factor, upper, unit=False)
    return op.MatMul(turned(op, kept), kept) if upper else op.MatMul(kept, turned(op, kept))


@lowers("aten::cholesky_inverse")
def cholesky_inverse(op: Emitter, factor: ir.Value, *, upper: bool = False) -> ir.Value:
    """Invert matrices by their Cholesky factor."""
    return inverted(op, _from_factor(op, factor, upper))
