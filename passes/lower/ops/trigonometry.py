# SPDX-License-Identifier: Apache-2.0
"""Trigonometric and hyperbolic functions, angles, and numbers that take another's sign."""

from __future__ import annotations

import math
from collections.abc import Callable

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import is_float
from .comparison import signbit

# Aliases and ONNX operator by ATen name; integers become floating-point numbers first.
_PLAIN = {
    "Sin": ("aten::sin", "prims::sin"),
    "Cos": ("aten::cos", "prims::cos"),
    "Tan": ("aten::tan", "prims::tan"),
    "Asin": ("aten::asin", "aten::arcsin", "prims::asin"),
    "Acos": ("aten::acos", "aten::arccos", "prims::acos"),
    "Atan": ("aten::atan", "aten::arctan", "prims::atan"),
    "Sinh": ("aten::sinh", "prims::sinh"),
    "Cosh": ("aten::cosh", "prims::cosh"),
    "Asinh": ("aten::asinh", "aten::arcsinh", "prims::asinh"),
    "Acosh": ("aten::acosh", "aten::arccosh", "prims::acosh"),
    "Atanh": ("aten::atanh", "aten::arctanh", "prims::atanh"),
}


def _register(op_type: str, names: tuple[str, ...]) -> Callable[..., ir.Value]:
    def lowering(op: Emitter, x: ir.Value) -> ir.Value:
        return getattr(op, op_type)(*op.promote_float(x))

    lowering.__name__ = lowering.__qualname__ = op_type.lower()
    lowering.__doc__ = f"ONNX's {op_type}."
    return lowers(*names)(lowering)


for _op_type, _names in _PLAIN.items():
    _register(_op_type, _names)


@lowers("aten::atan2", "aten::arctan2", "prims::atan2")
def atan2(op: Emitter, y: ir.Value, x: ir.Value) -> ir.Value:
    """The angle of the point (x, y), between -pi and pi."""
    a, b = op.promote_float(y, x)
    # A divisor just above zero keeps 0 / 0 at the angle zero and every other quotient at a right angle.
    divisor = op.Where(op.Equal(b, 0.0), 1e-37, b)
    angle = op.Atan(op.Div(a, divisor))
    turn = op.Where(op.Less(a, 0.0), -math.pi, op.const_like(math.pi, a))
    return op.Where(op.Less(b, 0.0), op.Add(angle, turn), angle)


@lowers("aten::angle")
def angle(op: Emitter, x: ir.Value) -> ir.Value:
    """The angle of real numbers: pi below zero, zero elsewhere, NaN of NaN."""
    (value,) = op.promote_float(x)
    half_turn = op.Mul(op.cast(op.Less(value, 0.0), value.dtype or ir.DataType.FLOAT), math.pi)
    if not is_float(x):
        return half_turn
    return op.Where(op.IsNaN(value), value, half_turn)


@lowers("aten::hypot", "prims::hypot")
def hypot(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """``sqrt(x ** 2 + y ** 2)``, scaled so that the squares do not overflow."""
    a, b = (op.Abs(value) for value in op.promote_float(x, y))
    large, small = op.Max(a, b), op.Min(a, b)
    unscaled = op.Or(op.Equal(large, 0.0), op.Equal(large, math.inf))
    ratio = op.Div(small, op.Where(unscaled, 1.0, large))
    return op.Mul(large, op.Sqrt(op.Add(op.Mul(ratio, ratio), 1.0)))


@lowers("aten::deg2rad")
def deg2rad(op: Emitter, x: ir.Value) -> ir.Value:
    """Degrees to radians."""
    return op.Mul(op.promote_float(x)[0], math.pi / 180)


@lowers("aten::rad2deg")
def rad2deg(op: Emitter, x: ir.Value) -> ir.Value:
    """Radians to degrees."""
    return op.Mul(op.promote_float(x)[0], 180 / math.pi)


@lowers("aten::sinc", "aten::special_sinc")
def sinc(op: Emitter, x: ir.Value) -> ir.Value:
    """``sin(pi x) / (pi x)``, one at zero."""
    scaled = op.Mul(op.promote_float(x)[0], math.pi)
    zero = op.Equal(scaled, 0.0)
    return op.Where(zero, 1.0, op.Div(op.Sin(scaled), scaled))


@lowers("aten::copysign.Tensor", "aten::copysign.Scalar")
def copysign(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """The size of one number with the sign of another."""
    a, b = op.promote_float(x, other if y is None else y)
    size = op.Abs(a)
    if not isinstance(other, ir.Value) and other is not None:
        return op.Neg(size) if math.copysign(1, other) < 0 else size
    return op.Where(signbit(op, b), op.Neg(size), size)


@lowers("aten::heaviside")
def heaviside(op: Emitter, x: ir.Value, values: ir.Value) -> ir.Value:
    """Zero below zero, one above, and ``values`` at zero."""
    a, at_zero = op.promote(x, values)
    step = op.cast(op.Greater(a, 0), a.dtype or ir.DataType.FLOAT)
    return op.Where(op.Equal(a, 0), at_zero, step)
