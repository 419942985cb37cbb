# SPDX-License-Identifier: Apache-2.0
"""Eigenvalues of symmetric matrices and singular values, by Jacobi's rotations in a Loop.

A round rotates all pairs of rows whose numbers add up to the round's number, modulo the size, at once; every pair meets
once in as many rounds as there are rows, and the matrix is diagonal after a few such sweeps.  Sources: Golub and Van
Loan, Matrix Computations, 8.5 (two-sided) and 8.6.3 (one-sided, for singular values); the order of the pairs is that of
Brent and Luk.  Of the vectors only the direction is defined: their signs are not PyTorch's.
"""

from __future__ import annotations

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .divisors import any_of
from .elimination import body_of, dtype_of, identity_like, loop, places, turned
from .expanding import expand_like, expand_to
from .reflections import orthogonal, reflected
from .views import sizes_of

_SWEEPS = 40
"""Sweeps that end the loop if it has not converged; ten are usual."""


def _threshold(dtype: ir.DataType) -> float:
    """How large a cosine between two vectors may be for them to count as orthogonal."""
    return 4 * float(np.finfo(np.float64 if dtype == ir.DataType.DOUBLE else np.float32).eps)


def _rotation(body: Emitter, gram: ir.Value, turn: ir.Value) -> ir.Value:
    """Return the matrix whose product with the rows makes the pairs of this turn orthogonal.

    Args:
        body: the emitter of the loop's body.
        gram: symmetric matrices: what is to become diagonal.
        turn: the number of the round.
    """
    rank, dtype = body.rank(gram), dtype_of(gram)
    index = places(body, gram, rank - 1)
    size = body.scalar(body.size(gram, rank - 1))
    partner = body.Mod(body.Sub(turn, index), size)
    zero, one = body.const(0, dtype), body.const(1, dtype)
    own = body.Equal(body.Unsqueeze(index, [1]), index)
    other = body.Equal(body.Unsqueeze(partner, [1]), index)
    diagonal = body.ReduceSum(body.Where(own, gram, zero), [rank - 1], keepdims=0)
    between = body.ReduceSum(body.Where(other, gram, zero), [rank - 1], keepdims=0)
    opposite = body.Gather(diagonal, partner, axis=rank - 2)
    idle = body.Or(body.Equal(between, zero), body.Equal(partner, index))
    ratio = body.Div(body.Mul(body.Sub(opposite, diagonal), 0.5), body.Where(idle, one, between))
    # The smaller of the two angles; where both are alike, the two rows of a pair have to take opposite ones.
    upward = body.Or(body.Greater(ratio, zero), body.And(body.Equal(ratio, zero), body.Less(index, partner)))
    steep = body.Reciprocal(body.Add(body.Abs(ratio), body.Sqrt(body.Add(body.Mul(ratio, ratio), one))))
    tangent = body.Where(idle, zero, body.Where(upward, steep, body.Neg(steep)))
    cosine = body.Reciprocal(body.Sqrt(body.Add(body.Mul(tangent, tangent), one)))
    sine = body.Neg(body.Mul(tangent, cosine))
    on_own = body.Mul(body.Unsqueeze(cosine, [rank - 1]), body.cast(own, dtype))
    on_other = body.Mul(body.Unsqueeze(sine, [rank - 1]), body.cast(other, dtype))
    return body.Add(on_own, on_other)


def _still_apart(body: Emitter, gram: ir.Value, *, relative: bool) -> ir.Value:
    """Whether some matrix is not diagonal yet.

    Args:
        body: the emitter of the loop's body.
        gram: the matrices.
        relative: whether an element is held against the two on the diagonal that it lies between, else against the
            norm of its matrix.
    """
    rank, dtype = body.rank(gram), dtype_of(gram)
    index = places(body, gram, rank - 1)
    own = body.Equal(body.Unsqueeze(index, [1]), index)
    apart = body.Abs(body.Where(own, body.const(0, dtype), gram))
    if relative:
        on_diagonal = body.Where(own, gram, body.const(0, dtype))
        length = body.Sqrt(body.ReduceSum(on_diagonal, [rank - 1], keepdims=1))
        scale = body.Mul(length, turned(body, length))
    else:
        scale = body.Sqrt(body.ReduceSum(body.Mul(gram, gram), [rank - 2, rank - 1], keepdims=1))
    return any_of(body, body.Greater(apart, body.Mul(scale, _threshold(dtype))))


