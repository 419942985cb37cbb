# SPDX-License-Identifier: Apache-2.0
"""Comparisons, tests for special values, and the larger or smaller of two tensors."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers
from .arithmetic import is_bool, is_float


@lowers("aten::eq.Tensor", "aten::eq.Scalar", "prims::eq")
def eq(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x == y``."""
    return op.Equal(*op.promote(x, other if y is None else y))


@lowers("aten::ne.Tensor", "aten::ne.Scalar", "aten::not_equal.Tensor", "aten::not_equal.Scalar", "prims::ne")
def ne(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x != y``."""
    return op.Not(op.Equal(*op.promote(x, other if y is None else y)))


@lowers("aten::lt.Tensor", "aten::lt.Scalar", "aten::less.Tensor", "aten::less.Scalar", "prims::lt")
def lt(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x < y``."""
    return op.Less(*op.promote(x, other if y is None else y))


@lowers("aten::le.Tensor", "aten::le.Scalar", "aten::less_equal.Tensor", "aten::less_equal.Scalar", "prims::le")
def le(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x <= y``."""
    return op.LessOrEqual(*op.promote(x, other if y is None else y))


@lowers("aten::gt.Tensor", "aten::gt.Scalar", "aten::greater.Tensor", "aten::greater.Scalar", "prims::gt")
def gt(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x > y``."""
    return op.Greater(*op.promote(x, other if y is None else y))


@lowers("aten::ge.Tensor", "aten::ge.Scalar", "aten::greater_equal.Tensor", "aten::greater_equal.Scalar", "prims::ge")
def ge(op: Emitter, x: ir.Value, y: Operand = None, *, other: Operand = None) -> ir.Value:
    """``x >= y``."""
    return op.GreaterOrEqual(*op.promote(x, other if y is None else y))


@lowers("aten::isclose")
def isclose(
    op: Emitter, x: ir.Value, y: ir.Value, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> ir.Value:
    """``|x - y| <= atol + rtol * |y|``, infinities close only to themselves."""
    same = op.Equal(x, y)
    if not is_float(x):
        x, y = (op.cast(value, ir.DataType.DOUBLE) for value in (x, y))
    elif equal_nan:
        same = op.Or(same, op.And(op.IsNaN(x), op.IsNaN(y)))
    if rtol == 0 and atol == 0:
        return same
    distance = op.Abs(op.Sub(x, y))
    allowed = op.Add(op.Mul(op.Abs(y), rtol), atol)
    return op.Or(same, op.And(op.Less(distance, math.inf), op.LessOrEqual(distance, allowed)))


# ---- special values --------------------------------------------------------------------------------------------------


@lowers("aten::isnan")
def isnan(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is not a number."""
    return op.IsNaN(x) if is_float(x) else _nowhere(op, x)


@lowers("aten::isinf")
def isinf(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is infinite."""
    return op.IsInf(x) if is_float(x) else _nowhere(op, x)


@lowers("aten::isfinite", "prims::isfinite")
def isfinite(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is neither infinite nor NaN."""
    return op.Less(op.Abs(x), math.inf) if is_float(x) else op.Not(_nowhere(op, x))


@lowers("aten::isposinf")
def isposinf(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is positive infinity."""
    return op.Equal(x, math.inf) if is_float(x) else _nowhere(op, x)


@lowers("aten::isneginf")
def isneginf(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is negative infinity."""
    return op.Equal(x, -math.inf) if is_float(x) else _nowhere(op, x)


@lowers("aten::isreal")
def isreal(op: Emitter, x: ir.Value) -> ir.Value:
    """Everywhere, for a real dtype."""
    return op.Not(_nowhere(op, x))


@lowers("aten::signbit", "prims::signbit")
def signbit(op: Emitter, x: ir.Value) -> ir.Value:
    """Where the sign bit is set, which it is for negative zero too."""
    if is_bool(x):
        return _nowhere(op, x)
    negative = op.Less(x, 0)
    return op.Or(negative, op.Less(op.Reciprocal(x), 0)) if is_float(x) else negative


def _nowhere(op: Emitter, x: ir.Value) -> ir.Value:
    """False at every place of ``x``."""
    flag = op.cast(x, ir.DataType.BOOL)
    return op.And(flag, False)


# ---- the larger and the smaller --------------------------------------------------------------------------------------


@lowers("aten::maximum", "aten::max.other", "prims::maximum")
def maximum(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The larger of two; NaN where either is."""
    a, b = op.promote(x, y)
    return op.Or(a, b) if is_bool(a) else op.Max(a, b)


@lowers("aten::minimum", "aten::min.other", "prims::minimum")
def minimum(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The smaller of two; NaN where either is."""
    a, b = op.promote(x, y)
    return op.And(a, b) if is_bool(a) else op.Min(a, b)


@lowers("aten::fmax", "prims::fmax")
def fmax(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The larger of two; NaN only where both are."""
    return _without_nan(op, maximum, x, y)


@lowers("aten::fmin", "prims::fmin")
def fmin(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The smaller of two; NaN only where both are."""
    return _without_nan(op, minimum, x, y)


def _without_nan(op: Emitter, choose: object, x: ir.Value, y: ir.Value) -> ir.Value:
    pick = op.Max if choose is maximum else op.Min
    a, b = op.promote(x, y)
    if not is_float(a):
        return maximum(op, a, b) if choose is maximum else minimum(op, a, b)
    nan_a, nan_b = op.IsNaN(a), op.IsNaN(b)
    return op.Where(nan_a, b, pick(a, op.Where(nan_b, a, b)))


# ---- bounds ----------------------------------------------------------------------------------------------------------


@lowers("aten::clamp", "aten::clip", "aten::clamp_min", "aten::clamp_max")
def clamp(op: Emitter, x: ir.Value, *, min: Operand = None, max: Operand = None) -> ir.Value:
    """Bound by numbers; the upper bound wins where they cross."""
    if min is None and max is None:
        return x
    if isinstance(min, (int, float)) and isinstance(max, (int, float)) and min > max:
        # ONNX leaves it to the runtime what bounds that cross mean.
        min = max
    bounds = [bound for bound in (min, max) if bound is not None]
    value, *limits = op.promote(x, *bounds)
    low = limits[0] if min is not None else None
    high = limits[-1] if max is not None else None
    return op.Clip(value, low, high)


@lowers("aten::clamp.Tensor", "aten::clip.Tensor")
def clamp_by_tensors(op: Emitter, x: ir.Value, low: ir.Value | None, high: ir.Value | None) -> ir.Value:
    """Bound by tensors that broadcast; the upper bound wins where they cross."""
    bounds = [bound for bound in (low, high) if bound is not None]
    value, *limits = op.promote(x, *bounds)
    if low is not None:
        value = op.Or(value, limits[0]) if is_bool(value) else op.Max(value, limits[0])
    if high is not None:
        value = op.And(value, limits[-1]) if is_bool(value) else op.Min(value, limits[-1])
    return value


@lowers("aten::clamp_min.Tensor")
def clamp_min(op: Emitter, x: ir.Value, low: ir.Value) -> ir.Value:
    """Bound from below by a tensor."""
    return maximum(op, x, low)


@lowers("aten::clamp_max.Tensor")
def clamp_max(op: Emitter, x: ir.Value, high: ir.Value) -> ir.Value:
    """Bound from above by a tensor."""
    return minimum(op, x, high)
