# SPDX-License-Identifier: Apache-2.0
"""Logic of bits, and shifts."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import floored_quotient, is_bool, is_float

_WIDTH = {
    ir.DataType.UINT8: 8,
    ir.DataType.INT8: 8,
    ir.DataType.INT16: 16,
    ir.DataType.UINT16: 16,
    ir.DataType.INT32: 32,
    ir.DataType.UINT32: 32,
    ir.DataType.INT64: 64,
}

_INT64 = ir.DataType.INT64

_OVERLOADS = ("Tensor", "Scalar", "Scalar_Tensor")


def _pair(op: Emitter, x: ir.Value, y: Operand, other: Operand, left: Operand) -> list[ir.Value]:
    return op.promote(left, x) if left is not None else op.promote(x, other if y is None else y)


def _register(kind: str) -> None:
    name = kind.lower()
    overloads = [f"aten::bitwise_{name}.{overload}" for overload in _OVERLOADS]
    aliases = [f"aten::__{name}__.Tensor", f"aten::__{name}__.Scalar", f"prims::bitwise_{name}"]

    @lowers(*overloads, *aliases)
    def lowering(
        op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, self: Operand = None
    ) -> ir.Value:
        a, b = _pair(op, x, y, other, self)
        return getattr(op, kind if is_bool(a) else f"Bitwise{kind}")(a, b)


for _kind in ("And", "Or", "Xor"):
    _register(_kind)


@lowers("aten::bitwise_not", "prims::bitwise_not")
def bitwise_not(op: Emitter, x: ir.Value) -> ir.Value:
    """Every bit turned over."""
    return op.Not(x) if is_bool(x) else op.BitwiseNot(x)


def _width(op: Emitter, x: ir.Value) -> int:
    if x.dtype not in _WIDTH:
        raise op.cannot(f"the bits of {x.dtype} cannot be shifted by arithmetic")
    return _WIDTH[x.dtype]


# ---- shifts ----------------------------------------------------------------------------------------------------------


def _power_of_two(op: Emitter, exponent: ir.Value, constant: Operand, dtype: ir.DataType) -> ir.Value:
    if isinstance(constant, (int, float)) and 0 <= constant < 63:
        return op.const(2 ** int(constant), dtype)
    # Powers of two are exact in double precision.
    return op.cast(op.Pow(op.const(2.0, ir.DataType.DOUBLE), op.cast(exponent, ir.DataType.DOUBLE)), dtype)


@lowers(
    "aten::bitwise_left_shift.Tensor",
    "aten::bitwise_left_shift.Tensor_Scalar",
    "aten::bitwise_left_shift.Scalar_Tensor",
    "aten::__lshift__.Tensor",
    "aten::__lshift__.Scalar",
    "prims::shift_left",
)
def left_shift(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, self: Operand = None) -> ir.Value:
    """``x`` times a power of two; bits that leave the dtype are lost."""
    a, b = _pair(op, x, y, other, self)
    dtype = a.dtype or ir.DataType.INT64
    if is_float(a):
        return op.Mul(a, _power_of_two(op, b, other, dtype))
    beyond = _width(op, a)
    wide = op.cast(a, ir.DataType.INT64)
    if isinstance(other, int):
        if not 0 <= other < beyond:
            return op.Mul(a, 0)
        return op.cast(op.Mul(wide, 1 << other if other < 63 else -(2**63)), dtype)
    shifted = op.Mul(wide, _power_of_two(op, op.Min(b, 62), None, ir.DataType.INT64))
    # 2 ** 63 is no int64, so that the last place is reached by doubling once more.
    last = op.Where(op.Equal(b, 63), op.Mul(shifted, 2), shifted)
    outside = op.Or(op.Less(b, 0), op.Greater(b, beyond - 1))
    return op.Where(outside, 0, last if beyond == 64 else shifted)


@lowers(
    "aten::bitwise_right_shift.Tensor",
    "aten::bitwise_right_shift.Tensor_Scalar",
    "aten::bitwise_right_shift.Scalar_Tensor",
    "aten::__rshift__.Tensor",
    "aten::__rshift__.Scalar",
    "prims::shift_right_arithmetic",
)
def right_shift(
    op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None, self: Operand = None
) -> ir.Value:
    """``x`` divided by a power of two and rounded down: the sign bit moves in from the left."""
    a, b = _pair(op, x, y, other, self)
    dtype = a.dtype or ir.DataType.INT64
    if is_float(a):
        return op.Div(a, _power_of_two(op, b, other, dtype))
    width = _width(op, a)
    wide = op.cast(a, ir.DataType.INT64)
    if isinstance(other, int):
        places = other if 0 <= other < width else width - 1
        if places == 63:
            return op.Neg(op.cast(op.Less(wide, 0), ir.DataType.INT64))
        return op.cast(floored_quotient(op, wide, op.i64(1 << places)), dtype)
    # A negative shift and one beyond the width leave nothing but the sign, which 62 places do for all but the extremes.
    places = op.Where(op.Less(b, 0), min(width - 1, 62), op.Min(b, min(width - 1, 62)))
    return floored_quotient(op, wide, _power_of_two(op, places, None, ir.DataType.INT64))


# ---- the exclusive or of all elements --------------------------------------------------------------------------------


@lowers("aten::hash_tensor")
def hash_tensor(op: Emitter, x: ir.Value, *, dim: Sequence[int] = (), keepdim: bool = False, mode: int = 0) -> ir.Value:
    """Reduce 64 bits of each element by exclusive or: of floats the bits of a double, of others those of an int64.

    No operator reduces so: a bit is set where an odd number of elements has it. All bits of all elements are there at
    once.
    """
    if mode != 0:
        raise op.cannot(f"mode {mode} of hash_tensor is not known")
    rank = op.rank(x)
    whole = op.BitCast(op.cast(x, ir.DataType.DOUBLE), to=_INT64) if is_float(x) else op.cast(x, _INT64)
    # In halves, which have no sign and whose sums are exact where a runtime adds in doubles.
    half = op.const(1 << 32, _INT64)
    halves = [op.Mod(floored_quotient(op, whole, half), half), op.Mod(whole, half)]
    powers = op.const([1 << place for place in range(32)], _INT64)
    axes = [axis % rank for axis in dim] or list(range(rank)) if rank else []
    found = []
    for part in halves:
        bits = op.Mod(op.Div(op.Unsqueeze(part, op.i64([rank])), powers), 2)
        odd = op.Mod(op.ReduceSum(bits, op.i64(axes), keepdims=int(keepdim)), 2) if axes else bits
        found.append(op.cast(op.ReduceSum(op.Mul(odd, powers), op.i64([-1]), keepdims=0), ir.DataType.UINT64))
    return op.Add(op.Mul(found[0], op.const(1 << 32, ir.DataType.UINT64)), found[1])
