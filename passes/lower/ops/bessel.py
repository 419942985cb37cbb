# SPDX-License-Identifier: Apache-2.0
"""Bessel functions of order zero and one, by the polynomial fits that hold to single precision.

Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions, sections 9.4 and 9.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .special import polynomial

_J_NEAR = (
    (1.0, -2.2499997, 1.2656208, -0.3163866, 0.0444479, -0.0039444, 0.0002100),
    (0.5, -0.56249985, 0.21093573, -0.03954289, 0.00443319, -0.00031761, 0.00001109),
)
_Y_NEAR = (
    (0.36746691, 0.60559366, -0.74350384, 0.25300117, -0.04261214, 0.00427916, -0.00024846),
    (-0.6366198, 0.2212091, 2.1682709, -1.3164827, 0.3123951, -0.0400976, 0.0027873),
)
_AMPLITUDE = (
    (0.79788456, -0.00000077, -0.00552740, -0.00009512, 0.00137237, -0.00072805, 0.00014476),
    (0.79788456, 0.00000156, 0.01659667, 0.00017105, -0.00249511, 0.00113653, -0.00020033),
)
_PHASE = (
    (-0.78539816, -0.04166397, -0.00003954, 0.00262573, -0.00054125, -0.00029333, 0.00013558),
    (-2.35619449, 0.12499612, 0.00005650, -0.00637879, 0.00074348, 0.00079824, -0.00029166),
)
_I_NEAR = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.02658733, 0.00301532, 0.00032411),
)
_I_FAR = (
    (
        0.39894228,
        0.01328592,
        0.00225319,
        -0.00157565,
        0.00916281,
        -0.02057706,
        0.02635537,
        -0.01647633,
        0.00392377,
    ),
    (
        0.39894228,
        -0.03988024,
        -0.00362018,
        0.00163801,
        -0.01031555,
        0.02282967,
        -0.02895312,
        0.01787654,
        -0.00420059,
    ),
)
_K_NEAR = (
    (-0.57721566, 0.42278420, 0.23069756, 0.03488590, 0.00262698, 0.00010750, 0.00000740),
    (1.0, 0.15443144, -0.67278579, -0.18156897, -0.01919402, -0.00110404, -0.00004686),
)
_K_FAR = (
    (1.25331414, -0.07832358, 0.02189568, -0.01062446, 0.00587872, -0.00251540, 0.00053208),
    (1.25331414, 0.23498619, -0.03655620, 0.01504268, -0.00780353, 0.00325614, -0.00068245),
)


def _in_square(op: Emitter, x: ir.Value, unit: float, coefficients: Sequence[float]) -> ir.Value:
    scaled = op.Div(x, unit)
    return polynomial(op, op.Mul(scaled, scaled), coefficients)


# ---- the first and second kind ---------------------------------------------------------------------------------------


def _wave(op: Emitter, x: ir.Value, order: int) -> tuple[ir.Value, ir.Value]:
    """Amplitude and phase for ``x >= 3``."""
    t = op.Div(3.0, x)
    amplitude = op.Div(polynomial(op, t, _AMPLITUDE[order]), op.Sqrt(x))
    return amplitude, op.Add(polynomial(op, t, _PHASE[order]), x)


def _first_kind(op: Emitter, x: ir.Value, order: int) -> ir.Value:
    size = op.Abs(x)
    near = _in_square(op, size, 3.0, _J_NEAR[order])
    if order:
        near = op.Mul(near, size)
    amplitude, phase = _wave(op, op.Clip(size, 3.0, None), order)
    result = op.Where(op.Less(size, 3.0), near, op.Mul(amplitude, op.Cos(phase)))
    return op.Where(op.Less(x, 0.0), op.Neg(result), result) if order else result


def _second_kind(op: Emitter, x: ir.Value, order: int) -> ir.Value:
    logarithm = op.Mul(op.Log(op.Mul(x, 0.5)), 2 / math.pi)
    fit = _in_square(op, x, 3.0, _Y_NEAR[order])
    near = op.Add(op.Mul(logarithm, _first_kind(op, x, order)), op.Div(fit, x) if order else fit)
    amplitude, phase = _wave(op, op.Clip(x, 3.0, None), order)
    result = op.Where(op.Less(x, 3.0), near, op.Mul(amplitude, op.Sin(phase)))
    return op.Where(op.Equal(x, 0.0), -math.inf, result)


@lowers("aten::special_bessel_j0", "prims::bessel_j0")
def bessel_j0(op: Emitter, x: ir.Value) -> ir.Value:
    """The Bessel function of the first kind of order zero."""
    return _first_kind(op, op.promote_float(x)[0], 0)


@lowers("aten::special_bessel_j1", "prims::bessel_j1")
def bessel_j1(op: Emitter, x: ir.Value) -> ir.Value:
    """The Bessel function of the first kind of order one."""
    return _first_kind(op, op.promote_float(x)[0], 1)


@lowers("aten::special_bessel_y0")
def bessel_y0(op: Emitter, x: ir.Value) -> ir.Value:
    """The Bessel function of the second kind of order zero."""
    return _second_kind(op, op.promote_float(x)[0], 0)


@lowers("aten::special_bessel_y1")
def bessel_y1(op: Emitter, x: ir.Value) -> ir.Value:
    """The Bessel function of the second kind of order one."""
    return _second_kind(op, op.promote_float(x)[0], 1)


@lowers("aten::special_spherical_bessel_j0", "prims::spherical_bessel_j0")
def spherical_bessel_j0(op: Emitter, x: ir.Value) -> ir.Value:
    """``sin(x) / x``, one at zero."""
    (value,) = op.promote_float(x)
    return op.Where(op.Equal(value, 0.0), 1.0, op.Div(op.Sin(value), value))


# ---- the modified ones -----------------------------------------------------------------------------------------------


def _modified_first(op: Emitter, x: ir.Value, order: int, *, scaled: bool) -> ir.Value:
    size = op.Abs(x)
    near = _in_square(op, size, 3.75, _I_NEAR[order])
    if order:
        near = op.Mul(near, size)
    far_size = op.Clip(size, 3.75, None)
    far = op.Div(polynomial(op, op.Div(3.75, far_size), _I_FAR[order]), op.Sqrt(far_size))
    if scaled:
        near = op.Mul(near, op.Exp(op.Neg(size)))
    else:
        far = op.Mul(far, op.Exp(far_size))
    result = op.Where(op.Less(size, 3.75), near, far)
    return op.Where(op.Less(x, 0.0), op.Neg(result), result) if order else result


def _modified_second(op: Emitter, x: ir.Value, order: int, *, scaled: bool) -> ir.Value:
    small = op.Clip(x, None, 2.0)
    logarithm = op.Mul(op.Log(op.Mul(small, 0.5)), 1.0 if order else -1.0)
    fit = _in_square(op, small, 2.0, _K_NEAR[order])
    first = _modified_first(op, small, order, scaled=False)
    near = op.Add(op.Mul(logarithm, first), op.Div(fit, small) if order else fit)
    large = op.Clip(x, 2.0, None)
    far = op.Div(polynomial(op, op.Div(2.0, large), _K_FAR[order]), op.Sqrt(large))
    if scaled:
        near = op.Mul(near, op.Exp(small))
    else:
        far = op.Mul(far, op.Exp(op.Neg(large)))
    result = op.Where(op.Less(x, 2.0), near, far)
    return op.Where(op.Equal(x, 0.0), math.inf, result)


@lowers("aten::i0", "aten::special_i0", "aten::special_modified_bessel_i0", "prims::bessel_i0")
def i0(op: Emitter, x: ir.Value) -> ir.Value:
    """The modified Bessel function of the first kind of order zero."""
    return _modified_first(op, op.promote_float(x)[0], 0, scaled=False)


@lowers("aten::special_i0e", "prims::bessel_i0e")
def i0e(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(-|x|) * i0(x)``."""
    return _modified_first(op, op.promote_float(x)[0], 0, scaled=True)


