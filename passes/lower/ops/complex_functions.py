# SPDX-License-Identifier: Apache-2.0
"""Functions of complex numbers as pairs: roots, powers, exponentials, trigonometry, questions and matrices.

The inverse functions are those of W. Kahan, "Branch Cuts for Complex Elementary Functions" (1987), which lose no digits
near their branch points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .complex import (
    absolute,
    as_pairs,
    conjugate,
    equal,
    exp,
    log,
    over_parts,
    paired,
    part,
    product,
    reciprocal,
    whole_power,
)
from .elimination import inverted, no_errors, solved


def _parts(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    return part(op, x, 0), part(op, x, 1)


def _dtype(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


def _shifted(op: Emitter, x: ir.Value, by: float) -> ir.Value:
    """Add a real number."""
    return op.Add(x, op.const([by, 0], _dtype(x)))


def _times_i(op: Emitter, x: ir.Value) -> ir.Value:
    real, imaginary = _parts(op, x)
    return paired(op, op.Neg(imaginary), real)


# ---- roots and powers ------------------------------------------------------------------------------------------------


@lowers("complex/aten::sqrt")
def sqrt(op: Emitter, x: ir.Value) -> ir.Value:
    """The root with a real part that is not negative: of ``|re| + |z|`` nothing cancels."""
    real, imaginary = _parts(op, x)
    long = op.Sqrt(op.Mul(op.Add(op.Abs(real), absolute(op, x)), 0.5))
    short = op.Div(op.Mul(op.Abs(imaginary), 0.5), op.Where(op.Equal(long, 0.0), op.const_like(1, long), long))
    ahead = op.Not(op.Less(real, 0.0))
    below = op.Less(imaginary, 0.0)
    size = op.Where(ahead, short, long)
    return paired(op, op.Where(ahead, long, short), op.Where(below, op.Neg(size), size))


@lowers("complex/aten::rsqrt")
def rsqrt(op: Emitter, x: ir.Value) -> ir.Value:
    """One over the root."""
    return reciprocal(op, sqrt(op, x))


@lowers("complex/aten::square")
def square(op: Emitter, x: ir.Value) -> ir.Value:
    """The number times itself."""
    return product(op, x, x)


def _raised(op: Emitter, base: ir.Value, exponent: ir.Value) -> ir.Value:
    """``exp(exponent * log(base))``; zero raised to a positive real part is zero."""
    raised = exp(op, product(op, exponent, log(op, base)))
    known = op.And(op.Equal(absolute(op, base), 0.0), op.Greater(part(op, exponent, 0), 0.0))
    return op.Where(op.Unsqueeze(known, [op.rank(known)]), op.const_like(0, raised), raised)


@lowers("complex/aten::pow.Tensor_Scalar")
def power(op: Emitter, x: ir.Value, *, exponent: Any) -> ir.Value:
    """Raise to a number: to whole ones by squaring."""
    dtype = op.result().dtype
    base = as_pairs(op, x, dtype)
    if isinstance(exponent, complex) and exponent.imag == 0:
        exponent = exponent.real
    if not isinstance(exponent, complex):
        if exponent == 0:
            return op.Add(op.Mul(base, op.const(0, dtype)), op.const([1, 0], dtype))
        if exponent == 0.5:
            return sqrt(op, base)
        if exponent == int(exponent) and abs(exponent) <= 64:
            whole = whole_power(op, base, abs(int(exponent)))
            return whole if exponent > 0 else reciprocal(op, whole)
    return _raised(op, base, as_pairs(op, exponent, dtype))


@lowers("complex/aten::pow.Tensor_Tensor", "complex/aten::pow.Scalar")
def power_of(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, self: Any = None) -> ir.Value:
    """Raise to complex numbers."""
    dtype = op.result().dtype
    base, exponent = (x, y) if y is not None else (self, x)
    return _raised(op, as_pairs(op, base, dtype), as_pairs(op, exponent, dtype))


@lowers("complex/aten::prod", "complex/aten::prod.dim_int")
def prod(op: Emitter, x: ir.Value, *, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> ir.Value:
    """Multiply along a dimension, or all, by halves."""
    del dtype
    if dim is None:
        x, dim, keepdim = op.Reshape(x, op.i64([-1, 2])), 0, False
    axis = dim % max(op.rank(x) - 1, 1)
    if op.rank(x) == 1:
        return x
    length = op.dim(x, axis)
    if not length:
        raise op.cannot("the product of a number of complex numbers that is zero or only known at run time")
    while length > 1:
        half = length // 2
        cuts = [(0, half), (half, 2 * half), (2 * half, length)]
        first, second, rest = (op.Slice(x, op.i64([a]), op.i64([b]), op.i64([axis])) for a, b in cuts)
        halves = product(op, first, second)
        x = halves if length == 2 * half else op.Concat(halves, rest, axis=axis)
        length -= half
    return x if keepdim else op.Squeeze(x, [axis])


# ---- exponentials and logarithms -------------------------------------------------------------------------------------


@lowers("complex/aten::exp2")
def exp2(op: Emitter, x: ir.Value) -> ir.Value:
    """Two to the power of each number."""
    return exp(op, op.Mul(x, op.const(math.log(2), _dtype(x))))


@lowers("complex/aten::expm1")
def expm1(op: Emitter, x: ir.Value) -> ir.Value:
    """``exp(z) - 1``, precise near zero: ``cos(b)`` is ``1 - 2 sin(b / 2) ** 2``."""
    real, imaginary = _parts(op, x)
    half = op.Sin(op.Mul(imaginary, 0.5))
    less = op.call("aten::expm1", real)
    lost = op.Mul(op.Mul(half, half), 2.0)
    return paired(op, op.Sub(op.Mul(less, op.Cos(imaginary)), lost), op.Mul(op.Exp(real), op.Sin(imaginary)))


@lowers("complex/aten::log1p")
def log1p(op: Emitter, x: ir.Value) -> ir.Value:
    """``log(1 + z)``, precise near zero: ``|1 + z| ** 2`` is ``1 + a (2 + a) + b ** 2``."""
    real, imaginary = _parts(op, x)
    more = op.Add(op.Mul(real, op.Add(real, 2.0)), op.Mul(imaginary, imaginary))
    return paired(op, op.Mul(op.call("aten::log1p", more), 0.5), op.call("aten::atan2", imaginary, op.Add(real, 1.0)))


def _register_logarithm(name: str, base: float) -> None:
    @lowers(f"complex/aten::{name}")
    def logarithm(op: Emitter, x: ir.Value) -> ir.Value:
        return op.Mul(log(op, x), op.const(1 / math.log(base), _dtype(x)))


_register_logarithm("log2", 2)
_register_logarithm("log10", 10)


@lowers("complex/aten::sigmoid")
def sigmoid(op: Emitter, x: ir.Value) -> ir.Value:
    """``1 / (1 + exp(-z))``."""
    return reciprocal(op, _shifted(op, exp(op, op.Neg(x)), 1))


# ---- trigonometry ----------------------------------------------------------------------------------------------------


@lowers("complex/aten::sin")
def sin(op: Emitter, x: ir.Value) -> ir.Value:
    """``sin(a) cosh(b) + i cos(a) sinh(b)``."""
    a, b = _parts(op, x)
    return paired(op, op.Mul(op.Sin(a), op.Cosh(b)), op.Mul(op.Cos(a), op.Sinh(b)))


@lowers("complex/aten::cos")
def cos(op: Emitter, x: ir.Value) -> ir.Value:
    """``cos(a) cosh(b) - i sin(a) sinh(b)``."""
    a, b = _parts(op, x)
    return paired(op, op.Mul(op.Cos(a), op.Cosh(b)), op.Neg(op.Mul(op.Sin(a), op.Sinh(b))))


@lowers("complex/aten::sinh")
def sinh(op: Emitter, x: ir.Value) -> ir.Value:
    """``sinh(a) cos(b) + i cosh(a) sin(b)``."""
    a, b = _parts(op, x)
    return paired(op, op.Mul(op.Sinh(a), op.Cos(b)), op.Mul(op.Cosh(a), op.Sin(b)))


@lowers("complex/aten::cosh")
def cosh(op: Emitter, x: ir.Value) -> ir.Value:
    """``cosh(a) cos(b) + i sinh(a) sin(b)``."""
    a, b = _parts(op, x)
    return paired(op, op.Mul(op.Cosh(a), op.Cos(b)), op.Mul(op.Sinh(a), op.Sin(b)))


@lowers("complex/aten::tanh")
def tanh(op: Emitter, x: ir.Value) -> ir.Value:
    """``(t + i s c (1 - t t)) / (c c + t t s s)`` of ``t = tanh(a)``, sine and cosine of ``b``: nothing overflows."""
    a, b = _parts(op, x)
    t, s, c = op.Tanh(a), op.Sin(b), op.Cos(b)
    square = op.Mul(t, t)
    divisor = op.Add(op.Mul(c, c), op.Mul(square, op.Mul(s, s)))
    imaginary = op.Mul(op.Mul(s, c), op.Sub(op.const_like(1, square), square))
    return paired(op, op.Div(t, divisor), op.Div(imaginary, divisor))


def _turned(op: Emitter, x: ir.Value, function: Callable[[Emitter, ir.Value], ir.Value]) -> ir.Value:
    """``-i f(i z)``."""
    return op.Neg(_times_i(op, function(op, _times_i(op, x))))


@lowers("complex/aten::tan")
def tan(op: Emitter, x: ir.Value) -> ir.Value:
    """``-i tanh(i z)``."""
    return _turned(op, x, tanh)


def _roots_around(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return the roots of ``1 - z`` and ``1 + z``."""
    return sqrt(op, _shifted(op, op.Neg(x), 1)), sqrt(op, _shifted(op, x, 1))


