# SPDX-License-Identifier: Apache-2.0
"""Special functions: error functions, gamma functions and the zeta function.

Where ONNX has no operator, a closed form or an approximation to single precision is written out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .exponentials import log_one_plus


def polynomial(op: Emitter, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
    """Evaluate a polynomial, constant term first, by Horner's rule."""
    result: ir.Value = op.const_like(coefficients[-1], x)
    for coefficient in reversed(coefficients[:-1]):
        result = op.Add(op.Mul(result, x), coefficient)
    return result


# ---- error functions -------------------------------------------------------------------------------------------------


@lowers("aten::erf", "aten::special_erf", "prims::erf")
def erf(op: Emitter, x: ir.Value) -> ir.Value:
    """The error function."""
    return op.Erf(*op.promote_float(x))


@lowers("aten::erfc", "aten::special_erfc", "prims::erfc")
def erfc(op: Emitter, x: ir.Value) -> ir.Value:
    """``1 - erf(x)``."""
    return op.Sub(1.0, op.Erf(*op.promote_float(x)))


def _scaled_complement(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(x ** 2) * erfc(x)`` for ``x >= 0``.

    Chebyshev fit with a relative error below 1.2e-7: Press et al., Numerical Recipes, section 6.2.
    """
    t = op.Reciprocal(op.Add(op.Mul(x, 0.5), 1.0))
    exponent = polynomial(
        op,
        t,
        [
            -1.26551223,
            1.00002368,
            0.37409196,
            0.09678418,
            -0.18628806,
            0.27886807,
            -1.13520398,
            1.48851587,
            -0.82215223,
            0.17087277,
        ],
    )
    return op.Mul(t, op.Exp(exponent))


@lowers("aten::special_erfcx", "prims::erfcx")
def erfcx(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(x ** 2) * erfc(x)``, which does not underflow."""
    (value,) = op.promote_float(x)
    positive = _scaled_complement(op, op.Abs(value))
    mirrored = op.Sub(op.Mul(op.Exp(op.Mul(value, value)), 2.0), positive)
    return op.Where(op.Less(value, 0.0), mirrored, positive)


@lowers("aten::special_ndtr")
def ndtr(op: Emitter, x: ir.Value) -> ir.Value:
    """The normal distribution function."""
    (value,) = op.promote_float(x)
    return op.Mul(op.Add(op.Erf(op.Mul(value, math.sqrt(0.5))), 1.0), 0.5)


@lowers("aten::special_log_ndtr")
def log_ndtr(op: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm of the normal distribution function, by the scaled complement where that is small."""
    (value,) = op.promote_float(x)
    scaled = op.Mul(value, math.sqrt(0.5))
    tail = op.Sub(
        op.Log(op.Mul(_scaled_complement(op, op.Abs(scaled)), 0.5)),
        op.Mul(scaled, scaled),
    )
    body = log_one_plus(op, op.Mul(op.Sub(1.0, op.Erf(scaled)), -0.5))
    return op.Where(op.Less(value, -1.0), tail, body)


_ERFINV_CENTRE = [
    1.50140941,
    0.246640727,
    -0.00417768164,
    -0.00125372503,
    0.000218580870,
    -4.39150654e-06,
    -3.5233877e-06,
    3.43273939e-07,
    2.81022636e-08,
]
_ERFINV_TAIL = [
    2.83297682,
    1.00167406,
    0.00943887047,
    -0.0076224613,
    0.00573950773,
    -0.00367342844,
    0.00134934322,
    0.000100950558,
    -0.000200214257,
]


@lowers("aten::erfinv", "aten::special_erfinv", "prims::erf_inv")
def erfinv(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the error function.

    Source: M. Giles, "Approximating the erfinv function", GPU Computing Gems, 2011 (single precision).
    """
    (value,) = op.promote_float(x)
    w = op.Neg(op.Log(op.Mul(op.Sub(1.0, value), op.Add(value, 1.0))))
    centre = polynomial(op, op.Sub(w, 2.5), _ERFINV_CENTRE)
    tail = polynomial(op, op.Sub(op.Sqrt(op.Clip(w, 5.0, None)), 3.0), _ERFINV_TAIL)
    inner = op.Mul(op.Where(op.Less(w, 5.0), centre, tail), value)
    # At plus and minus one the fit is finite, the function is not.
    return op.Where(op.Equal(op.Abs(value), 1.0), op.Mul(value, math.inf), inner)


@lowers("aten::special_ndtri", "prims::ndtri")
def ndtri(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the normal distribution function."""
    (value,) = op.promote_float(x)
    return op.Mul(erfinv(op, op.Sub(op.Mul(value, 2.0), 1.0)), math.sqrt(2))


# ---- gamma functions -------------------------------------------------------------------------------------------------


def _shifted(op: Emitter, x: ir.Value, count: int) -> ir.Value:
    """``x, x + 1, …`` along a new last dimension."""
    return op.Add(op.Unsqueeze(x, [-1]), op.const_like([float(step) for step in range(count)], x))


@lowers("aten::lgamma", "aten::special_gammaln", "prims::lgamma")
def lgamma(op: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm of the gamma function's absolute value.

    Stirling's series at ``x + 4``, taken back by the recurrence; the reflection formula below one half.
    """
    (value,) = op.promote_float(x)
    reflected = op.Less(value, 0.5)
    z = op.Where(reflected, op.Sub(1.0, value), value)
    positive = _lgamma_of_positive(op, z)
    fraction = op.Sub(value, op.Floor(value))
    sine = op.Sin(op.Mul(fraction, math.pi))
    # An integer has no fraction, and its pole must not be lost to the rounding of pi.
    sine = op.Where(op.Equal(fraction, 0.0), 0.0, sine)
    mirrored = op.Sub(op.Sub(math.log(math.pi), op.Log(op.Abs(sine))), positive)
    result = op.Where(reflected, mirrored, positive)
    return op.Where(op.Equal(op.Abs(value), math.inf), math.inf, result)


def _lgamma_of_positive(op: Emitter, x: ir.Value) -> ir.Value:
    w = op.Add(x, 4.0)
    inverse = op.Reciprocal(w)
    series = op.Mul(inverse, polynomial(op, op.Mul(inverse, inverse), [1 / 12, -1 / 360, 1 / 1260, -1 / 1680]))
    main = op.Mul(op.Sub(w, 0.5), op.Sub(op.Log(w), 1.0))
    stirling = op.Add(op.Add(main, series), 0.5 * math.log(2 * math.pi) - 0.5)
    return op.Sub(stirling, op.ReduceSum(op.Log(_shifted(op, x, 4)), [-1], keepdims=0))


_SMALL_FLOATS = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


@lowers("aten::digamma", "aten::special_digamma", "aten::special_psi", "prims::digamma")
def digamma(op: Emitter, x: ir.Value) -> ir.Value:
    """The logarithmic derivative of the gamma function; of numbers of 16 bits as in PyTorch, in single precision."""
    (value,) = op.promote_float(x)
    wide = op.cast(value, ir.DataType.FLOAT) if value.dtype in _SMALL_FLOATS else value
    return op.cast(_digamma(op, wide), value.dtype)


def _digamma(op: Emitter, value: ir.Value) -> ir.Value:
    """Its asymptotic series at ``x + 6``, and reflection."""
    reflected = op.Less(value, 0.0)
    z = op.Where(reflected, op.Sub(1.0, value), value)
    w = op.Add(z, 6.0)
    inverse = op.Reciprocal(op.Mul(w, w))
    series = op.Mul(inverse, polynomial(op, inverse, [1 / 12, -1 / 120, 1 / 252, -1 / 240]))
    asymptotic = op.Sub(op.Sub(op.Log(w), op.Div(0.5, w)), series)
    positive = op.Sub(asymptotic, op.ReduceSum(op.Reciprocal(_shifted(op, z, 6)), [-1], keepdims=0))
    fraction = op.Sub(value, op.Ceil(value))
    mirrored = op.Sub(positive, op.Div(math.pi, op.Tan(op.Mul(fraction, math.pi))))
    # Negative integers are poles without a sign.
    mirrored = op.Where(op.Equal(fraction, 0.0), math.nan, mirrored)
    at_zero = op.Neg(op.Reciprocal(value))
    return op.Where(op.Equal(value, 0.0), at_zero, op.Where(reflected, mirrored, positive))


_ZETA_TERMS = 9
# Bernoulli numbers over factorials: B2 / 2!, B4 / 4!, …
_ZETA_SERIES = (1 / 12, -1 / 720, 1 / 30240, -1 / 1209600)


def hurwitz_zeta(op: Emitter, s: ir.Value, q: ir.Value) -> ir.Value:
    """The sum of ``(q + k) ** -s`` over all ``k >= 0``, for ``s > 1`` and ``q > 0``, by Euler-Maclaurin."""
    power = op.Neg(op.Unsqueeze(s, [-1]) if op.rank(s) else s)
    head = op.ReduceSum(op.Pow(_shifted(op, q, _ZETA_TERMS), power), [-1], keepdims=0)
    w = op.Add(q, float(_ZETA_TERMS))
    tail = op.Pow(w, op.Neg(s))
    total = op.Add(op.Add(head, op.Div(op.Mul(w, tail), op.Sub(s, 1.0))), op.Mul(tail, 0.5))
    factor = op.Div(op.Mul(tail, s), w)
    step = op.Mul(w, w)
    for index, bernoulli in enumerate(_ZETA_SERIES):
        if index:
            rising = op.Mul(op.Add(s, float(2 * index - 1)), op.Add(s, float(2 * index)))
            factor = op.Div(op.Mul(factor, rising), step)
        total = op.Add(total, op.Mul(factor, bernoulli))
    return total


@lowers("aten::special_zeta", "aten::special_zeta.self_scalar", "aten::special_zeta.other_scalar", "prims::zeta")
def zeta(
    op: Emitter, x: ir.Value, y: ir.Value | None = None, *, self: Operand = None, other: Operand = None
) -> ir.Value:
    """The Hurwitz zeta function; infinite at its poles and NaN where it has no real value."""
    first = x if self is None else self
    second = other if other is not None else (y if y is not None else x)
    s, q = op.promote_float(first, second)
    below = op.Less(q, 0.0)
    # Below zero the series has terms of both signs: those above zero start at the fraction of q, and those below are
    # the difference of two series.
    up = op.Sub(q, op.Floor(q))
    down = op.Sub(hurwitz_zeta(op, s, op.Sub(1.0, up)), hurwitz_zeta(op, s, op.Sub(1.0, q)))
    half = op.Mul(s, 0.5)
    signed = op.Where(op.Equal(half, op.Floor(half)), down, op.Neg(down))
    start = hurwitz_zeta(op, s, op.Where(below, up, q))
    mirrored = op.Where(op.Equal(s, op.Floor(s)), op.Add(start, signed), math.nan)
    pole = op.And(op.LessOrEqual(q, 0.0), op.Equal(up, 0.0))
    value = op.Where(pole, math.inf, op.Where(below, mirrored, start))
    return op.Where(op.Equal(s, 1.0), math.inf, op.Where(op.Less(s, 1.0), math.nan, value))


@lowers("aten::polygamma", "aten::special_polygamma")
def polygamma(op: Emitter, x: ir.Value, *, n: int) -> ir.Value:
    """The n-th derivative of digamma, ``(-1) ** (n + 1) n! zeta(n + 1, x)``."""
    (value,) = op.promote_float(x)
    if n == 0:
        return digamma(op, value)
    order = op.const_like(float(n + 1), value)
    reflected = op.Less(value, 0.0)
    zeta_value = hurwitz_zeta(op, order, op.Where(reflected, op.Sub(1.0, value), value))
    positive = op.Mul(zeta_value, (-1.0) ** (n + 1) * math.factorial(n))
    # The derivatives of the cotangent are polynomials in it: P' by the chain rule, -(1 + c ** 2) P'(c).
    cotangent = op.Reciprocal(op.Tan(op.Mul(op.Sub(value, op.Floor(value)), math.pi)))
    derivative = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        derivative = derivative.deriv() * np.polynomial.Polynomial([-1.0, 0.0, -1.0])
    curve = polynomial(op, cotangent, [float(item) * math.pi ** (n + 1) for item in derivative.coef])
    mirrored = op.Sub(op.Neg(positive) if n % 2 else positive, curve)
    return op.Where(reflected, mirrored, positive)


@lowers("aten::mvlgamma", "aten::special_multigammaln")
def mvlgamma(op: Emitter, x: ir.Value, *, p: int) -> ir.Value:
    """The logarithm of the multivariate gamma function: a sum of ``p`` ordinary ones."""
    (value,) = op.promote_float(x)
    halves = op.Sub(op.Unsqueeze(value, [-1]), op.const_like([0.5 * index for index in range(p)], value))
    total = op.ReduceSum(lgamma(op, halves), [-1], keepdims=0)
    return op.Add(total, p * (p - 1) / 4 * math.log(math.pi))
