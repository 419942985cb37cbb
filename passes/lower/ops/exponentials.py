# SPDX-License-Identifier: Apache-2.0
"""Exponentials and logarithms."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers


@lowers("aten::exp", "prims::exp")
def exp(op: Emitter, x: ir.Value) -> ir.Value:
    """The exponential."""
    return op.Exp(*op.promote_float(x))


@lowers("aten::exp2", "aten::special_exp2", "prims::exp2")
def exp2(op: Emitter, x: ir.Value) -> ir.Value:
    """Two to the power of ``x``."""
    (value,) = op.promote_float(x)
    return op.Pow(op.const_like(2.0, value), value)


@lowers("aten::expm1", "aten::special_expm1", "prims::expm1")
def expm1(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(x) - 1`` as ``tanh(x / 2) * (exp(x) + 1)``, which keeps its digits near zero."""
    (value,) = op.promote_float(x)
    return op.Mul(op.Tanh(op.Mul(value, 0.5)), op.Add(op.Exp(value), 1.0))


@lowers("aten::log", "prims::log")
def log(op: Emitter, x: ir.Value) -> ir.Value:
    """The natural logarithm."""
    return op.Log(*op.promote_float(x))


@lowers("aten::log2", "prims::log2")
def log2(op: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm to base two."""
    return op.Div(op.Log(*op.promote_float(x)), math.log(2))


@lowers("aten::log10", "prims::log10")
def log10(op: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm to base ten."""
    return op.Div(op.Log(*op.promote_float(x)), math.log(10))


def log_one_plus(op: Emitter, x: ir.Value) -> ir.Value:
    """``log(1 + x)``, with what the addition rounds away put back.

    Near zero the logarithm is almost the identity, so that the lost digits of ``1 + x`` are those of the result; above
    one they no longer matter, and the bound keeps infinity out.
    """
    near = op.Clip(x, None, 1.0)
    lost = op.Sub(near, op.Sub(op.Add(near, 1.0), 1.0))
    return op.Add(op.Log(op.Add(x, 1.0)), lost)


@lowers("aten::log1p", "aten::special_log1p", "prims::log1p")
def log1p(op: Emitter, x: ir.Value) -> ir.Value:
    """``log(1 + x)``, precise near zero too."""
    return log_one_plus(op, *op.promote_float(x))


@lowers("aten::logaddexp")
def logaddexp(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """``log(exp(x) + exp(y))`` around the larger of the two."""
    a, b = op.promote_float(x, y)
    return op.Add(op.Max(a, b), op.Softplus(op.Neg(_distance(op, a, b))))


@lowers("aten::logaddexp2")
def logaddexp2(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """``log2(2 ** x + 2 ** y)`` around the larger of the two."""
    a, b = op.promote_float(x, y)
    away = op.Softplus(op.Mul(_distance(op, a, b), -math.log(2)))
    return op.Add(op.Max(a, b), op.Div(away, math.log(2)))


def _distance(op: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    # Equal infinities are at distance zero, where their difference would be NaN.
    return op.Abs(op.Where(op.Equal(a, b), 0.0, op.Sub(a, b)))


def _times_log(op: Emitter, x: Operand, y: Operand, left: Operand, right: Operand, *, plus_one: bool) -> ir.Value:
    first = left if left is not None else x
    second = right if right is not None else (y if y is not None else x)
    a, b = op.promote_float(first, second)
    logarithm = log_one_plus(op, b) if plus_one else op.Log(b)
    # Zero times the logarithm is zero even where that is infinite, but not where the number is NaN.
    zero = op.And(op.Equal(a, 0.0), op.Not(op.IsNaN(b)))
    return op.Where(zero, 0.0, op.Mul(a, logarithm))


@lowers(
    "aten::xlogy.Tensor",
    "aten::xlogy.Scalar_Other",
    "aten::xlogy.Scalar_Self",
    "aten::special_xlogy",
    "aten::special_xlogy.other_scalar",
    "aten::special_xlogy.self_scalar",
)
def xlogy(
    op: Emitter, x: ir.Value, y: ir.Value | None = None, *, self: Operand = None, other: Operand = None
) -> ir.Value:
    """``x * log(y)``, zero where ``x`` is."""
    return _times_log(op, x, y, self, other, plus_one=False)


@lowers("aten::special_xlog1py", "aten::special_xlog1py.other_scalar", "aten::special_xlog1py.self_scalar")
def xlog1py(
    op: Emitter, x: ir.Value, y: ir.Value | None = None, *, self: Operand = None, other: Operand = None
) -> ir.Value:
    """``x * log(1 + y)``, zero where ``x`` is."""
    return _times_log(op, x, y, self, other, plus_one=True)


@lowers("aten::special_entr")
def entr(op: Emitter, x: ir.Value) -> ir.Value:
    """``-x * log(x)``: zero at zero and minus infinity below."""
    (value,) = op.promote_float(x)
    positive = op.Neg(op.Mul(value, op.Log(value)))
    at_most_zero = op.Where(op.Less(value, 0.0), -math.inf, positive)
    return op.Where(op.Equal(value, 0.0), 0.0, at_most_zero)


@lowers("aten::logit", "aten::special_logit")
def logit(op: Emitter, x: ir.Value, *, eps: float | None = None) -> ir.Value:
    """``log(x / (1 - x))``, with ``x`` kept ``eps`` away from zero and one."""
    (value,) = op.promote_float(x)
    if eps is not None:
        value = op.Clip(value, eps, 1.0 - eps)
    return op.Log(op.Div(value, op.Sub(1.0, value)))
