# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of one, two and three operands: sums, products, quotients, remainders and powers."""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .integer_powers import constant_power, integer_power

_HALF_PRECISION = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def is_bool(x: ir.Value) -> bool:
    """Whether a value holds booleans."""
    return x.dtype == ir.DataType.BOOL


def is_float(x: ir.Value) -> bool:
    """Whether a value holds floating-point numbers."""
    return x.dtype is not None and x.dtype.is_floating_point()


def _scaled(op: Emitter, x: ir.Value, factor: Operand) -> ir.Value:
    if isinstance(factor, ir.Value):
        return op.Mul(x, op.cast(factor, _dtype(x)))
    return x if factor == 1 else op.Mul(x, factor)


def _dtype(x: ir.Value) -> ir.DataType:
    if x.dtype is None:
        raise ValueError("a lowered value has no dtype")
    return x.dtype


@lowers("aten::add.Tensor", "aten::add.Scalar", "prims::add")
def add(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, alpha: Operand = 1) -> ir.Value:
    """``x + alpha * y``; booleans add to "or"."""
    a, b = op.promote(x, other if y is None else y)
    if is_bool(a):
        return op.Or(a, b) if alpha else a
    return op.Add(a, _scaled(op, b, alpha))


@lowers("aten::sub.Tensor", "aten::sub.Scalar", "aten::subtract.Tensor", "aten::subtract.Scalar", "prims::sub")
def sub(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, alpha: Operand = 1) -> ir.Value:
    """``x - alpha * y``."""
    a, b = op.promote(x, other if y is None else y)
    return op.Sub(a, _scaled(op, b, alpha))


@lowers("aten::rsub.Tensor", "aten::rsub.Scalar")
def rsub(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, alpha: Operand = 1) -> ir.Value:
    """``y - alpha * x``."""
    a, b = op.promote(x, other if y is None else y)
    return op.Sub(b, _scaled(op, a, alpha))


