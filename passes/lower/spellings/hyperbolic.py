# SPDX-License-Identifier: Apache-2.0
"""Hyperbolic functions before opset 9, in forms that keep their digits near zero and far from it; the tangent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx_ir as ir

from ..registry import spells
from .forms import alike, but_in_doubles, dtype_of

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

# Beyond this the square is all that counts under the root of acosh and asinh; its square is finite in 16 bits too.
_LARGE = 200.0


def _halves(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return half of exp(x) and of exp(-x), by way of exp(x / 2) so that neither overflows too soon."""
    root = op.Exp(op.Mul(x, 0.5))
    return op.Mul(op.Mul(root, 0.5), root), op.Div(op.Div(op.const_like(0.5, x), root), root)


def _log_of_one_plus(op: Emitter, x: ir.Value) -> ir.Value:
    """Return log(1 + x) with the digits that 1 + x drops put back.

    Source: D. Goldberg, "What every computer scientist should know about floating-point arithmetic", ACM Computing
    Surveys 23 (1991), theorem 4.
    """
    total = op.Add(x, 1.0)
    added = op.Sub(total, 1.0)
    none = op.Equal(added, op.const_like(0, x))
    divisor = op.Where(none, op.const_like(1, x), added)
    return op.Where(none, x, op.Div(op.Mul(x, op.Log(total)), divisor))


@spells("Sinh")
def sinh(op: Emitter, input: Operand) -> ir.Value:
    """Before Sinh: by the half angle's tangent near zero, by exponentials elsewhere."""
    (x,) = alike(op, input)
    plus, minus = _halves(op, x)
    tangent = op.Tanh(op.Mul(x, 0.5))
    near = op.Div(op.Mul(tangent, 2.0), op.Sub(1.0, op.Mul(tangent, tangent)))
    return op.Where(op.Less(op.Abs(x), op.const_like(1, x)), near, op.Sub(plus, minus))


@spells("Cosh")
def cosh(op: Emitter, input: Operand) -> ir.Value:
    """Before Cosh: half the sum of the exponentials."""
    (x,) = alike(op, input)
    return op.Add(*_halves(op, x))


@spells("Asinh")
def asinh(op: Emitter, input: Operand) -> ir.Value:
    """Before Asinh: ``log1p(|x| + x*x / (1 + sqrt(1 + x*x)))`` with the sign of x; ``log(2|x|)`` far out."""
    (x,) = alike(op, input)
    size = op.Abs(x)
    inside = op.Min(size, op.const_like(_LARGE, x))
    square = op.Mul(inside, inside)
    near = _log_of_one_plus(op, op.Add(inside, op.Div(square, op.Add(op.Sqrt(op.Add(square, 1.0)), 1.0))))
    return op.Mul(op.Sign(x), op.Where(op.Greater(size, op.const_like(_LARGE, x)), _far(op, size, 1.0), near))


@spells("Acosh")
def acosh(op: Emitter, input: Operand) -> ir.Value:
    """Before Acosh: ``log1p(t + sqrt(t * (t + 2)))`` of ``t = x - 1``; ``log(2x)`` far out."""
    (x,) = alike(op, input)
    rest = op.Sub(op.Min(x, op.const_like(_LARGE, x)), 1.0)
    near = _log_of_one_plus(op, op.Add(rest, op.Sqrt(op.Mul(rest, op.Add(rest, 2.0)))))
    return op.Where(op.Greater(x, op.const_like(_LARGE, x)), _far(op, x, -1.0), near)


def _far(op: Emitter, x: ir.Value, sign: float) -> ir.Value:
    """Return ``log(2x)`` with the first term of what follows it, ``1 / (4 x*x)``."""
    inverse = op.Reciprocal(x)
    return op.Add(op.Add(op.Log(x), math.log(2)), op.Mul(op.Mul(inverse, inverse), sign / 4))


@spells("Atanh")
def atanh(op: Emitter, input: Operand) -> ir.Value:
    """Before Atanh: half of ``log1p(2|x| / (1 - |x|))`` with the sign of x; infinite at one."""
    (x,) = alike(op, input)
    size = op.Abs(x)
    end = op.Equal(size, op.const_like(1, x))
    inside = op.Where(end, op.const_like(0, x), size)
    near = op.Mul(_log_of_one_plus(op, op.Div(op.Mul(inside, 2.0), op.Sub(1.0, inside))), 0.5)
    return op.Mul(op.Sign(x), op.Where(end, op.const_like(math.inf, x), near))


for _op_type, _parts in {"Sinh": sinh, "Cosh": cosh, "Asinh": asinh, "Acosh": acosh, "Atanh": atanh}.items():
    but_in_doubles(_op_type, _parts, since=9)


@spells("Tan")
def tan(op: Emitter, input: Operand) -> ir.Value:
    """Tan 7; the quotient of sine and cosine in 64 bits, where the runtime has it in 32 only."""
    (x,) = alike(op, input)
    if dtype_of(x) == ir.DataType.DOUBLE and not op.runs("Tan", ir.DataType.DOUBLE):
        return op.Div(op.Sin(x), op.Cos(x))
    return op.raw("Tan", x)
