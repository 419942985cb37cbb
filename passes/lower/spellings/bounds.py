# SPDX-License-Identifier: Apache-2.0
"""Clip, and the operators of many inputs: Max, Min, Sum and Mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from ..inexpressible import Inexpressible
from ..registry import spells
from ..shapes import dims_of, same_dim
from .forms import alike, as_is, dtype_of, is_float

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Max", "Min", since=12)


@spells("Clip", since=12)
def clip(op: Emitter, input: Operand, min: Operand = None, max: Operand = None) -> ir.Value:
    """Clip 12.

    A missing bound of floats is written as an infinity; left out it would be the largest finite number, which cuts
    infinities.
    """
    (x,) = alike(op, input)
    if is_float(x):
        min = -np.inf if min is None else min
        max = np.inf if max is None else max
    return op.raw("Clip", x, min, max)


@spells("Clip", since=11)
def clip_floats_by_input(op: Emitter, input: Operand, min: Operand = None, max: Operand = None) -> ir.Value:
    """Clip 11: bounds are inputs, of floats only."""
    (x,) = alike(op, input)
    if not is_float(x) or dtype_of(x) == ir.DataType.DOUBLE:
        return _between(op, x, min, max)
    return clip(op, x, min, max)


@spells("Clip")
def clip_by_attribute(op: Emitter, input: Operand, min: Operand = None, max: Operand = None) -> ir.Value:
    """Clip 6: bounds are 32-bit attributes, of floats only; other numbers and bounds are cut by Max and Min.

    A missing bound is an infinity, since the attributes' defaults are the largest finite numbers.
    """
    (x,) = alike(op, input)
    if min is None and max is None:
        return op.Identity(x)
    if is_float(x) and dtype_of(x) != ir.DataType.DOUBLE:
        try:
            low = -np.inf if min is None else op.static_number(min, "Clip's min")
            high = np.inf if max is None else op.static_number(max, "Clip's max")
        except Inexpressible:
            return _between(op, x, min, max)
        return op.raw("Clip", x, min=low, max=high)
    return _between(op, x, min, max)


def _between(op: Emitter, x: ir.Value, low: Operand, high: Operand) -> ir.Value:
    if low is not None:
        x = op.Max(*alike(op, x, low))
    if high is not None:
        x = op.Min(*alike(op, x, high))
    return x


def _register_extremum(op_type: str, comparison: str) -> None:
    @spells(op_type, since=8)
    def of_floats(op: Emitter, *inputs: Operand) -> ir.Value:
        values = alike(op, *inputs)
        return op.raw(op_type, *values) if is_float(values[0]) else by_choice(op, values)

    def by_choice(op: Emitter, values: Sequence[ir.Value]) -> ir.Value:
        # These opsets take floats only, and a float does not hold every integer.  A NaN wins, on either side.
        result = values[0]
        for value in values[1:]:
            wins = getattr(op, comparison)(result, value)
            if is_float(result):
                wins = op.Or(wins, op.IsNaN(result))
            result = op.Where(wins, result, value)
        return result

    @spells(op_type, since=7)
    def of_equal_shapes(op: Emitter, *inputs: Operand) -> ir.Value:
        result, *others = alike(op, *inputs)
        # The runtime's kernel of opset 7 takes 32-bit floats only.
        if not is_float(result) or dtype_of(result) == ir.DataType.DOUBLE:
            return by_choice(op, [result, *others])
        for value in others:
            result = op.raw(op_type, *_of_one_shape(op, result, value))
        return result


def _of_one_shape(op: Emitter, left: ir.Value, right: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Broadcast two values to one shape, for opset 7's Max and Min, which do not broadcast."""
    a, b = dims_of(left), dims_of(right)
    if a is not None and b is not None and len(a) == len(b) and all(map(same_dim, a, b)):
        return left, right
    compared = op.Less(op.cast(left, ir.DataType.FLOAT), op.cast(right, ir.DataType.FLOAT))
    shape = op.sizes(compared)
    return op.Expand(left, shape), op.Expand(right, shape)


_register_extremum("Max", "Greater")
_register_extremum("Min", "Less")

as_is("Sum", "Mean", since=8)


@spells("Sum")
def sum_by_adding(op: Emitter, *data_0: Operand) -> ir.Value:
    """Sum 6 does not broadcast; Add 7 does."""
    result, *others = alike(op, *data_0)
    if not others:
        return op.raw("Sum", result)
    for value in others:
        result = op.Add(result, value)
    return result


@spells("Mean")
def mean_by_adding(op: Emitter, *data_0: Operand) -> ir.Value:
    """Mean 6 does not broadcast."""
    total = sum_by_adding(op, *data_0)
    return op.Div(total, op.const_like(len(data_0), total))
