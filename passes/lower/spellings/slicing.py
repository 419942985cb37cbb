# SPDX-License-Identifier: Apache-2.0
"""Slice, Split and Pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_ints
from .forms import alike, dtype_of, index_vector, non_negative

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_FAR = 2**63 - 1


@spells("Slice", since=11)
def slice_by_input(
    op: Emitter, data: Operand, starts: Operand, ends: Operand, axes: Operand = None, steps: Operand = None
) -> ir.Value:
    """Slice 11, as it is."""
    return op.raw("Slice", data, *(index_vector(op, value) for value in (starts, ends, axes, steps)))


@spells("Slice", since=10)
def slice_from_the_front(
    op: Emitter, data: Operand, starts: Operand, ends: Operand, axes: Operand = None, steps: Operand = None
) -> ir.Value:
    """Slice 10: the axes are not negative."""
    (x,) = alike(op, data)
    known = constant_ints(axes)
    if known is not None:
        axes = [non_negative(op, x, axis) for axis in known]
    return op.raw("Slice", x, *(index_vector(op, value) for value in (starts, ends, axes, steps)))


@spells("Slice")
def slice_by_attribute(
    op: Emitter, data: Operand, starts: Operand, ends: Operand, axes: Operand = None, steps: Operand = None
) -> ir.Value:
    """Slice 1: bounds are attributes and steps are one; other slices are gathered."""
    (x,) = alike(op, data)
    starts, ends = index_vector(op, starts), index_vector(op, ends)
    if axes is None:
        count = op.dim(starts, 0)
        if count is None:
            raise op.cannot("Slice with an unknown number of axes needs opset 10")
        axes = list(range(count))
    where = [non_negative(op, x, axis) for axis in op.static_ints(axes, "Slice's axes")]
    strides = [1] * len(where) if steps is None else op.static_ints(steps, "Slice's steps")
    first, last = constant_ints(starts), constant_ints(ends)
    if first is not None and last is not None and all(step == 1 for step in strides):
        return op.raw("Slice", x, starts=first, ends=last, axes=where) if where else op.Identity(x)
    for index, (axis, step) in enumerate(zip(where, strides, strict=True)):
        begin = first[index] if first is not None else op.Gather(starts, [index])
        end = last[index] if last is not None else op.Gather(ends, [index])
        x = _gathered(op, x, begin, end, axis, step)
    return x


def _gathered(op: Emitter, x: ir.Value, begin: Any, end: Any, axis: int, step: int) -> ir.Value:
    size = op.dim(x, axis)
    if isinstance(begin, int) and isinstance(end, int):
        if step == 1:
            return op.raw("Slice", x, starts=[begin], ends=[end], axes=[axis])
        if size is not None:
            return op.Gather(x, list(_positions(begin, end, step, size)), axis=axis)
    length = op.vector(op.size(x, axis))
    low, high = (0, length) if step > 0 else (-1, op.Sub(length, [1]))
    begin = _clamped(op, begin, length, 0, high)
    end = _clamped(op, end, length, low, high)
    return op.Gather(x, op.Range(op.scalar(begin), op.scalar(end), step), axis=axis)


def _positions(begin: int, end: int, step: int, size: int) -> range:
    """Return what a slice takes by ONNX's rule, which keeps a start within the axis where Python's lets it fall off."""
    begin, end = (place + size if place < 0 else place for place in (begin, end))
    if step > 0:
        return range(min(max(begin, 0), size), min(max(end, 0), size), step)
    return range(min(max(begin, 0), size - 1), min(max(end, -1), size - 1), step)


def _clamped(op: Emitter, position: Any, length: ir.Value, low: int, high: ir.Value) -> ir.Value:
    """Count a position from the front and keep it within bounds, as Slice does."""
    if isinstance(position, int):
        if abs(position) >= 2**62:
            return high if position > 0 else op.i64([low])
        position = op.i64([position])
    from_front = op.Add(position, op.Mul(length, op.cast(op.Less(position, [0]), ir.DataType.INT64)))
    return op.Max(op.Min(from_front, high), op.i64([low]))


def _tuple(values: Sequence[ir.Value]) -> Any:
    return values[0] if len(values) == 1 else tuple(values)


def _count_of_parts(op: Emitter, split: ir.Value | None, num_outputs: int | None, outputs: int | None) -> int:
    count = outputs or num_outputs or (op.dim(split, 0) if split is not None else None)
    if not count:
        raise op.cannot("the number of parts of a Split is not known")
    return count


def _sizes_of_parts(op: Emitter, x: ir.Value, axis: int, count: int) -> list[int] | ir.Value:
    """Return the sizes by Split 18's rule: all parts of the same size but the last, which may be smaller."""
    size = op.size(x, axis)
    if isinstance(size, int):
        chunk = -(-size // count)
        return [max(0, min(chunk, size - index * chunk)) for index in range(count)]
    chunk = op.Div(op.Add(size, [count - 1]), [count])
    if count == 1:
        return size
    return op.Concat(*[chunk] * (count - 1), op.Sub(size, op.Mul(chunk, [count - 1])), axis=0)


@spells("Split", since=18)
def split(
    op: Emitter,
    input: Operand,
    split: Operand = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int | None = None,
) -> Any:
    """Split 18: into sizes, or into a number of parts."""
    sizes = index_vector(op, split)
    count = _count_of_parts(op, sizes, num_outputs, outputs)
    parts = count if sizes is None else None
    return op.raw("Split", input, sizes, axis=axis, num_outputs=parts, outputs=count)


@spells("Split", since=13)
def split_by_sizes(
    op: Emitter,
    input: Operand,
    split: Operand = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int | None = None,
) -> Any:
    """Split 13: sizes are an input; without them the parts are equal."""
    (x,) = alike(op, input)
    sizes = index_vector(op, split)
    count = _count_of_parts(op, sizes, num_outputs, outputs)
    if sizes is None:
        sizes = index_vector(op, _sizes_of_parts(op, x, axis, count))
    return op.raw("Split", x, sizes, axis=axis, outputs=count)


@spells("Split")
def split_by_attribute(
    op: Emitter,
    input: Operand,
    split: Operand = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int | None = None,
) -> Any:
    """Split 2: sizes are an attribute; sizes known only at run time become slices."""
    (x,) = alike(op, input)
    axis = non_negative(op, x, axis)
    sizes = index_vector(op, split)
    count = _count_of_parts(op, sizes, num_outputs, outputs)
    wanted: Any = _sizes_of_parts(op, x, axis, count) if sizes is None else sizes
    known = constant_ints(wanted)
    if known is not None:
        return op.raw("Split", x, axis=axis, split=known, outputs=count)
    parts: list[ir.Value] = []
    begin = op.i64([0])
    for index in range(count):
        end = op.Add(begin, op.Gather(wanted, [index]))
        parts.append(op.Slice(x, begin, end, [axis]))
        begin = end
    return _tuple(parts)


def _padding_of_all_axes(op: Emitter, x: ir.Value, pads: Operand, axes: Operand) -> list[int] | ir.Value:
    """Return the padding of every axis, from that of some axes."""
    known = constant_ints(pads)
    if axes is None:
        return known if known is not None else index_vector(op, pads)
    rank = op.rank(x)
    where = [axis % rank for axis in op.static_ints(axes, "Pad's axes")]
    before = {axis: index for index, axis in enumerate(where)}
    if known is not None:
        return [
            known[before[axis] + side * len(where)] if axis in before else 0 for side in (0, 1) for axis in range(rank)
        ]
    # Position 0 of the source is a zero, for the axes that are not padded.
    source = op.Concat(op.i64([0]), index_vector(op, pads), axis=0)
    picked = [1 + before[axis] + side * len(where) if axis in before else 0 for side in (0, 1) for axis in range(rank)]
    return op.Gather(source, picked)


def _wrapped(op: Emitter, x: ir.Value, pads: Sequence[int]) -> ir.Value:
    """Pad by going round: each axis is gathered at positions modulo its size."""
    rank = op.rank(x)
    for axis in range(rank):
        before, after = pads[axis], pads[rank + axis]
        if not before and not after:
            continue
        size = op.dim(x, axis)
        if size is not None:
            positions: Any = [(index - before) % size for index in range(size + before + after)]
        else:
            length = op.scalar(op.size(x, axis))
            # The multiple of the size keeps the dividend positive, where division rounds down.
            offset = op.Sub(op.Mul(length, max(before, 0)), before)
            run = op.Add(op.Range(0, op.Add(length, before + after), 1), offset)
            positions = op.Sub(run, op.Mul(op.Div(run, length), length))
        x = op.Gather(x, positions, axis=axis)
    return x


@spells("Pad", since=19)
def pad(
    op: Emitter,
    data: Operand,
    pads: Operand,
    constant_value: Operand = None,
    axes: Operand = None,
    *,
    mode: str = "constant",
) -> ir.Value:
    """Pad 19: any mode."""
    return op.raw("Pad", data, index_vector(op, pads), constant_value, index_vector(op, axes), mode=mode)


@spells("Pad", since=18)
def pad_without_wrapping(
    op: Emitter, data: Operand, pads: Operand, *others: Operand, mode: str = "constant"
) -> ir.Value:
    """Pad 18: of some axes; going round is gathered."""
    return (pad_all_axes if mode == "wrap" else pad)(op, data, pads, *others, mode=mode)


@spells("Pad", since=11)
def pad_all_axes(
    op: Emitter,
    data: Operand,
    pads: Operand,
    constant_value: Operand = None,
    axes: Operand = None,
    *,
    mode: str = "constant",
) -> ir.Value:
    """Pad 11: of every axis; going round is gathered."""
    (x,) = alike(op, data)
    whole = _padding_of_all_axes(op, x, pads, axes)
    if mode == "wrap":
        return _wrapped(op, x, op.static_ints(whole, "Pad's pads"))
    return op.raw("Pad", x, index_vector(op, whole), constant_value, mode=mode)


@spells("Pad")
def pad_by_attribute(
    op: Emitter,
    data: Operand,
    pads: Operand,
    constant_value: Operand = None,
    axes: Operand = None,
    *,
    mode: str = "constant",
) -> ir.Value:
    """Pad 2: padding and value are attributes, the value a 32-bit float."""
    (x,) = alike(op, data)
    whole = _padding_of_all_axes(op, x, pads, axes)
    if mode == "constant" and constant_ints(whole) is None:
        ends: list[Any] = [op.Gather(whole, [index]) for index in range(2 * op.rank(x))]
        return _padded_by_joining(op, x, ends, 0 if constant_value is None else constant_value)
    known = op.static_ints(whole, "Pad's pads")
    if mode == "wrap":
        return _wrapped(op, x, known)
    if mode != "constant":
        return op.raw("Pad", x, pads=known, mode=mode)
    number = 0 if constant_value is None else op.static_number(constant_value, "Pad's constant_value")
    rounded = float(np.float32(number))
    if rounded != float(number) and not np.isnan(rounded):
        return _padded_by_joining(op, x, known, number)
    if dtype_of(x) == ir.DataType.BOOL:
        return op.cast(op.raw("Pad", op.cast(x, ir.DataType.FLOAT), pads=known, value=number), ir.DataType.BOOL)
    return op.raw("Pad", x, pads=known, value=number)


def _padded_by_joining(op: Emitter, x: ir.Value, pads: Sequence[Any], number: Operand) -> ir.Value:
    """Join constant blocks to each side: for padding known only at run time, or a number that is no 32-bit float."""
    rank = op.rank(x)
    cropped = [min(size, 0) if isinstance(size, int) else 0 for size in pads]
    if any(cropped):
        x = op.raw("Pad", x, pads=cropped)
    filling = alike(op, x, number)[1]
    for axis in range(rank):
        before, after = (_block(op, x, axis, pads[axis + side * rank], filling) for side in (0, 1))
        parts = [part for part in (before, x, after) if part is not None]
        x = op.Concat(*parts, axis=axis) if len(parts) > 1 else x
    return x


def _block(op: Emitter, x: ir.Value, axis: int, size: Any, filling: ir.Value) -> ir.Value | None:
    if isinstance(size, int) and size <= 0:
        return None
    return op.Expand(filling, op.int_vector([size if i == axis else op.size(x, i) for i in range(op.rank(x))]))