@lowers("aten::mul.Tensor", "aten::mul.Scalar", "aten::multiply.Tensor", "aten::multiply.Scalar", "prims::mul")
def mul(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x * y``; booleans multiply to "and"."""
    a, b = op.promote(x, other if y is None else y)
    return op.And(a, b) if is_bool(a) else op.Mul(a, b)


# ---- quotients -------------------------------------------------------------------------------------------------------


@lowers(
    "aten::div.Tensor",
    "aten::div.Scalar",
    "aten::div.Tensor_mode",
    "aten::div.Scalar_mode",
    "aten::divide.Tensor",
    "aten::divide.Scalar",
    "aten::divide.Tensor_mode",
    "aten::divide.Scalar_mode",
    "aten::true_divide.Tensor",
    "aten::true_divide.Scalar",
)
def div(
    op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, rounding_mode: str | None = None
) -> ir.Value:
    """``x / y``; without a rounding mode integers divide to floating point."""
    second = other if y is None else y
    if rounding_mode is None:
        a, b = op.promote_float(x, second)
        return op.Div(a, b)
    if rounding_mode == "floor":
        return floor_divide(op, x, second)
    a, b = op.promote(x, second)
    if is_float(a):
        return truncated(op, op.Div(a, b))
    return op.Div(a, b)


@lowers("prims::div")
def prims_div(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """``x / y``, which truncates for integers."""
    return op.Div(*op.promote(x, y))


@lowers("aten::floor_divide", "aten::floor_divide.Scalar")
def floor_divide(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """The largest integer that is not above the exact quotient.

    The quotient of two floats may round up to the next integer (``1.0 // 0.1`` is 9, yet ``1.0 / 0.1`` is 10.0), which
    is why single precision is divided in double; a power of two divides exactly.
    """
    second = other if y is None else y
    a, b = op.promote(x, second)
    if not is_float(a):
        return floored_quotient(op, a, b)
    if not isinstance(second, ir.Value) and second != 0 and abs(math.frexp(second)[0]) == 0.5:
        return op.Floor(op.Div(a, b))
    dtype = _dtype(a)
    if dtype == ir.DataType.DOUBLE:
        return op.Floor(op.Div(a, b))
    wide = ir.DataType.FLOAT if dtype in _HALF_PRECISION else ir.DataType.DOUBLE
    return op.cast(op.Floor(op.Div(op.cast(a, wide), op.cast(b, wide))), dtype)


def floored_quotient(op: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    """Divide integers of one dtype and round down; ONNX's Div rounds towards zero."""
    if _dtype(a) in (ir.DataType.UINT8, ir.DataType.UINT16, ir.DataType.UINT32, ir.DataType.UINT64, ir.DataType.BOOL):
        return op.Div(a, b)
    return op.Div(op.Sub(a, op.call("aten::remainder.Tensor", a, b)), b)


def truncated(op: Emitter, x: ir.Value) -> ir.Value:
    """Round floating-point numbers towards zero, which ONNX has no operator for."""
    return op.Where(op.Less(x, 0.0), op.Ceil(x), op.Floor(x))


@lowers("aten::remainder.Tensor", "aten::remainder.Scalar", "aten::remainder.Scalar_Tensor", "prims::remainder")
def remainder(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, self: Operand = None) -> ir.Value:
    """The remainder with the sign of the divisor."""
    a, b = op.promote(*_operands(x, y, other, self))
    if not is_float(a):
        return op.Mod(a, b)
    rest = op.Mod(a, b, fmod=1)
    constant = _number(other)
    if constant is None:
        wrong_sign = op.Less(op.Mul(rest, b), 0.0)
    else:
        wrong_sign = op.Less(rest, 0.0) if constant > 0 else op.Greater(rest, 0.0)
    return op.Where(wrong_sign, op.Add(rest, b), rest)


@lowers("aten::fmod.Tensor", "aten::fmod.Scalar", "prims::fmod")
def fmod(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """The remainder with the sign of the dividend."""
    a, b = op.promote(x, other if y is None else y)
    return op.Mod(a, b, fmod=1)


def _operands(x: ir.Value, y: Operand, other: Operand, left: Operand) -> tuple[Operand, Operand]:
    if left is not None:
        return left, x
    return x, other if y is None else y


def _number(x: Any) -> float | None:
    return None if x is None or isinstance(x, ir.Value) else x


# ---- powers ----------------------------------------------------------------------------------------------------------


@lowers("aten::pow.Tensor_Tensor", "prims::pow")
def pow_tensor(op: Emitter, x: ir.Value, exponent: ir.Value) -> ir.Value:
    """``x ** exponent`` of two tensors."""
    return _power(op, *op.promote(x, exponent))


@lowers("aten::pow.Scalar")
def pow_scalar_base(op: Emitter, exponent: ir.Value, *, self: Operand) -> ir.Value:
    """``number ** exponent``."""
    return _power(op, *op.promote(self, exponent))


@lowers("aten::pow.Tensor_Scalar")
def pow_scalar(op: Emitter, x: ir.Value, *, exponent: Operand) -> ir.Value:
    """``x ** number``, by roots and reciprocals where PyTorch takes those too."""
    if exponent == 2 and is_float(x):
        return op.Pow(x, exponent)
    a, b = op.promote(x, exponent)
    if exponent == 1:
        return a
    if not is_float(a):
        return constant_power(op, a, int(exponent)) if isinstance(exponent, int) else integer_power(op, a, b)
    if is_float(a):
        if exponent == 0.5:
            return op.Sqrt(a)
        if exponent == -1:
            return op.Reciprocal(a)
        if exponent == -0.5:
            return op.Reciprocal(op.Sqrt(a))
    return _power(op, a, b)


def _power(op: Emitter, base: ir.Value, exponent: ir.Value) -> ir.Value:
    return op.Pow(base, exponent) if is_float(base) else integer_power(op, base, exponent)


@lowers("aten::float_power.Tensor_Tensor", "aten::float_power.Tensor_Scalar", "aten::float_power.Scalar")
def float_power(
    op: Emitter, x: ir.Value, y: Operand = None, *, exponent: Operand = None, self: Operand = None
) -> ir.Value:
    """``x ** exponent`` in double precision, whatever the operands are."""
    if self is not None:
        base, power = self, x
    else:
        base, power = x, exponent if y is None else y
    return op.Pow(op.cast(base, ir.DataType.DOUBLE), op.cast(power, ir.DataType.DOUBLE))


@lowers("aten::square")
def square(op: Emitter, x: ir.Value) -> ir.Value:
    """``x * x``."""
    if is_bool(x):
        return op.cast(x, ir.DataType.INT64)
    return op.Mul(x, x)


# ---- three operands --------------------------------------------------------------------------------------------------


@lowers("aten::addcmul")
def addcmul(op: Emitter, x: ir.Value, y: ir.Value, z: ir.Value, *, value: Operand = 1) -> ir.Value:
    """``x + value * y * z``."""
    a, b, c = op.promote(x, y, z)
    return op.Add(a, _scaled(op, op.Mul(b, c), value))


@lowers("aten::addcdiv")
def addcdiv(op: Emitter, x: ir.Value, y: ir.Value, z: ir.Value, *, value: Operand = 1) -> ir.Value:
    """``x + value * y / z``."""
    a, b, c = op.promote_float(x, y, z)
    return op.Add(a, _scaled(op, op.Div(b, c), value))


@lowers("aten::lerp.Scalar", "aten::lerp.Tensor")
def lerp(op: Emitter, start: ir.Value, end: ir.Value, w: Operand = None, *, weight: Operand = None) -> ir.Value:
    """``start + weight * (end - start)``."""
    a, b, factor = op.promote(start, end, weight if w is None else w)
    return op.Add(a, op.Mul(factor, op.Sub(b, a)))


@lowers("aten::_add_relu.Tensor", "aten::_add_relu.Scalar")
def add_relu(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, alpha: Operand = 1) -> ir.Value:
    """``relu(x + alpha * y)``."""
    return op.Relu(add(op, x, y, other=other, alpha=alpha))


# ---- one operand -----------------------------------------------------------------------------------------------------


@lowers("aten::abs", "aten::absolute", "prims::abs", "aten::fabs")
def absolute(op: Emitter, x: ir.Value) -> ir.Value:
    """The absolute value."""
    return x if is_bool(x) else op.Abs(x)


@lowers("aten::neg", "aten::negative", "prims::neg")
def neg(op: Emitter, x: ir.Value) -> ir.Value:
    """``-x``."""
    return op.Neg(x)


@lowers("aten::sign", "aten::sgn", "prims::sign")
def sign(op: Emitter, x: ir.Value) -> ir.Value:
    """-1, 0 or 1."""
    return x if is_bool(x) else op.Sign(x)


@lowers(
    "aten::positive",
    "aten::resolve_conj",
    "aten::resolve_neg",
    "aten::_conj",
    "aten::conj",
    "aten::real",
    "prims::conj",
    "prims::conj_physical",
    "prims::real",
    "prims::copy_strided",
)
@lowers("aten::conj_physical", "aten::_conj_physical")
def unchanged(op: Emitter, x: ir.Value) -> ir.Value:
    """What is the identity on real numbers."""
    if x.dtype in (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128):
        raise op.cannot("ONNX has no arithmetic of complex numbers")
    return x


@lowers("aten::reciprocal", "prims::reciprocal")
def reciprocal(op: Emitter, x: ir.Value) -> ir.Value:
    """``1 / x``."""
    return op.Reciprocal(*op.promote_float(x))


@lowers("aten::sqrt", "prims::sqrt")
def sqrt(op: Emitter, x: ir.Value) -> ir.Value:
    """The square root."""
    return op.Sqrt(*op.promote_float(x))


@lowers("aten::rsqrt", "prims::rsqrt")
def rsqrt(op: Emitter, x: ir.Value) -> ir.Value:
    """The reciprocal of the square root."""
    return op.Reciprocal(op.Sqrt(*op.promote_float(x)))