def _rounds(op: Emitter, x: ir.Value) -> ir.Value:
    size = op.size(x, op.rank(x) - 1)
    if isinstance(size, int):
        return op.i64(size * _SWEEPS)
    return op.Mul(op.scalar(size), op.i64(_SWEEPS))


def _in_columns(op: Emitter, x: ir.Value, order: ir.Value) -> ir.Value:
    """Put the columns of matrices into an order, one for each matrix."""
    rank = op.rank(x)
    spread = expand_to(op, op.Unsqueeze(order, [rank - 2]), [*sizes_of(op, x, 0, rank - 1), -1])
    return op.GatherElements(x, spread, axis=rank - 1)


def _on_diagonal(op: Emitter, x: ir.Value) -> ir.Value:
    rank = op.rank(x)
    index = places(op, x, rank - 1)
    own = op.Equal(op.Unsqueeze(index, [1]), index)
    return op.ReduceSum(op.Where(own, x, op.const(0, dtype_of(x))), [rank - 1], keepdims=0)


def _identity(op: Emitter, x: ir.Value) -> ir.Value:
    """Return the identity for square matrices of the size of the last axis, with the batch axes of a value."""
    return expand_to(op, identity_like(op, x), [*sizes_of(op, x, 0, op.rank(x) - 2), -1, -1])


def symmetric_eigen(
    op: Emitter, x: ir.Value, *, upper: bool = False, vectors: bool = True
) -> tuple[ir.Value, ir.Value | None]:
    """Return eigenvalues in ascending order, and eigenvectors as columns, of what one triangle of matrices says."""
    rank = op.rank(x)
    beyond = op.Trilu(x, op.i64(1 if upper else -1), upper=int(upper))
    matrix = op.Add(op.Trilu(x, op.i64(0), upper=int(upper)), turned(op, beyond))
    if op.dim(x, -1) == 0:
        return _on_diagonal(op, matrix), matrix
    carried = [matrix, _identity(op, x)] if vectors else [matrix]
    body = body_of(op, carried)
    turn, _, now = body.inputs[:3]
    rotation = _rotation(body, now, turn)
    back = turned(body, rotation)
    rotated = body.MatMul(body.MatMul(rotation, now), back)
    # Rounding leaves the two halves apart, and the two rows of a pair would turn by different angles.
    following = body.Mul(body.Add(rotated, turned(body, rotated)), 0.5)
    results = [following, body.MatMul(body.inputs[3], back)] if vectors else [following]
    go_on = _still_apart(body, following, relative=False)
    done = loop(op, _rounds(op, x), carried, body, results, go_on)
    count = op.vector(op.size(x, rank - 1))
    values, order = op.TopK(_on_diagonal(op, done[0]), count, axis=rank - 2, largest=0)
    return values, _in_columns(op, done[1], order) if vectors else None


@attrs.frozen
class SingularValues:
    """Singular values in descending order, and the vectors: those of the left as columns, of the right as rows."""

    left: ir.Value | None
    values: ir.Value
    right: ir.Value | None


def singular_values(op: Emitter, x: ir.Value, *, full: bool = False, vectors: bool = True) -> SingularValues:
    """Take matrices apart into singular values and vectors."""
    rows, columns = op.dim(x, -2), op.dim(x, -1)
    if rows is None or columns is None:
        raise op.cannot("singular values of matrices whose sizes are only known at run time have no counterpart")
    if rows < columns:
        found = singular_values(op, turned(op, x), full=full, vectors=vectors)
        if found.left is None or found.right is None:
            return found
        return SingularValues(turned(op, found.right), found.values, turned(op, found.left))
    rank = op.rank(x)
    if columns == 0:
        batch = sizes_of(op, x, 0, rank - 2)
        values = op.ReduceSum(x, [rank - 2], keepdims=0)
        basis = op.const(np.eye(rows, rows if full else 0), dtype_of(x))
        return SingularValues(
            expand_to(op, basis, [*batch, -1, -1]),
            values,
            expand_to(op, op.const(np.eye(0), dtype_of(x)), [*batch, 0, 0]),
        )
    carried = [x, _identity(op, x)] if vectors else [x]
    body = body_of(op, carried)
    turn, _, now = body.inputs[:3]
    back = turned(body, _rotation(body, body.MatMul(turned(body, now), now), turn))
    following = body.MatMul(now, back)
    results = [following, body.MatMul(body.inputs[3], back)] if vectors else [following]
    go_on = _still_apart(body, body.MatMul(turned(body, following), following), relative=True)
    done = loop(op, _rounds(op, x), carried, body, results, go_on)
    lengths = op.ReduceL2(done[0], [rank - 2], keepdims=0)
    values, order = op.TopK(lengths, op.i64([columns]), axis=rank - 2, largest=1)
    if not vectors:
        return SingularValues(None, values, None)
    # The columns are orthogonal, so that the orthogonal factor of QR holds their directions, with those of the
    # columns that are zero, and more to fill up the space.
    scaled = _in_columns(op, done[0], order)
    packed, taus = reflected(op, scaled)
    basis = orthogonal(op, packed, taus, rows if full else columns)
    diagonal = _on_diagonal(op, op.Slice(packed, [0], [columns], [rank - 2]))
    signs = op.Where(op.Less(diagonal, op.const_like(0, x)), op.const_like(-1, x), op.const_like(1, x))
    if full and rows > columns:
        rest = expand_to(op, op.const_like(1, x), [*sizes_of(op, x, 0, rank - 2), rows - columns])
        signs = op.Concat(signs, rest, axis=rank - 2)
    left = op.Mul(basis, op.Unsqueeze(signs, [rank - 2]))
    return SingularValues(left, values, turned(op, _in_columns(op, done[1], order)))


