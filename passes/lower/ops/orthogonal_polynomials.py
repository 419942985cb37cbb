# SPDX-License-Identifier: Apache-2.0
"""Orthogonal polynomials of an order that each element states, by their recurrences in one Loop.

Recurrences: https://dlmf.nist.gov/18.9.  Chebyshev polynomials of high order inside of the interval are taken from
their trigonometric forms, https://dlmf.nist.gov/18.5, as PyTorch does.  Orders are rounded towards zero, and those
below zero give zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs
import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .divisors import any_of
from .elimination import body_of, dtype_of, loop
from .expanding import expand_like

_INT64 = ir.DataType.INT64
_HIGH_ORDER = 6

Step = Callable[[Emitter, ir.Value, ir.Value, ir.Value, ir.Value], ir.Value]
"""Emitter, argument, k as a number, the polynomials of order k and k - 1: the one of order k + 1."""

Trigonometric = Callable[[Emitter, ir.Value, ir.Value], ir.Value]
"""Emitter, order and angle: the polynomial at the cosine of the angle."""


@attrs.frozen
class Family:
    """A family of polynomials: its member of order one, and how it goes on."""

    slope: float
    offset: float
    step: Step
    trigonometric: Trigonometric | None = None
    shifted: bool = False
    """Whether the interval is from 0 to 1 instead of from -1 to 1."""

    limits: tuple[int, int] | None = None
    """The orders above which single and double precision give NaN."""


def _chebyshev(op: Emitter, x: ir.Value, k: ir.Value, now: ir.Value, before: ir.Value) -> ir.Value:
    return op.Sub(op.Mul(op.Mul(x, 2.0), now), before)


def _hermite(op: Emitter, x: ir.Value, k: ir.Value, now: ir.Value, before: ir.Value) -> ir.Value:
    return op.Sub(op.Mul(op.Mul(x, 2.0), now), op.Mul(op.Mul(k, 2.0), before))


def _hermite_of_probabilities(op: Emitter, x: ir.Value, k: ir.Value, now: ir.Value, before: ir.Value) -> ir.Value:
    return op.Sub(op.Mul(x, now), op.Mul(k, before))


def _laguerre(op: Emitter, x: ir.Value, k: ir.Value, now: ir.Value, before: ir.Value) -> ir.Value:
    grown = op.Sub(op.Mul(op.Add(op.Mul(k, 2.0), op.Sub(1.0, x)), now), op.Mul(k, before))
    return op.Div(grown, op.Add(k, 1.0))


def _legendre(op: Emitter, x: ir.Value, k: ir.Value, now: ir.Value, before: ir.Value) -> ir.Value:
    grown = op.Sub(op.Mul(op.Mul(op.Add(op.Mul(k, 2.0), 1.0), x), now), op.Mul(k, before))
    return op.Div(grown, op.Add(k, 1.0))


def _t(op: Emitter, n: ir.Value, angle: ir.Value) -> ir.Value:
    return op.Cos(op.Mul(n, angle))


def _u(op: Emitter, n: ir.Value, angle: ir.Value) -> ir.Value:
    return op.Div(op.Sin(op.Mul(op.Add(n, 1.0), angle)), op.Sin(angle))


def _v(op: Emitter, n: ir.Value, angle: ir.Value) -> ir.Value:
    return op.Div(op.Cos(op.Mul(op.Add(n, 0.5), angle)), op.Cos(op.Mul(angle, 0.5)))


def _w(op: Emitter, n: ir.Value, angle: ir.Value) -> ir.Value:
    return op.Div(op.Sin(op.Mul(op.Add(n, 0.5), angle)), op.Sin(op.Mul(angle, 0.5)))


_CHEBYSHEV: dict[str, tuple[float, float, Trigonometric]] = {
    "t": (1.0, 0.0, _t),
    "u": (2.0, 0.0, _u),
    "v": (2.0, -1.0, _v),
    "w": (2.0, 1.0, _w),
}
_FAMILIES = {
    **{
        f"{'shifted_' if shifted else ''}chebyshev_polynomial_{kind}": Family(
            slope, offset, _chebyshev, trigonometric, shifted
        )
        for kind, (slope, offset, trigonometric) in _CHEBYSHEV.items()
        for shifted in (False, True)
    },
    "hermite_polynomial_h": Family(2.0, 0.0, _hermite, limits=(128, 512)),
    "hermite_polynomial_he": Family(1.0, 0.0, _hermite_of_probabilities, limits=(128, 512)),
    "laguerre_polynomial_l": Family(-1.0, 1.0, _laguerre),
    "legendre_polynomial_p": Family(1.0, 0.0, _legendre),
}


def _by_recurrence(op: Emitter, family: Family, x: ir.Value, order: ir.Value) -> ir.Value:
    """Go on to the highest order, and keep for each element the polynomial of its own."""
    dtype = dtype_of(x)
    one, first = op.const(1, dtype), op.Add(op.Mul(x, family.slope), family.offset)
    begun = expand_like(op, one, x)
    result = op.Where(op.Equal(order, 0), begun, first)
    body = body_of(op, [first, begun, result])
    turn, _, now, before, kept = body.inputs
    k = body.cast(body.Add(turn, op.i64(1)), dtype)
    following = family.step(body, x, k, now, before)
    reached = body.Add(turn, op.i64(2))
    taken = body.Where(body.Equal(order, reached), following, kept)
    go_on = any_of(body, body.Greater(order, reached))
    start = any_of(op, op.Greater(order, 1))
    return loop(op, None, [first, begun, result], body, [following, now, taken], go_on, start)[2]


def _polynomial(op: Emitter, family: Family, x: ir.Value, order: ir.Value) -> ir.Value:
    dtype = dtype_of(x)
    order = op.cast(order, _INT64)
    x, order = expand_like(op, x, order), expand_like(op, order, x)
    if family.shifted:
        x = op.Sub(op.Mul(x, 2.0), 1.0)
    result = _by_recurrence(op, family, x, order)
    if family.trigonometric is not None:
        inside = op.And(op.Less(op.Abs(x), 1.0), op.Greater(order, _HIGH_ORDER))
        angle = op.Acos(op.Where(inside, x, op.const(0, dtype)))
        result = op.Where(inside, family.trigonometric(op, op.cast(order, dtype), angle), result)
    if family.limits is not None:
        limit = family.limits[dtype == ir.DataType.DOUBLE]
        result = op.Where(op.Greater(order, limit), math.nan, result)
    return op.Where(op.Less(order, 0), 0.0, result)


def _register(name: str, family: Family) -> None:
    @lowers(f"aten::special_{name}")
    def polynomial(op: Emitter, x: ir.Value, n: ir.Value) -> ir.Value:
        return _polynomial(op, family, *op.promote_float(x, n))

    @lowers(f"aten::special_{name}.x_scalar")
    def of_number(op: Emitter, order: ir.Value, *, x: Operand) -> ir.Value:
        number, n = op.promote_float(x, order)
        return _polynomial(op, family, number, n)

    @lowers(f"aten::special_{name}.n_scalar")
    def of_order(op: Emitter, argument: ir.Value, *, n: Operand) -> ir.Value:
        x, order = op.promote_float(argument, n)
        return _polynomial(op, family, x, order)


for _name, _family in _FAMILIES.items():
    _register(_name, _family)
