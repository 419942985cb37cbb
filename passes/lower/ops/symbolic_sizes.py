# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of sizes that are only known at run time.

A symbolic number is written as a vector of one element, so that joining sizes to a shape takes a single Concat.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import truncated

_KINDS = ("int", "float", "int_float", "float_int")


def _each(*names: str, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The overloads of number operators that two symbolic numbers can reach."""
    return tuple(f"aten::{name}.{kind}" for name in names for kind in _KINDS) + also


def _vector(op: Emitter, x: Operand, dtype: ir.DataType) -> ir.Value:
    if not isinstance(x, ir.Value):
        return op.const([x], dtype)
    return op.cast(x if op.rank(x) == 1 else op.Reshape(x, [1]), dtype)


def _pair(op: Emitter, a: Operand, b: Operand) -> tuple[ir.Value, ir.Value]:
    """Both operands as vectors of their common dtype: integers unless one of them is a floating-point number."""
    floats = [
        x.dtype is not None and x.dtype.is_floating_point() if isinstance(x, ir.Value) else isinstance(x, float)
        for x in (a, b)
    ]
    dtype = ir.DataType.INT64
    if any(floats):
        known = [x.dtype for x in (a, b) if isinstance(x, ir.Value) and x.dtype and x.dtype.is_floating_point()]
        dtype = known[0] if known else ir.DataType.FLOAT
    return _vector(op, a, dtype), _vector(op, b, dtype)


def _float(op: Emitter, x: Operand) -> ir.Value:
    floating = isinstance(x, ir.Value) and x.dtype is not None and x.dtype.is_floating_point()
    return _vector(op, x, x.dtype if floating else ir.DataType.FLOAT)


def _is_integer(x: ir.Value) -> bool:
    return x.dtype == ir.DataType.INT64


# ---- sizes of tensors ------------------------------------------------------------------------------------------------


@lowers("aten::sym_size.int", "aten::size.int")
def size(op: Emitter, x: ir.Value, *, dim: int) -> ir.Value:
    """The size of a dimension."""
    return op.vector(op.size(x, dim))


@lowers("aten::sym_numel", "aten::numel")
def numel(op: Emitter, x: ir.Value) -> ir.Value:
    """The number of elements."""
    dims = op.sizes(x)
    if isinstance(dims, list):
        return op.i64([math.prod(dims)])
    return op.Reshape(op.Size(x), [1])


@lowers("aten::_shape_as_tensor")
def shape_as_tensor(op: Emitter, x: ir.Value) -> ir.Value:
    """The whole shape as a vector."""
    return op.i64(op.sizes(x))


# ---- arithmetic ------------------------------------------------------------------------------------------------------


@lowers(*_each("add", also=("aten::add",)))
def add(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a + b``."""
    return op.Add(*_pair(op, a, b))


@lowers(*_each("sub", also=("aten::sub",)))
def sub(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a - b``."""
    return op.Sub(*_pair(op, a, b))


@lowers(*_each("mul", also=("aten::mul",)))
def mul(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a * b``."""
    return op.Mul(*_pair(op, a, b))


@lowers("aten::div.int", "aten::div.float", "aten::div")
def div(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a / b``, a floating-point number."""
    left, right = _pair(op, a, b)
    return op.Div(_float(op, left), _float(op, right))


@lowers(*_each("floordiv", also=("aten::floordiv",)))
def floordiv(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a // b``.

    ONNX's Div rounds towards zero, which is the same while neither operand is negative, as sizes never are.  Only a
    number whose sign is not known, because it came out of a subtraction or a negation, is corrected.
    """
    left, right = _pair(op, a, b)
    if not _is_integer(left):
        return op.Floor(op.Div(left, right))
    if _never_negative(left) and _never_negative(right):
        return op.Div(left, right)
    return op.Div(op.Sub(left, op.call("aten::remainder.Tensor", left, right)), right)


@lowers("aten::__round_to_zero_floordiv.int")
def truncating_division(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """Integer division that rounds towards zero."""
    return op.Div(*_pair(op, a, b))


@lowers(*_each("remainder", also=("aten::remainder",)))
def remainder(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a % b``, with the sign of ``b``."""
    left, right = _pair(op, a, b)
    return op.call("aten::remainder.Tensor", left, right)


@lowers(*_each("pow", also=("aten::pow", "aten::pow.int_to_int")))
def power(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a ** b``."""
    left, right = _pair(op, a, b)
    if b == 2:
        return op.Mul(left, left)
    return op.Pow(left, right)


@lowers("aten::neg.int", "aten::neg.float", "aten::neg.Scalar")
def neg(op: Emitter, *, a: Operand) -> ir.Value:
    """``-a``."""
    return op.Neg(a)


@lowers("prim::max.int", "prim::max.float", "prim::max.int_float", "prim::max.float_int", "prim::max")
def larger(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """The larger of two."""
    return op.Max(*_pair(op, a, b))


@lowers("prim::min.int", "prim::min.float", "prim::min.int_float", "prim::min.float_int", "prim::min")
def smaller(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """The smaller of two."""
    return op.Min(*_pair(op, a, b))


@lowers("prim::abs.int", "prim::abs.float", "prim::abs.Scalar")
def absolute(op: Emitter, *, a: Operand) -> ir.Value:
    """``|a|``."""
    return op.Abs(a)


def _never_negative(x: ir.Value, depth: int = 16) -> bool:
    """Whether a number is a size, or made of sizes by operators that keep it from going below zero."""
    if x.const_value is not None:
        return bool((x.const_value.numpy() >= 0).all())
    node = x.producer()
    if node is None or depth == 0:
        return False
    if node.op_type in ("Shape", "Size"):
        return True
    if node.op_type in ("Add", "Mul", "Div", "Min", "Squeeze", "Reshape", "Gather", "Slice", "Concat", "Cast", "Mod"):
        data = node.inputs if node.op_type in ("Add", "Mul", "Div", "Min", "Concat", "Mod") else node.inputs[:1]
        return all(value is not None and _never_negative(value, depth - 1) for value in data)
    if node.op_type in ("Max", "Identity"):
        return any(value is not None and _never_negative(value, depth - 1) for value in node.inputs)
    return False


@lowers("aten::_functional_sym_constrain_range", "aten::_functional_sym_constrain_range_for_size")
@lowers("aten::_functional_assert_scalar")
def promised(
    op: Emitter,
    token: ir.Value,
    *,
    self: Operand = None,
    size: Operand = None,
    min: int | None = None,
    max: int | None = None,
    assert_msg: str = "",
) -> ir.Value:
    """A promise about a size, which capture keeps on record: nothing is computed."""
    return token


# ---- comparisons and logic -------------------------------------------------------------------------------------------


@lowers(*_each("eq", also=("aten::eq", "aten::eq.bool")))
def eq(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a == b``."""
    return op.Equal(*_pair(op, a, b))


@lowers(*_each("ne", also=("aten::ne", "aten::ne.bool")))
def ne(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a != b``."""
    return op.Not(op.Equal(*_pair(op, a, b)))


@lowers(*_each("lt", also=("aten::lt",)))
def lt(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a < b``."""
    return op.Less(*_pair(op, a, b))


@lowers(*_each("le", also=("aten::le",)))
def le(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a <= b``."""
    return op.LessOrEqual(*_pair(op, a, b))


@lowers(*_each("gt", also=("aten::gt",)))
def gt(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a > b``."""
    return op.Greater(*_pair(op, a, b))


@lowers(*_each("ge", also=("aten::ge",)))
def ge(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a >= b``."""
    return op.GreaterOrEqual(*_pair(op, a, b))


@lowers("aten::__and__.bool")
def both(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a and b``."""
    return op.And(_vector(op, a, ir.DataType.BOOL), _vector(op, b, ir.DataType.BOOL))


@lowers("aten::__or__.bool")
def either(op: Emitter, *, a: Operand, b: Operand) -> ir.Value:
    """``a or b``."""
    return op.Or(_vector(op, a, ir.DataType.BOOL), _vector(op, b, ir.DataType.BOOL))


@lowers("aten::__not__")
def negated(op: Emitter, *, self: Operand) -> ir.Value:
    """``not a``."""
    return op.Not(_vector(op, self, ir.DataType.BOOL))


# ---- conversions -----------------------------------------------------------------------------------------------------


@lowers("aten::Float.int", "aten::Float.Scalar")
def to_float(op: Emitter, *, a: Operand) -> ir.Value:
    """An integer as a floating-point number."""
    return _float(op, a)


@lowers("aten::Int.float", "aten::Int.bool", "aten::Int.Scalar")
def to_int(op: Emitter, *, a: Operand) -> ir.Value:
    """A number as an integer, rounded towards zero."""
    return _vector(op, a, ir.DataType.INT64)


@lowers("aten::Bool.int", "aten::Bool.float")
def to_bool(op: Emitter, *, a: Operand) -> ir.Value:
    """Whether a number is not zero."""
    return _vector(op, a, ir.DataType.BOOL)


@lowers("aten::floor.int", "aten::floor.float", "aten::floor.Scalar")
def floor(op: Emitter, *, a: Operand) -> ir.Value:
    """The integer at or below a number."""
    return op.cast(op.Floor(_float(op, a)), ir.DataType.INT64)


@lowers("aten::ceil.int", "aten::ceil.float", "aten::ceil.Scalar")
def ceil(op: Emitter, *, a: Operand) -> ir.Value:
    """The integer at or above a number."""
    return op.cast(op.Ceil(_float(op, a)), ir.DataType.INT64)


@lowers("aten::round.int", "aten::round.float", "aten::round.Scalar")
def nearest(op: Emitter, *, a: Operand) -> ir.Value:
    """The nearest integer, the even one of two."""
    return op.Round(_float(op, a))


@lowers("prim::trunc")
def trunc(op: Emitter, *, a: Operand) -> ir.Value:
    """A number without its fraction."""
    return truncated(op, _float(op, a))


@lowers("aten::sqrt.int", "aten::sqrt.float", "aten::sqrt.Scalar")
def sqrt(op: Emitter, *, a: Operand) -> ir.Value:
    """The square root."""
    return op.Sqrt(_float(op, a))


@lowers("aten::exp.int", "aten::exp.float", "aten::exp.Scalar")
def exp(op: Emitter, *, a: Operand) -> ir.Value:
    """The exponential."""
    return op.Exp(_float(op, a))


@lowers("aten::log.int", "aten::log.float", "aten::log.Scalar")
def log(op: Emitter, *, a: Operand) -> ir.Value:
    """The natural logarithm."""
    return op.Log(_float(op, a))


# ---- between tensors and numbers -------------------------------------------------------------------------------------


@lowers("aten::_local_scalar_dense", "aten::item", "aten::ScalarImplicit", "prims::item")
def item(op: Emitter, x: ir.Value) -> ir.Value:
    """The one element of a tensor as a number."""
    vector = x if op.rank(x) == 1 else op.Reshape(x, [1])
    if x.dtype is not None and x.dtype.is_integer():
        return op.cast(vector, ir.DataType.INT64)
    return vector


@lowers("aten::Int.Tensor", "aten::IntImplicit")
def tensor_to_int(op: Emitter, x: ir.Value) -> ir.Value:
    """The one element of a tensor as an integer."""
    return op.cast(item(op, x), ir.DataType.INT64)


@lowers("aten::Float.Tensor", "aten::FloatImplicit")
def tensor_to_float(op: Emitter, x: ir.Value) -> ir.Value:
    """The one element of a tensor as a floating-point number."""
    return _float(op, item(op, x))


@lowers("aten::Bool.Tensor")
def tensor_to_bool(op: Emitter, x: ir.Value) -> ir.Value:
    """Whether the one element of a tensor is not zero."""
    return op.cast(item(op, x), ir.DataType.BOOL)


@lowers("prim::NumToTensor.Scalar", "prim::NumToTensor.bool")
def number_to_tensor(op: Emitter, *, a: Operand) -> ir.Value:
    """A number as a tensor of no dimensions."""
    dtype = a.dtype if isinstance(a, ir.Value) and a.dtype is not None else op.result().dtype
    return op.scalar(a, dtype)