@lowers("complex/aten::asin", "complex/aten::arcsin")
def asin(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the sine."""
    below, above = _roots_around(op, x)
    real = op.call("aten::atan2", part(op, x, 0), part(op, product(op, below, above), 0))
    return paired(op, real, op.Asinh(part(op, product(op, conjugate(op, below), above), 1)))


@lowers("complex/aten::acos", "complex/aten::arccos")
def acos(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the cosine."""
    below, above = _roots_around(op, x)
    real = op.Mul(op.call("aten::atan2", part(op, below, 0), part(op, above, 0)), 2.0)
    return paired(op, real, op.Asinh(part(op, product(op, conjugate(op, above), below), 1)))


@lowers("complex/aten::acosh", "complex/aten::arccosh")
def acosh(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the hyperbolic cosine."""
    below, above = sqrt(op, _shifted(op, x, -1)), sqrt(op, _shifted(op, x, 1))
    real = op.Asinh(part(op, product(op, conjugate(op, below), above), 0))
    return paired(op, real, op.Mul(op.call("aten::atan2", part(op, below, 1), part(op, above, 0)), 2.0))


@lowers("complex/aten::asinh", "complex/aten::arcsinh")
def asinh(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the hyperbolic sine."""
    return _turned(op, x, asin)


@lowers("complex/aten::atanh", "complex/aten::arctanh")
def atanh(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the hyperbolic tangent: half the difference of ``log(1 + z)`` and ``log(1 - z)``."""
    return op.Mul(op.Sub(log1p(op, x), log1p(op, op.Neg(x))), op.const(0.5, _dtype(x)))


@lowers("complex/aten::atan", "complex/aten::arctan")
def atan(op: Emitter, x: ir.Value) -> ir.Value:
    """The inverse of the tangent."""
    return _turned(op, x, atanh)


# ---- questions -------------------------------------------------------------------------------------------------------


@lowers("complex/aten::sgn")
def sgn(op: Emitter, x: ir.Value) -> ir.Value:
    """The number over its size; zero stays."""
    size = op.Unsqueeze(absolute(op, x), [op.rank(x) - 1])
    return op.Div(x, op.Where(op.Equal(size, 0.0), op.const_like(1, size), size))


@lowers("complex/aten::ne.Tensor")
def not_equal(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Whether either part differs."""
    return op.Not(equal(op, x, y))


@lowers("complex/aten::eq.Scalar")
def equal_number(op: Emitter, x: ir.Value, *, other: Any) -> ir.Value:
    """Compare with a number."""
    same = op.Equal(x, as_pairs(op, other, _dtype(x)))
    return over_parts(op, same, op.ReduceMin)


@lowers("complex/aten::ne.Scalar")
def not_equal_number(op: Emitter, x: ir.Value, *, other: Any) -> ir.Value:
    """Compare with a number."""
    return op.Not(equal_number(op, x, other=other))


def _register_question(name: str) -> None:
    @lowers(f"complex/aten::{name}")
    def question(op: Emitter, x: ir.Value) -> ir.Value:
        return over_parts(op, op.call(f"aten::{name}", x), op.ReduceMin if name == "isfinite" else op.ReduceMax)


for _name in ("isnan", "isinf", "isfinite"):
    _register_question(_name)


@lowers("complex/aten::isreal")
def isreal(op: Emitter, x: ir.Value) -> ir.Value:
    """Whether there is no imaginary part."""
    return op.Equal(part(op, x, 1), 0.0)


# ---- matrices --------------------------------------------------------------------------------------------------------


def _as_real_matrix(op: Emitter, x: ir.Value) -> ir.Value:
    """Return matrices ``A + iB`` as ``[[A, -B], [B, A]]``, which multiply and invert alike."""
    a, b = _parts(op, x)
    axis = op.rank(a) - 1
    return op.Concat(op.Concat(a, op.Neg(b), axis=axis), op.Concat(b, a, axis=axis), axis=axis - 1)


def _upper_and_lower(op: Emitter, x: ir.Value, rows: int, axis: int) -> ir.Value:
    """Return the upper half of rows as real and the lower as imaginary parts."""
    upper, lower = (op.Slice(x, op.i64([i * rows]), op.i64([(i + 1) * rows]), op.i64([axis])) for i in (0, 1))
    return paired(op, upper, lower)


def _rows(op: Emitter, x: ir.Value) -> int:
    rows = op.dim(x, -3)
    if rows is None:
        raise op.cannot("complex matrices of a size that is only known at run time")
    return rows


@lowers("complex/aten::linalg_inv_ex", "complex/aten::linalg_inv", "complex/aten::inverse")
def inverse(op: Emitter, x: ir.Value, *, check_errors: bool = False) -> tuple[ir.Value, ...] | ir.Value:
    """Invert matrices; one without an inverse gives infinities or NaNs."""
    del check_errors
    rows = _rows(op, x)
    whole = inverted(op, _as_real_matrix(op, x))
    left = op.Slice(whole, op.i64([0]), op.i64([rows]), op.i64([op.rank(whole) - 1]))
    made = _upper_and_lower(op, left, rows, op.rank(whole) - 2)
    if op.result_count == 1:
        return made
    return made, no_errors(op, part(op, x, 0))


@lowers("complex/aten::_linalg_solve_ex", "complex/aten::linalg_solve")
def solve(
    op: Emitter, matrix: ir.Value, right: ir.Value, *, left: bool = True, check_errors: bool = False
) -> tuple[ir.Value | None, ...] | ir.Value:
    """Solve systems of linear equations; the factors, which only gradients read, are left out."""
    del check_errors
    if not left:
        raise op.cannot("complex equations with the unknown on the left")
    dtype = op.result().dtype
    matrix, right = as_pairs(op, matrix, dtype), as_pairs(op, right, dtype)
    vector = op.rank(right) < op.rank(matrix)
    if vector:
        right = op.Unsqueeze(right, [op.rank(right) - 1])
    stacked = op.Concat(*_parts(op, right), axis=op.rank(right) - 3)
    found = solved(op, _as_real_matrix(op, matrix), stacked, True)
    made = _upper_and_lower(op, found, _rows(op, matrix), op.rank(found) - 2)
    if vector:
        made = op.Squeeze(made, [op.rank(made) - 2])
    return made if op.result_count == 1 else (made, None, None, no_errors(op, part(op, matrix, 0)))
