# SPDX-License-Identifier: Apache-2.0
"""Mod, Pow, Round, Sign, Erf, and logic on the bits of integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_of
from .forms import alike, as_is, but_in_doubles, dtype_of, is_float

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_INT64 = ir.DataType.INT64

as_is("Mod", since=10)


@spells("Mod")
def mod_by_division(op: Emitter, A: Operand, B: Operand, *, fmod: int = 0) -> ir.Value:
    """Before Mod: the dividend without whole divisors; its sign is the divisor's, with ``fmod`` the dividend's.

    A quotient of 32-bit floats below 2**29 is exact enough in 64 bits to be cut at the right integer, and so is its
    product with the divisor.  64-bit floats would need more bits than there are.
    """
    a, b = alike(op, A, B)
    dtype = dtype_of(a)
    if dtype.is_floating_point():
        if dtype == ir.DataType.DOUBLE:
            raise op.cannot("the remainder of 64-bit floats needs opset 10")
        wide_a, wide_b = op.cast(a, ir.DataType.DOUBLE), op.cast(b, ir.DataType.DOUBLE)
        quotient = op.Div(wide_a, wide_b)
        whole = op.Where(op.Less(quotient, 0.0), op.Ceil(quotient), op.Floor(quotient))
        # A finite dividend is its own remainder by an infinite divisor, where whole * b would be 0 * inf.
        product = op.Where(op.Equal(whole, 0.0), whole, op.Mul(whole, wide_b))
        remainder = op.Sub(wide_a, product)
        if not fmod:
            remainder = _with_sign_of(op, remainder, wide_b)
        return op.cast(remainder, dtype)
    wide_a, wide_b = op.cast(a, _INT64), op.cast(b, _INT64)
    # Not a - (a / b) * b: where a is the constant 1, onnxruntime writes (1 / b) * b as b / b, integers or not.
    remainder = op.Add(wide_a, op.Mul(op.Neg(op.Div(wide_a, wide_b)), wide_b))
    return op.cast(remainder if fmod else _with_sign_of(op, remainder, wide_b), dtype)


def _with_sign_of(op: Emitter, remainder: ir.Value, divisor: ir.Value) -> ir.Value:
    """Add the divisor where a remainder has the other sign."""
    below = op.And(op.Less(remainder, 0), op.Greater(divisor, 0))
    above = op.And(op.Greater(remainder, 0), op.Less(divisor, 0))
    return op.Where(op.Or(below, above), op.Add(remainder, divisor), remainder)


as_is("Pow", since=12)


@spells("Pow")
def pow_of_one_dtype(op: Emitter, X: Operand, Y: Operand) -> ir.Value:
    """Pow 7: both are floats of one dtype; small whole powers of integers are products, others go by doubles."""
    (base,) = alike(op, X)
    (exponent,) = alike(op, Y)
    if is_float(base):
        if not isinstance(Y, ir.Value):
            exponent = op.const_like(Y, base)
        return op.raw("Pow", base, op.cast(exponent, dtype_of(base)))
    constant = constant_of(exponent)
    if constant is not None and constant.size == 1 and constant.item() in (1, 2, 3, 4):
        result = base
        for _ in range(int(constant.item()) - 1):
            result = op.Mul(result, base)
        return op.Identity(base) if result is base else result
    double = ir.DataType.DOUBLE
    return op.cast(op.raw("Pow", op.cast(base, double), op.cast(exponent, double)), dtype_of(base))


as_is("Round", since=11)


@spells("Round")
def round_by_floor(op: Emitter, X: Operand) -> ir.Value:
    """Before Round: up where more than half is cut off, or half of an odd number; the cut is exact in floats."""
    (x,) = alike(op, X)
    down = op.Floor(x)
    cut = op.Sub(x, down)
    odd = op.Greater(op.Sub(down, op.Mul(op.Floor(op.Mul(down, 0.5)), 2.0)), 0.5)
    up = op.Or(op.Greater(cut, 0.5), op.And(odd, op.Not(op.Less(cut, 0.5))))
    return op.Add(down, op.cast(up, dtype_of(x)))


as_is("Sign", since=9)


@spells("Sign")
def sign_by_comparing(op: Emitter, input: Operand) -> ir.Value:
    """Before Sign: one for what is above zero less one for what is below."""
    (x,) = alike(op, input)
    above, below = op.Greater(x, op.const_like(0, x)), op.Less(x, op.const_like(0, x))
    sign = op.Sub(op.cast(above, dtype_of(x)), op.cast(below, dtype_of(x)))
    return op.Where(op.IsNaN(x), x, sign) if is_float(x) else sign


# W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), 631-637: erf up to
# 0.46875, erfc up to 4; relative error below 1e-16.  Highest power first.
_NEAR = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e0,
        1.13864154151050156e2,
        3.77485237685302021e2,
        3.20937758913846947e3,
    ),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_FAR = (
    (
        *(2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1),
        *(2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3),
        1.23033935479799725e3,
    ),
    (
        *(1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3),
        *(3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
    ),
)


def _ratio(op: Emitter, x: ir.Value, coefficients: tuple[Sequence[float], Sequence[float]]) -> ir.Value:
    polynomials = []
    for row in coefficients:
        total = op.Add(op.Mul(x, row[0]), row[1])
        for coefficient in row[2:]:
            total = op.Add(op.Mul(total, x), coefficient)
        polynomials.append(total)
    return op.Div(*polynomials)


@spells("Erf")
def erf_by_rational_functions(op: Emitter, input: Operand) -> ir.Value:
    """Before Erf: Cody's rational functions, as exact as the dtype.  From 6 on erf is one in 64 bits."""
    (x,) = alike(op, input)
    size = op.Min(op.Abs(x), op.const_like(6, x))
    near_size = op.Min(size, op.const_like(0.46875, x))
    near = op.Mul(near_size, _ratio(op, op.Mul(near_size, near_size), _NEAR))
    far = op.Sub(1.0, op.Mul(op.Exp(op.Neg(op.Mul(size, size))), _ratio(op, size, _FAR)))
    # With a NaN, "not beyond" holds, and the near branch hands it on.
    beyond = op.Greater(size, op.const_like(0.46875, x))
    return op.Mul(op.Sign(x), op.Where(beyond, far, near))


