# SPDX-License-Identifier: Apache-2.0
"""Adaptive pooling: windows laid so that a given number of them covers each axis.

Window ``i`` of ``n`` over an axis of ``size`` elements reaches from ``floor(i * size / n)`` up to, not including,
``ceil((i + 1) * size / n)`` (aten/src/ATen/native/AdaptivePooling.h).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .axis_products import product_along
from .spatial import wanted, with_batch, without_batch

Size = Any
"""An int, or an int64 vector of one element."""


def _output_sizes(op: Emitter, x: ir.Value, output_size: Any, axes: int) -> list[Size]:
    items = list(output_size) if isinstance(output_size, (list, tuple)) else [output_size]
    items = items * axes if len(items) == 1 else items
    sizes: list[Size] = []
    for axis, item in zip(range(-axes, 0), items, strict=True):
        sizes.append(op.size(x, axis) if item is None else op.vector(item) if isinstance(item, ir.Value) else item)
    return sizes


def _static_windows(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    index = np.arange(count, dtype=np.int64)
    return index * size // count, -(-((index + 1) * size) // count)


def _windows(op: Emitter, size: Size, count: Size) -> tuple[ir.Value, ir.Value]:
    """Return where each window starts and ends, as int64 columns (count x 1)."""
    if isinstance(size, int) and isinstance(count, int):
        starts, ends = _static_windows(size, count)
        return op.i64(starts[:, None]), op.i64(ends[:, None])
    if isinstance(count, int):
        index = op.i64(np.arange(count, dtype=np.int64)[:, None])
        following = op.i64(np.arange(1, count + 1, dtype=np.int64)[:, None])
    else:
        index = op.Unsqueeze(op.Range(op.i64(0), op.scalar(count), op.i64(1)), [1])
        following = op.Add(index, op.i64(1))
    size, count = op.vector(size), op.vector(count)
    starts_known = op.Div(op.Mul(index, size), count)
    ends_known = op.Div(op.Add(op.Mul(following, size), op.Sub(count, [1])), count)
    return starts_known, ends_known


def averaging_matrix(op: Emitter, size: Size, count: Size, dtype: ir.DataType) -> np.ndarray | ir.Value:
    """Return the matrix (count x size) whose rows average one window each."""
    if isinstance(size, int) and isinstance(count, int):
        first, end = _static_windows(size, count)
        index = np.arange(size)[None, :]
        member = (index >= first[:, None]) & (index < end[:, None])
        return np.asarray(member / member.sum(axis=1, keepdims=True))
    starts, ends = _windows(op, size, count)
    place = op.Range(op.i64(0), op.scalar(size), op.i64(1))
    inside = op.And(op.GreaterOrEqual(place, starts), op.Less(place, ends))
    shares: ir.Value = op.Div(op.cast(inside, dtype), op.cast(op.Sub(ends, starts), dtype))
    return shares


def _evenly_divided(op: Emitter, x: ir.Value, sizes: list[Size], axes: int) -> list[int] | None:
    """Return the window sizes where all windows are alike and do not overlap, else None."""
    kernel: list[int] = []
    for axis, count in zip(range(-axes, 0), sizes, strict=True):
        size = op.dim(x, axis)
        if size is None or not isinstance(count, int) or not count or not size or size % count:
            return None
        kernel.append(size // count)
    return kernel


def _average(op: Emitter, x: ir.Value, output_size: Any, axes: int) -> ir.Value:
    sizes = _output_sizes(op, x, output_size, axes)
    if all(size is not None and op.dim(x, axis) == size for axis, size in zip(range(-axes, 0), sizes, strict=True)):
        return op.Identity(x)
    if all(isinstance(size, int) and size == 1 for size in sizes):
        if op.rank(x) == axes + 2:
            return op.GlobalAveragePool(x)
        return op.ReduceMean(x, op.i64(list(range(-axes, 0))), keepdims=1)
    kernel = _evenly_divided(op, x, sizes, axes)
    if kernel is not None:
        x, added = with_batch(op, x, axes)
        y = op.AveragePool(x, kernel_shape=kernel, strides=kernel if any(size != 1 for size in kernel) else None)
        return without_batch(op, y, added)
    for axis, count in zip(range(-axes, 0), sizes, strict=True):
        size = op.size(x, axis)
        if isinstance(size, int) and size == count:
            continue
        if isinstance(count, int) and count == 1:
            x = op.ReduceMean(x, op.i64([axis]), keepdims=1)
            continue
        x = product_along(op, x, axis, averaging_matrix(op, size, count, x.dtype))
    return x


@lowers("aten::adaptive_avg_pool1d")
def adaptive_avg_pool1d(op: Emitter, x: ir.Value, *, output_size: Any) -> ir.Value:
    """Lower adaptive averages of one axis."""
    return _average(op, x, output_size, 1)


@lowers("aten::adaptive_avg_pool2d", "aten::_adaptive_avg_pool2d")
def adaptive_avg_pool2d(op: Emitter, x: ir.Value, *, output_size: Any) -> ir.Value:
    """Lower adaptive averages of two axes."""
    return _average(op, x, output_size, 2)


@lowers("aten::adaptive_avg_pool3d", "aten::_adaptive_avg_pool3d")
def adaptive_avg_pool3d(op: Emitter, x: ir.Value, *, output_size: Any) -> ir.Value:
    """Lower adaptive averages of three axes."""
    return _average(op, x, output_size, 3)


# ---- maxima ----------------------------------------------------------------------------------------------------------


def _members(op: Emitter, size: Size, count: Size) -> ir.Value:
    """Return the positions in each window (count x longest), its last one repeated where a window is shorter."""
    starts, ends = _windows(op, size, count)
    if isinstance(size, int) and isinstance(count, int):
        first, last = _static_windows(size, count)
        longest = int((last - first).max(initial=1))
        return op.i64(np.minimum(first[:, None] + np.arange(longest), last[:, None] - 1))
    longest = op.ReduceMax(op.Sub(ends, starts), keepdims=0)
    steps = op.Range(op.i64(0), longest, op.i64(1))
    return op.Min(op.Add(starts, steps), op.Sub(ends, op.i64(1)))


def _maximum(op: Emitter, x: ir.Value, output_size: Any, axes: int) -> tuple[ir.Value, ir.Value | None]:
    sizes = _output_sizes(op, x, output_size, axes)
    if wanted(op, 1):
        return _maximum_and_position(op, x, sizes, axes)
    if all(isinstance(size, int) and size == 1 for size in sizes):
        if op.rank(x) == axes + 2:
            return op.GlobalMaxPool(x), None
        return op.ReduceMax(x, op.i64(list(range(-axes, 0))), keepdims=1), None
    kernel = _evenly_divided(op, x, sizes, axes)
    if kernel is not None:
        x, added = with_batch(op, x, axes)
        y = op.MaxPool(x, kernel_shape=kernel, strides=kernel if any(size != 1 for size in kernel) else None)
        return without_batch(op, y, added), None
    rank = op.rank(x)
    for axis, count in zip(range(rank - axes, rank), sizes, strict=True):
        members = _members(op, op.size(x, axis), count)
        x = op.ReduceMax(op.Gather(x, members, axis=axis), op.i64([axis + 1]), keepdims=0)
    return x, None


def _maximum_and_position(op: Emitter, x: ir.Value, sizes: list[Size], axes: int) -> tuple[ir.Value, ir.Value]:
    """Gather the members of every window behind each other, and take the largest and where it came from."""
    rank, lead = op.rank(x), op.rank(x) - axes
    extents = [op.size(x, axis) for axis in range(lead, rank)]
    tables = [_members(op, size, count) for size, count in zip(extents, sizes, strict=True)]
    gathered = x
    for offset, table in enumerate(tables):
        gathered = op.Gather(gathered, table, axis=lead + 2 * offset)
    order = [*range(lead), *(lead + 2 * axis for axis in range(axes)), *(lead + 2 * axis + 1 for axis in range(axes))]
    places = _flat_places(op, tables, extents)
    if axes > 1:
        gathered = op.Transpose(gathered, perm=order)
    joined = op.Reshape(gathered, op.i64([0] * (lead + axes) + [-1]))
    best = op.ArgMax(joined, axis=-1, keepdims=1)
    values = op.ReduceMax(joined, op.i64([-1]), keepdims=0)
    # The table of places has no leading axes; comparing with a counter picks one place of each window.
    last = op.Shape(joined, start=lead + axes, end=lead + axes + 1)
    counter = op.Range(op.i64(0), op.scalar(last), op.i64(1))
    picked = op.Mul(op.cast(op.Equal(best, counter), ir.DataType.INT64), places)
    return values, op.ReduceSum(picked, op.i64([-1]), keepdims=0)


def _flat_places(op: Emitter, tables: list[ir.Value], extents: list[Size]) -> ir.Value:
    """Return, for every window, the flat positions of its members (windows..., members)."""
    axes = len(tables)
    total: ir.Value | None = None
    for axis, (table, extent) in enumerate(zip(tables, extents, strict=True)):
        spread = [other for other in range(2 * axes) if other not in (axis, axes + axis)]
        placed = op.Unsqueeze(table, op.i64(spread)) if spread else table
        total = placed if total is None else op.Add(op.Mul(total, op.vector(extent)), placed)
    assert total is not None
    return op.Reshape(total, op.i64([0] * axes + [-1]))


@lowers("aten::adaptive_max_pool1d")
def adaptive_max_pool1d(op: Emitter, x: ir.Value, *, output_size: Any) -> tuple[ir.Value, ir.Value | None]:
    """Lower adaptive maxima of one axis, with their positions where they are used."""
    return _maximum(op, x, output_size, 1)


@lowers("aten::adaptive_max_pool2d")
def adaptive_max_pool2d(op: Emitter, x: ir.Value, *, output_size: Any) -> tuple[ir.Value, ir.Value | None]:
    """Lower adaptive maxima of two axes, with their positions where they are used."""
    return _maximum(op, x, output_size, 2)


@lowers("aten::adaptive_max_pool3d")
def adaptive_max_pool3d(op: Emitter, x: ir.Value, *, output_size: Any) -> tuple[ir.Value, ir.Value | None]:
    """Lower adaptive maxima of three axes, with their positions where they are used."""
    return _maximum(op, x, output_size, 3)
