# SPDX-License-Identifier: Apache-2.0
"""Comparisons.  Every form keeps a NaN unequal to, and not ordered with, every number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_of
from .forms import alike, as_is, dtype_of, is_float

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Equal", since=11)
as_is("LessOrEqual", "GreaterOrEqual", since=12)
as_is("IsNaN", since=9)
as_is("IsInf", since=10)


def _is_number(op: Emitter, x: ir.Value) -> ir.Value | None:
    """Return whether each element is not NaN; ``None`` where a constant tells that none is."""
    constant = constant_of(x)
    if constant is not None and not np.isnan(constant.astype(np.float64)).any():
        return None
    # Every number is below one or above zero; NaN is neither.
    return op.Or(op.Less(x, op.const_like(1, x)), op.Greater(x, op.const_like(0, x)))


def _if_numbers(op: Emitter, answer: ir.Value, *operands: ir.Value) -> ir.Value:
    for operand in operands:
        known = _is_number(op, operand)
        if known is not None:
            answer = op.And(answer, known)
    return answer


@spells("Equal")
def equal_by_order(op: Emitter, A: Operand, B: Operand) -> ir.Value:
    """Equal 7 takes no floats: numbers are equal where neither is less."""
    a, b = alike(op, A, B)
    if not is_float(a):
        return op.raw("Equal", a, b)
    return _if_numbers(op, op.Not(op.Or(op.Less(a, b), op.Less(b, a))), a, b)


def _register(op_type: str, strict: str, opposite: str) -> None:
    @spells(op_type, since=11)
    def strict_or_equal(op: Emitter, A: Operand, B: Operand) -> ir.Value:
        a, b = alike(op, A, B)
        return op.Or(op.raw(strict, a, b), op.raw("Equal", a, b))

    @spells(op_type, since=7)
    def not_opposite(op: Emitter, A: Operand, B: Operand) -> ir.Value:
        a, b = alike(op, A, B)
        answer = op.Not(op.raw(opposite, a, b))
        return _if_numbers(op, answer, a, b) if is_float(a) else answer


_register("LessOrEqual", "Less", "Greater")
_register("GreaterOrEqual", "Greater", "Less")


@spells("IsNaN")
def is_nan_by_order(op: Emitter, X: Operand) -> ir.Value:
    """Before IsNaN: what is neither below one nor above zero."""
    (x,) = alike(op, X)
    return op.Not(op.Or(op.Less(x, op.const_like(1, x)), op.Greater(x, op.const_like(0, x))))


_LARGEST = {
    ir.DataType.FLOAT16: 65504.0,
    ir.DataType.BFLOAT16: 3.3895313892515355e38,
    ir.DataType.FLOAT: float(np.finfo(np.float32).max),
    ir.DataType.DOUBLE: float(np.finfo(np.float64).max),
}


@spells("IsInf")
def is_inf_by_bound(op: Emitter, X: Operand, *, detect_negative: int = 1, detect_positive: int = 1) -> ir.Value:
    """Before IsInf: what lies beyond the largest finite number."""
    (x,) = alike(op, X)
    if dtype_of(x) not in _LARGEST:
        raise op.cannot(f"IsInf does not take {dtype_of(x).name.lower()}")
    largest = _LARGEST[dtype_of(x)]
    above = op.Greater(x, op.const_like(largest, x))
    below = op.Less(x, op.const_like(-largest, x))
    if detect_positive and detect_negative:
        return op.Or(above, below)
    if detect_positive or detect_negative:
        return above if detect_positive else below
    return op.And(above, below)
