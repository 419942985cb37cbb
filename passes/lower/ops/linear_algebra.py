# SPDX-License-Identifier: Apache-2.0
"""Cross products, distances between points, and powers of matrices."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import identity_like, inverted, places
from .expanding import expand_like, expand_to
from .views import sizes_of, swapped


def _crossed(op: Emitter, x: ir.Value, y: ir.Value, axis: int) -> ir.Value:
    x, y = op.promote(x, y)
    x, y = expand_like(op, x, y), expand_like(op, y, x)
    axis %= op.rank(x)
    forth, back = op.i64([1, 2, 0]), op.i64([2, 0, 1])
    first = op.Mul(op.Gather(x, forth, axis=axis), op.Gather(y, back, axis=axis))
    second = op.Mul(op.Gather(x, back, axis=axis), op.Gather(y, forth, axis=axis))
    return op.Sub(first, second)


@lowers("aten::linalg_cross")
def linalg_cross(op: Emitter, x: ir.Value, y: ir.Value, *, dim: int = -1) -> ir.Value:
    """Take the cross products of vectors of three."""
    return _crossed(op, x, y, dim)


@lowers("aten::cross")
def cross(op: Emitter, x: ir.Value, y: ir.Value, *, dim: int | None = None) -> ir.Value:
    """Take the cross products of vectors of three, by default along the first axis of that size."""
    if dim is None:
        dim = next((axis for axis in range(op.rank(x)) if op.dim(x, axis) == 3), None)
    if dim is None:
        raise op.cannot("which axis has size three is only known at run time")
    return _crossed(op, x, y, dim)


def distances(op: Emitter, differences: ir.Value, p: float) -> ir.Value:
    """Return the p-norm over the last axis."""
    axis = [op.rank(differences) - 1]
    if p == 0:
        nonzero = op.Not(op.Equal(differences, op.const_like(0, differences)))
        return op.ReduceSum(op.cast(nonzero, differences.dtype or ir.DataType.FLOAT), axis, keepdims=0)
    if p == 1:
        return op.ReduceL1(differences, axis, keepdims=0)
    if p == 2:
        return op.ReduceL2(differences, axis, keepdims=0)
    size = op.Abs(differences)
    if math.isinf(p):
        return op.ReduceMax(size, axis, keepdims=0)
    summed = op.ReduceSum(op.Pow(size, op.const_like(p, size)), axis, keepdims=0)
    return op.Pow(summed, op.const_like(1 / p, size))


def _pairwise(op: Emitter, x: ir.Value, y: ir.Value, p: float) -> ir.Value:
    if op.dim(x, -1) == 0:
        shape = [*sizes_of(op, x, 0, op.rank(x) - 1), *sizes_of(op, y, op.rank(y) - 2, op.rank(y) - 1)]
        return expand_to(op, op.const_like(0, x), shape)
    rows = op.Unsqueeze(x, [op.rank(x) - 1])
    columns = op.Unsqueeze(y, [op.rank(y) - 2])
    return distances(op, op.Sub(rows, columns), p)


@lowers("aten::_cdist_forward", "aten::cdist")
def cdist(op: Emitter, x: ir.Value, y: ir.Value, *, p: float = 2, compute_mode: int | None = None) -> ir.Value:
    """Take the distances between all pairs of points."""
    del compute_mode  # how the CPU goes about it
    return _pairwise(op, x, y, p)


@lowers("aten::_euclidean_dist")
def euclidean_distance(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Take the Euclidean distances between all pairs of points."""
    return _pairwise(op, x, y, 2)


@lowers("aten::_pdist_forward", "aten::pdist")
def pdist(op: Emitter, x: ir.Value, *, p: float = 2) -> ir.Value:
    """Take the distances between the pairs of different points, as a vector."""
    count = op.dim(x, 0)
    if count is None:
        index = places(op, x, 0)
        pairs = op.NonZero(op.Less(op.Unsqueeze(index, [1]), index))
        first, second = (op.Gather(pairs, op.i64(row), axis=0) for row in range(2))
    else:
        first = op.i64([i for i in range(count) for _ in range(i + 1, count)])
        second = op.i64([j for i in range(count) for j in range(i + 1, count)])
    return distances(op, op.Sub(op.Gather(x, first, axis=0), op.Gather(x, second, axis=0)), p)


@lowers("aten::linalg_matrix_power", "aten::matrix_power")
def matrix_power(op: Emitter, x: ir.Value, *, n: int) -> ir.Value:
    """Multiply a matrix by itself, by squaring."""
    if n == 0:
        return expand_like(op, identity_like(op, x), x)
    if n < 0:
        x, n = inverted(op, x), -n
    result: ir.Value | None = None
    while n:
        if n % 2:
            result = x if result is None else op.MatMul(result, x)
        n //= 2
        if n:
            x = op.MatMul(x, x)
    assert result is not None
    return result


@lowers("aten::linalg_matrix_exp", "aten::matrix_exp")
def matrix_exp(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the exponential of matrices by scaling and squaring of a Taylor polynomial.

    The matrix is halved until its norm is below 1/2, where twelve terms leave an error below 2**-52 (Moler and Van
    Loan, Nineteen Dubious Ways to Compute the Exponential of a Matrix, method 3); a norm up to 2**16 is provided for.
    """
    rank = op.rank(x)
    norm = op.ReduceMax(op.ReduceSum(op.Abs(x), [rank - 1], keepdims=1), [rank - 2], keepdims=1)
    halvings = 17
    identity = identity_like(op, x)
    steps = op.const([2.0**k for k in range(-1, halvings - 1)], x.dtype or ir.DataType.FLOAT)
    # For every matrix of the batch, as many halvings as its own norm asks for.
    passed = op.cast(op.Greater(norm, steps), x.dtype or ir.DataType.FLOAT)
    count = op.ReduceSum(passed, [rank - 1], keepdims=1)
    scaled = op.Div(x, op.Pow(op.const_like(2, x), count))
    total = op.Add(identity, scaled)
    term = scaled
    for k in range(2, 13):
        term = op.Mul(op.MatMul(term, scaled), op.const_like(1 / k, x))
        total = op.Add(total, term)
    for k in range(halvings):
        total = op.Where(op.Greater(count, op.const_like(k, x)), op.MatMul(total, total), total)
    return total


@lowers("aten::mH", "aten::adjoint")
def adjoint(op: Emitter, x: ir.Value) -> ir.Value:
    """Transpose matrices of real numbers."""
    return swapped(op, x, -2, -1)
