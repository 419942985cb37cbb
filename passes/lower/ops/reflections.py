# SPDX-License-Identifier: Apache-2.0
"""Orthogonal factors: QR, and products of Householder reflections, a column a round of a Loop.

The reflections are LAPACK's (Golub and Van Loan, Matrix Computations, 5.1 and 5.2): ``1 - tau * v @ v.T`` with a one on
top of ``v``, signed so that nothing is lost by cancellation; a column that is zero below its top is left as it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import body_of, dtype_of, loop, places, turned
from .expanding import expand_to
from .views import sizes_of

_INT64 = ir.DataType.INT64


def smaller_side(op: Emitter, x: ir.Value) -> int | ir.Value:
    """Return the smaller of the two sizes of matrices: an int, or a vector of one element."""
    rows, columns = op.size(x, op.rank(x) - 2), op.size(x, op.rank(x) - 1)
    if isinstance(rows, int) and isinstance(columns, int):
        return min(rows, columns)
    return op.Min(op.vector(rows), op.vector(columns))


def _sum(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    return op.ReduceSum(x, [axis], keepdims=1)


def reflected(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Factor matrices as LAPACK's ``geqrf`` does.

    Returns:
        R with the vectors of the reflections below it, and their factors tau.
    """
    rank, dtype = op.rank(x), dtype_of(x)
    count = smaller_side(op, x)
    zero = op.const(0, dtype)
    taus = expand_to(op, zero, [*sizes_of(op, x, 0, rank - 2), count])
    body = body_of(op, [x, taus])
    column, _, now, written = body.inputs
    rows, columns = places(op, x, rank - 2), places(op, x, rank - 1)
    rows_down = op.Unsqueeze(rows, [1])
    below, here = body.Greater(rows_down, column), body.Equal(rows_down, column)
    values = body.Unsqueeze(body.Gather(now, column, axis=rank - 1), [rank - 1])
    top = _sum(body, body.Where(here, values, zero), rank - 2)
    under = body.Where(below, values, zero)
    rest = _sum(body, body.Mul(under, under), rank - 2)
    idle = body.Equal(rest, zero)
    size = body.Sqrt(body.Add(body.Mul(top, top), rest))
    turned_top = body.Where(idle, top, body.Where(body.Less(top, zero), size, body.Neg(size)))
    one = body.const(1, dtype)
    tau = body.Where(idle, zero, body.Div(body.Sub(turned_top, top), body.Where(idle, one, turned_top)))
    scaled = body.Div(under, body.Where(idle, one, body.Sub(top, turned_top)))
    vector = body.Where(here, one, scaled)
    along = body.MatMul(turned(body, vector), now)
    changed = body.Sub(now, body.Mul(body.Mul(tau, vector), along))
    own = body.Where(here, turned_top, body.Where(below, scaled, values))
    following = body.Where(body.Greater(columns, column), changed, body.Where(body.Equal(columns, column), own, now))
    index = places(op, taus, rank - 2)
    taken = body.Where(body.Equal(index, column), body.Squeeze(tau, [rank - 1]), written)
    packed, factors = loop(op, op.scalar(count), [x, taus], body, [following, taken])
    return packed, factors


def applied(op: Emitter, packed: ir.Value, taus: ir.Value, to: ir.Value, *, last_first: bool) -> ir.Value:
    """Multiply matrices from the left by the reflections below the diagonal of others, one after the other."""
    rank, dtype = op.rank(packed), dtype_of(packed)
    count = op.scalar(op.size(taus, op.rank(taus) - 1))
    body = body_of(op, [to])
    turn, _, now = body.inputs
    column = body.Sub(body.Sub(count, op.i64(1)), turn) if last_first else turn
    rows = op.Unsqueeze(places(op, packed, rank - 2), [1])
    values = body.Unsqueeze(body.Gather(packed, column, axis=rank - 1), [rank - 1])
    zero, one = op.const(0, dtype), op.const(1, dtype)
    vector = body.Where(body.Equal(rows, column), one, body.Where(body.Greater(rows, column), values, zero))
    tau = body.Unsqueeze(body.Gather(taus, column, axis=op.rank(taus) - 1), [rank - 2])
    if rank > 2:
        tau = body.Unsqueeze(tau, [rank - 1])
    along = body.MatMul(turned(body, vector), now)
    (result,) = loop(op, count, [to], body, [body.Sub(now, body.Mul(body.Mul(tau, vector), along))])
    return result


def orthogonal(op: Emitter, packed: ir.Value, taus: ir.Value, columns: int | ir.Value | None = None) -> ir.Value:
    """Return the first columns of the product of reflections, by default as many as it has rows."""
    rank = op.rank(packed)
    rows = op.size(packed, rank - 2)
    columns = rows if columns is None else columns
    if isinstance(rows, int) and isinstance(columns, int):
        identity = op.const(np.eye(rows, columns), dtype_of(packed))
    else:
        down, across = (op.Range(op.i64(0), op.scalar(size), op.i64(1)) for size in (rows, columns))
        identity = op.cast(op.Equal(op.Unsqueeze(down, [1]), across), dtype_of(packed))
    start = expand_to(op, identity, [*sizes_of(op, packed, 0, rank - 2), -1, -1])
    return applied(op, packed, taus, start, last_first=True)


@lowers("aten::geqrf")
def geqrf(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Factor matrices into R and reflections."""
    return reflected(op, x)


@lowers("aten::linalg_qr")
def qr(op: Emitter, x: ir.Value, *, mode: str = "reduced") -> tuple[ir.Value, ir.Value]:
    """Factor matrices into an orthogonal and an upper triangular one."""
    packed, taus = reflected(op, x)
    count = smaller_side(op, x)
    if mode == "complete":
        return orthogonal(op, packed, taus), op.Trilu(packed, op.i64(0), upper=1)
    upper = op.Trilu(op.Slice(packed, [0], op.vector(count), [op.rank(x) - 2]), op.i64(0), upper=1)
    if mode == "r":
        return op.const(np.zeros(0), dtype_of(x)), upper
    return orthogonal(op, packed, taus, count), upper


@lowers("aten::qr")
def qr_old(op: Emitter, x: ir.Value, *, some: bool = True) -> tuple[ir.Value, ir.Value]:
    """Factor matrices into an orthogonal and an upper triangular one."""
    return qr(op, x, mode="reduced" if some else "complete")


@lowers("aten::linalg_householder_product", "aten::orgqr")
def householder_product(op: Emitter, packed: ir.Value, taus: ir.Value) -> ir.Value:
    """Return the first columns of a product of reflections."""
    return orthogonal(op, packed, taus, op.size(packed, op.rank(packed) - 1))


@lowers("aten::ormqr")
def ormqr(
    op: Emitter, packed: ir.Value, taus: ir.Value, to: ir.Value, *, left: bool = True, transpose: bool = False
) -> ir.Value:
    """Multiply by a product of reflections, from the left or the right."""
    if not left:
        # x @ Q is (Q.T @ x.T).T
        return turned(op, ormqr(op, packed, taus, turned(op, to), transpose=not transpose))
    return applied(op, packed, taus, to, last_first=not transpose)