@lowers("aten::special_i1", "aten::special_modified_bessel_i1", "prims::bessel_i1")
def i1(op: Emitter, x: ir.Value) -> ir.Value:
    """The modified Bessel function of the first kind of order one."""
    return _modified_first(op, op.promote_float(x)[0], 1, scaled=False)


@lowers("aten::special_i1e", "prims::bessel_i1e")
def i1e(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(-|x|) * i1(x)``."""
    return _modified_first(op, op.promote_float(x)[0], 1, scaled=True)


@lowers("aten::special_modified_bessel_k0")
def k0(op: Emitter, x: ir.Value) -> ir.Value:
    """The modified Bessel function of the second kind of order zero."""
    return _modified_second(op, op.promote_float(x)[0], 0, scaled=False)


@lowers("aten::special_modified_bessel_k1")
def k1(op: Emitter, x: ir.Value) -> ir.Value:
    """The modified Bessel function of the second kind of order one."""
    return _modified_second(op, op.promote_float(x)[0], 1, scaled=False)


@lowers("aten::special_scaled_modified_bessel_k0")
def scaled_k0(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(x) * k0(x)``."""
    return _modified_second(op, op.promote_float(x)[0], 0, scaled=True)


@lowers("aten::special_scaled_modified_bessel_k1")
def scaled_k1(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(x) * k1(x)``."""
    return _modified_second(op, op.promote_float(x)[0], 1, scaled=True)