# ---- the operators ---------------------------------------------------------------------------------------------------


@lowers("aten::_linalg_eigh", "aten::linalg_eigh")
def eigh(op: Emitter, x: ir.Value, *, UPLO: str = "L", compute_v: bool = True) -> tuple[ir.Value | None, ...]:
    """Take symmetric matrices apart into eigenvalues and eigenvectors."""
    wanted = compute_v and op.result(1).used
    values, vectors = symmetric_eigen(op, x, upper=UPLO.upper() == "U", vectors=wanted)
    return values, vectors if wanted else _nothing(op, x, compute_v)


@lowers("aten::linalg_eigvalsh")
def eigvalsh(op: Emitter, x: ir.Value, *, UPLO: str = "L") -> ir.Value:
    """Take the eigenvalues of symmetric matrices."""
    return symmetric_eigen(op, x, upper=UPLO.upper() == "U", vectors=False)[0]


def _nothing(op: Emitter, x: ir.Value, asked: bool) -> ir.Value | None:
    """Return the empty tensor that PyTorch gives for what was not asked for; None for what is not used."""
    return None if asked else op.const(np.zeros(0), dtype_of(x))


@lowers("aten::_linalg_svd", "aten::linalg_svd")
def svd(
    op: Emitter, x: ir.Value, *, full_matrices: bool = True, compute_uv: bool = True, driver: str | None = None
) -> tuple[ir.Value | None, ...]:
    """Take matrices apart into singular values and vectors."""
    del driver  # how a GPU goes about it
    wanted = compute_uv and (op.result(0).used or op.result(2).used)
    found = singular_values(op, x, full=full_matrices, vectors=wanted)
    if not wanted:
        return _nothing(op, x, compute_uv), found.values, _nothing(op, x, compute_uv)
    return found.left, found.values, found.right


@lowers("aten::linalg_svdvals")
def svdvals(op: Emitter, x: ir.Value, *, driver: str | None = None) -> ir.Value:
    """Take the singular values of matrices."""
    return singular_values(op, x, vectors=False).values


def _smallest_kept(op: Emitter, x: ir.Value, values: ir.Value, atol: Operand, rtol: Operand) -> ir.Value:
    """Return below which size a singular value counts as zero, by PyTorch's rule for the two tolerances."""
    dtype = dtype_of(x)
    rows, columns = op.dim(x, -2), op.dim(x, -1)
    usual = float(np.finfo(dtype.numpy()).eps) * max(rows or 0, columns or 0)
    if rtol is None and atol is None:
        rtol = usual
    elif rtol is None:
        absolute = op.cast(atol, dtype)
        rtol = op.Where(op.Greater(absolute, op.const(0, dtype)), op.const(0, dtype), op.const(usual, dtype))
    largest = op.ReduceMax(values, [op.rank(values) - 1], keepdims=1)
    parts = [
        op.Unsqueeze(part, [op.rank(part)]) if op.rank(part) else part
        for part in (op.cast(0 if atol is None else atol, dtype), op.cast(rtol, dtype))
    ]
    return op.Max(*_alike(op, parts[0], op.Mul(parts[1], largest)))


