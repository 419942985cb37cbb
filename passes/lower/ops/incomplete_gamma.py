# SPDX-License-Identifier: Apache-2.0
"""The regularised incomplete gamma functions.

Below ``x = a + 1`` the power series of the lower function is summed, above it the continued fraction of the upper
one is evaluated by Lentz's method: Press et al., Numerical Recipes, section 6.2.  Both run in one loop, in double
precision, until nothing changes.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .divisors import any_of
from .special import lgamma

_INT64, _BOOL, _DOUBLE = ir.DataType.INT64, ir.DataType.BOOL, ir.DataType.DOUBLE

_ROUNDS = 2000
_TINY = 1e-290
_ENOUGH = 1e-11


def _series_and_fraction(op: Emitter, a: ir.Value, low: ir.Value, high: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Sum the series at `low` and evaluate the fraction at `high`, elementwise."""
    start = op.Sub(op.Add(high, 1.0), a)
    one = op.Add(op.Mul(start, 0.0), 1.0)
    first = op.Reciprocal(start)
    carried = {"term": one, "total": one, "b": start, "c": op.Mul(one, 1 / _TINY), "d": first, "h": first}
    dims = None if one.shape is None else list(one.shape)
    body = op.body(("round", _INT64, []), ("go_on", _BOOL, []), *((name, _DOUBLE, dims) for name in carried))
    index, _, term, total, b, c, d, h = body.inputs
    n = body.Add(body.cast(index, _DOUBLE), 1.0)
    term = body.Div(body.Mul(term, low), body.Add(a, n))
    total = body.Add(total, term)
    numerator = body.Mul(body.Sub(a, n), n)
    b = body.Add(b, 2.0)
    d = body.Reciprocal(_not_zero(body, body.Add(body.Mul(numerator, d), b)))
    c = _not_zero(body, body.Add(b, body.Div(numerator, c)))
    change = body.Mul(c, d)
    h = body.Mul(h, change)
    moving = body.Or(
        body.Greater(body.Abs(term), body.Mul(total, _ENOUGH)),
        body.Greater(body.Abs(body.Sub(change, 1.0)), _ENOUGH),
    )
    graph = body.graph([any_of(body, moving), term, total, b, c, d, h])
    made = op.Loop(op.i64(_ROUNDS), op.const(True, _BOOL), *carried.values(), body=graph, outputs=len(carried))
    for value in made:
        value.type, value.shape = ir.TensorType(_DOUBLE), one.shape
    return made[1], made[5]


def _not_zero(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Where(op.Less(op.Abs(x), _TINY), _TINY, x)


def _incomplete(op: Emitter, a: ir.Value, x: ir.Value, upper: bool) -> ir.Value:
    a, x = (op.cast(value, _DOUBLE) for value in op.promote_float(a, x))
    endless = op.Or(_is_infinite(op, a), _is_infinite(op, x))
    usual = op.And(op.And(op.Greater(a, 0.0), op.Greater(x, 0.0)), op.Not(endless))
    shape = op.Where(usual, a, 1.0)
    point = op.Where(usual, x, 1.0)
    below = op.Less(point, op.Add(shape, 1.0))
    total, fraction = _series_and_fraction(
        op, shape, op.Where(below, point, 0.0), op.Where(below, op.Add(shape, 2.0), point)
    )
    logarithm = op.Sub(op.Sub(op.Mul(shape, op.Log(point)), point), lgamma(op, shape))
    factor = op.Exp(logarithm)
    near, far = op.Mul(factor, op.Div(total, shape)), op.Mul(factor, fraction)
    result = op.Where(below, op.Sub(1.0, near), far) if upper else op.Where(below, near, op.Sub(1.0, far))
    nothing, everything = (op.const(value, _DOUBLE) for value in ((1, 0) if upper else (0, 1)))
    # PyTorch's answers outside the open quadrant, the later ones going before the earlier ones.
    result = op.Where(op.Or(op.IsNaN(a), op.IsNaN(x)), math.nan, result)
    result = op.Where(_is_infinite(op, x), everything, result)
    result = op.Where(_is_infinite(op, a), op.Where(_is_infinite(op, x), math.nan, nothing), result)
    result = op.Where(op.Equal(x, 0.0), nothing, result)
    result = op.Where(op.Equal(a, 0.0), op.Where(op.Greater(x, 0.0), everything, math.nan), result)
    return op.Where(op.Or(op.Less(a, 0.0), op.Less(x, 0.0)), math.nan, result)


def _is_infinite(op: Emitter, x: ir.Value) -> ir.Value:
    return op.Equal(op.Abs(x), math.inf)


@lowers("aten::igamma", "aten::special_gammainc", "prims::igamma")
def igamma(op: Emitter, a: ir.Value, x: ir.Value) -> ir.Value:
    """The lower function, which grows from zero to one with its second argument."""
    return _incomplete(op, a, x, upper=False)


@lowers("aten::igammac", "aten::special_gammaincc", "prims::igammac")
def igammac(op: Emitter, a: ir.Value, x: ir.Value) -> ir.Value:
    """The upper function, one minus the lower one."""
    return _incomplete(op, a, x, upper=True)
