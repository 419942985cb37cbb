# SPDX-License-Identifier: Apache-2.0
"""Numbers taken apart into mantissa and exponent of two, put together, and the neighbours of a number."""

from __future__ import annotations

import math

import ml_dtypes
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers


@lowers("aten::ldexp.Tensor")
def ldexp(op: Emitter, x: ir.Value, exponent: ir.Value) -> ir.Value:
    """``x * 2 ** exponent``."""
    a, b = op.promote_float(x, exponent)
    return op.Mul(a, op.Pow(op.const_like(2.0, b), b))


@lowers("aten::frexp.Tensor", "prims::frexp")
def frexp(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Mantissa in [1/2, 1) and exponent of two, whose product is ``x``."""
    size = op.Abs(x)
    special = op.Or(op.Equal(x, 0.0), op.Not(op.Less(size, math.inf)))
    safe = op.Where(special, 0.5, size)
    # The logarithm may miss by one at a power of two; the mantissa tells.
    guess = op.Floor(op.Mul(op.Log(safe), 1 / math.log(2)))
    mantissa = op.Div(safe, op.Pow(op.const_like(2.0, x), guess))
    up = op.cast(op.GreaterOrEqual(mantissa, 1.0), x.dtype or ir.DataType.FLOAT)
    down = op.cast(op.Less(mantissa, 0.5), x.dtype or ir.DataType.FLOAT)
    shift = op.Sub(up, down)
    again = op.cast(
        op.GreaterOrEqual(op.Div(mantissa, op.Pow(op.const_like(2.0, x), shift)), 1.0), x.dtype or ir.DataType.FLOAT
    )
    exponent = op.Add(op.Add(guess, shift), again)
    scaled = op.Div(x, op.Pow(op.const_like(2.0, x), exponent))
    return op.Where(special, x, scaled), op.Cast(op.Where(special, 0.0, exponent), to=ir.DataType.INT32)


def _spacing(op: Emitter, power: ir.Value) -> ir.Value:
    """Return powers of two in two factors: the smallest numbers are below the range of a power of two itself."""
    two = op.const(2, ir.DataType.DOUBLE)
    half = op.Floor(op.Mul(power, 0.5))
    return op.Mul(op.Pow(two, half), op.Pow(two, op.Sub(power, half)))


@lowers("aten::nextafter", "prims::nextafter")
def nextafter(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The next number of the dtype on the way from one to another: a step of the spacing at its exponent."""
    dtype = op.result().dtype
    limits = ml_dtypes.finfo(dtype.numpy())
    bits, least = float(limits.nmant + 1), float(limits.minexp - limits.nmant)
    a, b = (op.cast(value, ir.DataType.DOUBLE) for value in op.promote(x, y))
    mantissa, exponent = frexp(op, a)
    grows = op.Equal(op.Greater(b, a), op.Greater(a, 0.0))
    # Towards zero, the spacing below a power of two is half of that above it.
    halved = op.And(op.Not(grows), op.Equal(op.Abs(mantissa), 0.5))
    lost = op.Add(op.cast(halved, ir.DataType.DOUBLE), bits)
    power = op.Sub(op.cast(exponent, ir.DataType.DOUBLE), lost)
    spacing = _spacing(op, op.Where(op.Equal(a, 0.0), least, op.Max(power, least)))
    moved = op.Add(a, op.Where(op.Greater(b, a), spacing, op.Neg(spacing)))
    largest = float(limits.max)
    moved = op.Where(op.Equal(op.Abs(a), math.inf), op.Mul(op.Sign(a), largest), moved)
    result = op.Where(op.Equal(a, b), b, moved)
    return op.cast(op.Where(op.Or(op.IsNaN(a), op.IsNaN(b)), math.nan, result), dtype)
