# SPDX-License-Identifier: Apache-2.0
"""Operators of one or more axes: before opset 11 an axis counts from the front, before 13 axes are attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is, index_vector, non_negative

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand


@spells("Unsqueeze", since=13)
def unsqueeze_by_input(op: Emitter, data: Operand, axes: Operand) -> ir.Value:
    """Unsqueeze 13: the axes are an input."""
    return op.raw("Unsqueeze", data, index_vector(op, axes))


@spells("Unsqueeze", since=7)
def unsqueeze_by_attribute(op: Emitter, data: Operand, axes: Operand) -> ir.Value:
    """Unsqueeze 1: the axes are an attribute, counted from the front."""
    (data,) = alike(op, data)
    wanted = op.static_ints(axes, "Unsqueeze's axes")
    if not wanted:
        return op.Identity(data)
    return op.raw("Unsqueeze", data, axes=sorted(non_negative(op, data, axis, len(wanted)) for axis in wanted))


@spells("Squeeze", since=13)
def squeeze_by_input(op: Emitter, data: Operand, axes: Operand = None) -> ir.Value:
    """Squeeze 13: the axes are an input."""
    return op.raw("Squeeze", data, index_vector(op, axes))


@spells("Squeeze", since=7)
def squeeze_by_attribute(op: Emitter, data: Operand, axes: Operand = None) -> ir.Value:
    """Squeeze 1: the axes are an attribute, counted from the front."""
    if axes is None:
        return op.raw("Squeeze", data)
    (data,) = alike(op, data)
    wanted = op.static_ints(axes, "Squeeze's axes")
    if not wanted:
        return op.Identity(data)
    return op.raw("Squeeze", data, axes=sorted(non_negative(op, data, axis) for axis in wanted))


as_is("Concat", "Flatten", "Compress", since=11)


@spells("Concat")
def concat_from_the_front(op: Emitter, *inputs: Operand, axis: int) -> ir.Value:
    """Concat 4: the axis is not negative."""
    values = alike(op, *inputs)
    return op.raw("Concat", *values, axis=non_negative(op, values[0], axis))


@spells("Flatten")
def flatten_from_the_front(op: Emitter, input: Operand, *, axis: int = 1) -> ir.Value:
    """Flatten 1 and 9: the axis is not negative."""
    (x,) = alike(op, input)
    return op.raw("Flatten", x, axis=non_negative(op, x, axis))


@spells("Compress", since=9)
def compress_from_the_front(op: Emitter, input: Operand, condition: Operand, *, axis: int | None = None) -> ir.Value:
    """Compress 9: the axis is not negative."""
    (x,) = alike(op, input)
    return op.raw("Compress", x, condition, axis=None if axis is None else non_negative(op, x, axis))


@spells("Compress")
def compress_by_gathering(op: Emitter, input: Operand, condition: Operand, *, axis: int | None = None) -> ir.Value:
    """Before Compress: gather from the places where the condition holds."""
    x, kept = alike(op, input)[0], alike(op, condition)[0]
    if axis is None:
        x, axis = op.Reshape(x, [-1]), 0
    return op.Gather(x, op.Squeeze(op.NonZero(kept), [0]), axis=non_negative(op, x, axis))


def moved_to_the_end(op: Emitter, x: ir.Value, axis: int) -> tuple[ir.Value, list[int] | None]:
    """Swap an axis with the last one; returns the value and the permutation (its own inverse), None if none."""
    rank = op.rank(x)
    axis %= max(rank, 1)
    if axis >= rank - 1:
        return x, None
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    return op.Transpose(x, perm=order), order


def moved_back(op: Emitter, x: Any, order: list[int] | None) -> Any:
    """Undo :func:`moved_to_the_end`."""
    return x if order is None else op.Transpose(x, perm=order)