def _alike(op: Emitter, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value]:
    return expand_like(op, x, y), expand_like(op, y, x)


def pseudo_inverse(op: Emitter, x: ir.Value, atol: Operand, rtol: Operand, hermitian: bool) -> ir.Value:
    """Invert matrices as far as they can be: singular values below the tolerances stay zero."""
    rank = op.rank(x)
    if 0 in (op.dim(x, -2), op.dim(x, -1)):
        return turned(op, x)
    if hermitian:
        numbers, vectors = symmetric_eigen(op, x)
        sizes = op.Abs(numbers)
        left, right = vectors, turned(op, vectors)
    else:
        found = singular_values(op, x)
        assert found.left is not None
        assert found.right is not None
        numbers = sizes = found.values
        left, right = turned(op, found.right), turned(op, found.left)
    kept = op.Greater(sizes, _smallest_kept(op, x, sizes, atol, rtol))
    one, zero = op.const_like(1, x), op.const_like(0, x)
    inverse = op.Where(kept, op.Div(one, op.Where(kept, numbers, one)), zero)
    return op.MatMul(op.Mul(left, op.Unsqueeze(inverse, [rank - 2])), right)


@lowers("aten::linalg_pinv.atol_rtol_tensor")
def pinv(
    op: Emitter, x: ir.Value, atol: ir.Value | None = None, rtol: ir.Value | None = None, *, hermitian: bool = False
) -> ir.Value:
    """Invert matrices as far as they can be."""
    return pseudo_inverse(op, x, atol, rtol, hermitian)


@lowers("aten::linalg_pinv.atol_rtol_float")
def pinv_of_numbers(
    op: Emitter, x: ir.Value, *, atol: float | None = None, rtol: float | None = None, hermitian: bool = False
) -> ir.Value:
    """Invert matrices as far as they can be."""
    return pseudo_inverse(op, x, atol, rtol, hermitian)


@lowers("aten::linalg_pinv", "aten::pinverse")
def pinv_relative(op: Emitter, x: ir.Value, *, rcond: float = 1e-15, hermitian: bool = False) -> ir.Value:
    """Invert matrices as far as they can be, by a relative tolerance."""
    return pseudo_inverse(op, x, 0.0, rcond, hermitian)


@lowers("aten::linalg_lstsq")
def lstsq(
    op: Emitter, x: ir.Value, right: ir.Value, *, rcond: float | None = None, driver: str | None = None
) -> tuple[ir.Value | None, ...]:
    """Find the shortest solutions with the smallest squared errors; ``gels`` takes the rank to be full."""
    dtype, rank = dtype_of(x), op.rank(x)
    rows, columns = op.dim(x, -2), op.dim(x, -1)
    if rows is None or columns is None:
        raise op.cannot("least squares over matrices whose sizes are only known at run time have no counterpart")
    is_vector = op.rank(right) < rank
    if is_vector:
        right = op.Unsqueeze(right, [op.rank(right)])
    found = singular_values(op, x)
    assert found.left is not None
    assert found.right is not None
    usual = float(np.finfo(dtype.numpy()).eps) * max(rows, columns)
    tolerance = 0.0 if driver == "gels" else usual if rcond is None else rcond
    largest = op.ReduceMax(found.values, [rank - 2], keepdims=1) if min(rows, columns) else found.values
    kept = op.Greater(found.values, op.Mul(largest, op.const(tolerance, dtype)))
    one, zero = op.const(1, dtype), op.const(0, dtype)
    inverse = op.Where(kept, op.Div(one, op.Where(kept, found.values, one)), zero)
    along = op.MatMul(turned(op, found.left), right)
    solution = op.MatMul(turned(op, found.right), op.Mul(op.Unsqueeze(inverse, [rank - 1]), along))
    nothing = op.const(np.zeros(0), dtype)
    residuals = nothing
    if driver != "gelsy" and rows > columns:
        missed = op.Sub(op.MatMul(x, solution), right)
        residuals = op.ReduceSum(op.Mul(missed, missed), [op.rank(missed) - 2], keepdims=0)
    ranks = op.ReduceSum(op.cast(kept, ir.DataType.INT64), [rank - 2], keepdims=0)
    return (
        op.Squeeze(solution, [op.rank(solution) - 1]) if is_vector else solution,
        residuals,
        op.const(np.zeros(0), ir.DataType.INT64) if driver == "gels" else ranks,
        found.values if driver in ("gelsd", "gelss") else nothing,
    )