but_in_doubles("Erf", erf_by_rational_functions, since=9)


as_is("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", since=18)

_BITS = {
    ir.DataType.INT8: 8,
    ir.DataType.UINT8: 8,
    ir.DataType.INT16: 16,
    ir.DataType.UINT16: 16,
    ir.DataType.INT32: 32,
    ir.DataType.UINT32: 32,
    _INT64: 64,
}


@spells("BitwiseNot")
def bitwise_not_by_subtraction(op: Emitter, X: Operand) -> ir.Value:
    """Before BitwiseNot: ``-1 - x`` in two's complement; the largest number less ``x`` where there is no sign."""
    (x,) = alike(op, X)
    all_ones = int(np.iinfo(dtype_of(x).numpy()).max) if dtype_of(x).name.startswith("U") else -1
    return op.Sub(op.const_like(all_ones, x), x)


def _bits(op: Emitter, x: ir.Value, count: int) -> ir.Value:
    """Return the bits of integers, lowest first, as zeros and ones along a new last axis."""
    # No int64 is 2**63, so the highest bit is halved once more.
    weights = np.array([2 ** min(index, 62) for index in range(count)], dtype=np.int64)
    once_more = np.array([2 if index == 63 else 1 for index in range(count)], dtype=np.int64)
    wide = op.Unsqueeze(op.cast(x, _INT64), [op.rank(x)])
    shifted = _floor_divided(op, _floor_divided(op, wide, weights), once_more if count == 64 else None)
    return op.Mod(shifted, [2])


def _floor_divided(op: Emitter, x: ir.Value, weights: Any) -> ir.Value:
    if weights is None:
        return x
    divisor = op.const(weights, _INT64)
    return op.Div(op.Sub(x, op.Mod(x, divisor)), divisor)


def _register_bitwise(op_type: str) -> None:
    @spells(op_type)
    def bit_by_bit(op: Emitter, A: Operand, B: Operand) -> ir.Value:
        a, b = alike(op, A, B)
        dtype = dtype_of(a)
        if dtype not in _BITS:
            raise op.cannot(f"{op_type} of {dtype.name.lower()} needs opset 18")
        count = _BITS[dtype]
        left, right = _bits(op, a, count), _bits(op, b, count)
        both = op.Mul(left, right)
        if op_type == "BitwiseAnd":
            bits = both
        else:
            twice = op.Mul(both, 2) if op_type == "BitwiseXor" else both
            bits = op.Sub(op.Add(left, right), twice)
        signed = dtype.name.startswith("I")
        values = [2**index for index in range(count)]
        if signed:
            values[-1] = -values[-1]
        return op.cast(_summed(op, op.Mul(bits, op.const(values, _INT64)), count), dtype)


def _summed(op: Emitter, x: ir.Value, count: int) -> ir.Value:
    """Sum the last axis half by half: onnxruntime's ReduceSum of 64-bit integers drops the lowest bits."""
    axis = op.rank(x) - 1
    while count > 1:
        count //= 2
        x = op.Add(*op.Split(x, [count, count], axis=axis))
    return op.Squeeze(x, [axis])


for _op_type in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
    _register_bitwise(_op_type)
