# SPDX-License-Identifier: Apache-2.0
"""The Airy function Ai: its power series near zero, and its asymptotic series on both sides, in double precision.

Formulas: https://dlmf.nist.gov/9.4 and https://dlmf.nist.gov/9.7.  Where the two meet, at a distance of six from zero,
the cancellation in the one and the remainder of the other are both below 1e-7 of the value.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .special import polynomial

_DOUBLE = ir.DataType.DOUBLE
_NEAR = 6.0
_SERIES_TERMS, _ASYMPTOTIC_TERMS = 25, 14
_AT_ZERO, _SLOPE_AT_ZERO = 0.355028053887817239, -0.258819403792806798
_VANISHES_AT = 103.892


def _series(first: int) -> list[float]:
    """The coefficients in ``(x / 6) ** 3`` of the solution of ``y'' = x y`` that begins with ``x ** first``.

    In ``x ** 3`` they would be so small that onnxruntime takes them for zeros and drops their additions.
    """
    coefficients = [1.0]
    for k in range(1, _SERIES_TERMS):
        power = 3 * k + first
        coefficients.append(coefficients[-1] * _NEAR**3 / (power * (power - 1)))
    return coefficients


def _asymptotic() -> list[float]:
    """The numbers ``u_k`` of DLMF 9.7.2."""
    numbers = [1.0]
    for k in range(1, _ASYMPTOTIC_TERMS):
        numbers.append(numbers[-1] * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1)))
    return numbers


@lowers("aten::special_airy_ai")
def airy_ai(op: Emitter, x: ir.Value) -> ir.Value:
    """The solution of ``y'' = x y`` that vanishes at infinity."""
    value = op.cast(op.promote_float(x)[0], _DOUBLE)
    size = op.Abs(value)
    near = op.Less(size, _NEAR)
    small = op.Where(near, value, 0.0)
    part = op.Mul(small, 1 / _NEAR)
    cube = op.Mul(op.Mul(part, part), part)
    even = op.Mul(polynomial(op, cube, _series(0)), _AT_ZERO)
    odd = op.Mul(op.Mul(polynomial(op, cube, _series(1)), small), _SLOPE_AT_ZERO)
    # Beyond: zeta = 2/3 |x| ** (3/2), and the series in its inverse.
    large = op.Where(near, _NEAR, size)
    root = op.Sqrt(large)
    zeta = op.Mul(op.Mul(large, root), 2 / 3)
    inverse = op.Reciprocal(zeta)
    scale = op.Reciprocal(op.Mul(op.Sqrt(root), math.sqrt(math.pi)))
    numbers = _asymptotic()
    signed = [number if k % 2 == 0 else -number for k, number in enumerate(numbers)]
    falling = op.Mul(op.Mul(op.Mul(polynomial(op, inverse, signed), op.Exp(op.Neg(zeta))), scale), 0.5)
    square = op.Neg(op.Mul(inverse, inverse))
    phase = op.Sub(zeta, math.pi / 4)
    swinging = op.Add(
        op.Mul(op.Cos(phase), polynomial(op, square, numbers[::2])),
        op.Mul(op.Mul(op.Sin(phase), polynomial(op, square, numbers[1::2])), inverse),
    )
    far = op.Where(op.Greater(value, 0.0), falling, op.Mul(swinging, scale))
    far = op.Where(op.Greater(value, _VANISHES_AT), 0.0, far)
    result = op.Where(near, op.Add(even, odd), far)
    return op.Where(op.Equal(size, math.inf), math.nan, result)
