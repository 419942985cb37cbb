# SPDX-License-Identifier: Apache-2.0
"""Repetition of values: expand, broadcast, repeat, tile, roll and flip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of, same_dim
from .views import Size, SizeOf, at_least, flat, moved, reshape_to, sizes_of, sizes_vector, swapped

LAST = 2**63 - 1
"""The end that ONNX's Slice clamps to the size of any axis."""


def expand_to(
    op: Emitter, x: ir.Value, sizes: Sequence[Size], dims: Sequence[Any] | ir.Shape | None = None
) -> ir.Value:
    """Broadcast a value to sizes, of which -1 keeps the value's own; no node where nothing changes.

    Args:
        op: the emitter.
        x: the value.
        sizes: the wanted sizes, at least as many as the value has axes.
        dims: what capture knows of the result's dimensions.
    """
    rank = op.rank(x)
    given = list(x.shape) if x.shape is not None else []
    offset = len(sizes) - rank
    wanted: list[Any] = []
    for position, size in enumerate(sizes):
        dim = dims[position] if dims is not None and len(dims) == len(sizes) else None
        if isinstance(size, SizeOf):
            dim = size.dim if dim is None else dim
        elif isinstance(size, ir.Value):
            constant = constant_of(size)
            dim = int(constant.reshape(())) if constant is not None else dim
        elif size != -1:
            dim = size
        own = given[position - offset] if position >= offset else 1
        # Where a 1 stands, ONNX's Expand keeps the size of the input.
        if (isinstance(size, int) and size == -1) or (dim is not None and same_dim(own, dim)):
            wanted.append(1)
        elif isinstance(dim, int):
            wanted.append(dim)
        else:
            wanted.append(size)
    if all(isinstance(size, int) and size == 1 for size in wanted):
        return at_least(op, x, len(sizes))
    expanded: ir.Value = op.Expand(x, sizes_vector(op, wanted))
    return expanded


@lowers("aten::expand", "aten::expand_copy")
def expand(op: Emitter, x: ir.Value, *, size: Sequence[Size], implicit: bool = False) -> ir.Value:
    """Broadcast a tensor to a shape."""
    del implicit  # a mark of vmap without effect on the result
    return expand_to(op, x, size, op.result().shape)


@lowers("aten::broadcast_to")
def broadcast_to(op: Emitter, x: ir.Value, *, size: Sequence[Size]) -> ir.Value:
    """Broadcast a tensor to a shape."""
    return expand_to(op, x, size, op.result().shape)


def expand_like(op: Emitter, x: ir.Value, *others: ir.Value) -> ir.Value:
    """Broadcast a value against others; no node where its shape is known to be the common one already."""
    for other in others:
        rank = max(op.rank(x), op.rank(other))
        given = [1] * (rank - op.rank(x)) + list(x.shape or ())
        wanted = [1] * (rank - op.rank(other)) + list(other.shape or ())
        if all(same_dim(a, b) or b == 1 for a, b in zip(given, wanted, strict=True)):
            x = at_least(op, x, rank)
            continue
        sizes = [1 if same_dim(a, b) else b for a, b in zip(given, wanted, strict=True)]
        static = all(isinstance(size, int) for size in sizes)
        x = op.Expand(x, sizes if static else op.Shape(other))
    return x


@lowers("aten::expand_as")
def expand_as(op: Emitter, x: ir.Value, other: ir.Value) -> ir.Value:
    """Broadcast a tensor to the shape of another one."""
    return expand_like(op, x, other)


@lowers("aten::broadcast_tensors")
def broadcast_tensors(op: Emitter, xs: Sequence[ir.Value]) -> list[ir.Value]:
    """Broadcast tensors against each other."""
    return [expand_like(op, x, *(other for other in xs if other is not x)) for x in xs]


def tiled(op: Emitter, x: ir.Value, repeats: Sequence[Size]) -> ir.Value:
    """Return a value repeated along its trailing axes; more repeats than axes put axes in front."""
    x = at_least(op, x, len(repeats))
    times = [1] * (op.rank(x) - len(repeats)) + list(repeats)
    if all(isinstance(item, int) and item == 1 for item in times):
        return x
    return op.Tile(x, op.int_vector(times))


@lowers("aten::repeat")
def repeat(op: Emitter, x: ir.Value, *, repeats: Sequence[Size]) -> ir.Value:
    """Repeat a tensor along each axis."""
    return tiled(op, x, repeats)


@lowers("aten::tile")
def tile(op: Emitter, x: ir.Value, *, dims: Sequence[Size]) -> ir.Value:
    """Repeat a tensor along its last axes."""
    return tiled(op, x, dims)


@lowers("aten::repeat_interleave.self_int")
def repeat_interleave(
    op: Emitter, x: ir.Value, *, repeats: int | ir.Value, dim: int | None = None, output_size: Size = None
) -> ir.Value:
    """Repeat each element along an axis a number of times."""
    del output_size  # a promise about the result, not an instruction
    if dim is None:
        x, dim = flat(op, x), 0
    x = at_least(op, x, 1)
    rank = op.rank(x)
    dim %= rank
    if isinstance(repeats, int) and repeats == 1:
        return x
    wide = op.Unsqueeze(x, [dim + 1])
    wide = op.Tile(wide, op.int_vector([*[1] * (dim + 1), repeats, *[1] * (rank - dim - 1)]))
    static = op.dim(x, dim)
    size = static * repeats if static is not None and isinstance(repeats, int) else -1
    return reshape_to(op, wide, [*sizes_of(op, x, 0, dim), size, *sizes_of(op, x, dim + 1)], op.result().shape)


def _interleaving_indices(op: Emitter, repeats: ir.Value) -> ir.Value:
    """Return index i repeated repeats[i] times: each output position counts how many runs end at or before it."""
    ends = op.CumSum(op.cast(repeats, ir.DataType.INT64), 0)
    total = op.ReduceSum(op.cast(repeats, ir.DataType.INT64), [0], keepdims=0)
    positions = op.Unsqueeze(op.Range(op.i64(0), total, op.i64(1)), [1])
    passed = op.cast(op.GreaterOrEqual(positions, ends), ir.DataType.INT64)
    return op.ReduceSum(passed, [1], keepdims=0)


@lowers("aten::repeat_interleave.Tensor")
def repeat_interleave_indices(op: Emitter, repeats: ir.Value, *, output_size: Size = None) -> ir.Value:
    """Repeat the indices of a vector as often as its elements say."""
    del output_size
    return _interleaving_indices(op, repeats)


@lowers("aten::repeat_interleave.self_Tensor")
def repeat_interleave_tensor(
    op: Emitter, x: ir.Value, repeats: ir.Value, *, dim: int | None = None, output_size: Size = None
) -> ir.Value:
    """Repeat each element along an axis as often as a vector says."""
    del output_size
    if dim is None:
        x, dim = flat(op, x), 0
    x = at_least(op, x, 1)
    repeats = at_least(op, repeats, 1)
    if op.dim(repeats, 0) != op.dim(x, dim) or op.dim(x, dim) is None:
        repeats = op.Expand(repeats, op.vector(op.size(x, dim)))
    return op.Gather(x, _interleaving_indices(op, repeats), axis=dim % op.rank(x))


@lowers("aten::roll")
def roll(op: Emitter, x: ir.Value, *, shifts: Sequence[Size], dims: Sequence[int] = ()) -> ir.Value:
    """Move elements along axes, those that fall off the end coming back at the start."""
    if not dims:
        rolled = _rolled(op, flat(op, x), 0, shifts[0])
        return reshape_to(op, rolled, sizes_of(op, x), op.result().shape)
    for shift, dim in zip(shifts, dims, strict=True):
        x = _rolled(op, x, dim % max(op.rank(x), 1), shift)
    return x


def _rolled(op: Emitter, x: ir.Value, axis: int, shift: Size) -> ir.Value:
    if op.rank(x) == 0:
        return x
    size = op.dim(x, axis)
    if isinstance(shift, int):
        if size is not None:
            shift = shift % size if size else 0
        if shift == 0:
            return x
        cut: Any = [-shift]
    else:
        cut = op.vector(op.Neg(shift))
    return op.Concat(op.Slice(x, cut, [LAST], [axis]), op.Slice(x, [0], cut, [axis]), axis=axis)


def _flipped(op: Emitter, x: ir.Value, axes: Sequence[int]) -> ir.Value:
    rank = op.rank(x)
    axes = sorted({axis % rank for axis in axes}) if rank else []
    axes = [axis for axis in axes if op.dim(x, axis) != 1]
    if not axes:
        return x
    return op.Slice(x, [-1] * len(axes), [-LAST] * len(axes), axes, [-1] * len(axes))


def _flipped_by_index(op: Emitter, x: ir.Value, axes: Sequence[int]) -> ir.Value:
    rank = op.rank(x)
    for axis in sorted({axis % rank for axis in axes}) if rank else []:
        size = op.dim(x, axis)
        if size is None:
            length = op.scalar(op.size(x, axis))
            last = op.Sub(length, op.i64(1))
            x = op.Gather(x, op.Sub(last, op.Range(op.i64(0), length, op.i64(1))), axis=axis)
        elif size > 1:
            x = op.Gather(x, op.i64(list(reversed(range(size)))), axis=axis)
    return x


@lowers("aten::flip", since=10)
def flip(op: Emitter, x: ir.Value, *, dims: Sequence[int]) -> ir.Value:
    """Reverse the order of the elements along axes."""
    return _flipped(op, x, dims)


@lowers("aten::flip")
def flip_by_index(op: Emitter, x: ir.Value, *, dims: Sequence[int]) -> ir.Value:
    """Reverse the order of the elements along axes, before Slice had steps."""
    return _flipped_by_index(op, x, dims)


@lowers("aten::fliplr")
def fliplr(op: Emitter, x: ir.Value) -> ir.Value:
    """Reverse the second axis."""
    return op.call("aten::flip", x, dims=[1])


@lowers("aten::flipud")
def flipud(op: Emitter, x: ir.Value) -> ir.Value:
    """Reverse the first axis."""
    return op.call("aten::flip", x, dims=[0])


@lowers("aten::rot90")
def rot90(op: Emitter, x: ir.Value, *, k: int = 1, dims: Sequence[int] = (0, 1)) -> ir.Value:
    """Turn the plane of two axes by quarter turns."""
    first, second = dims
    turns = k % 4
    if turns == 0:
        return x
    if turns == 2:
        return op.call("aten::flip", x, dims=[first, second])
    if turns == 1:
        return swapped(op, op.call("aten::flip", x, dims=[second]), first, second)
    return swapped(op, op.call("aten::flip", x, dims=[first]), first, second)


@lowers("aten::unfold")
def unfold(op: Emitter, x: ir.Value, *, dimension: int, size: int, step: int) -> ir.Value:
    """Cut windows out of an axis; they come as a last axis."""
    if op.rank(x) == 0:
        return op.Unsqueeze(x, [0]) if size == 1 else op.Slice(op.Unsqueeze(x, [0]), [0], [size], [0])
    axis = dimension % op.rank(x)
    length = op.dim(x, axis)
    if length is not None:
        starts = np.arange(0, length - size + 1, step)
        indices = op.i64(starts[:, None] + np.arange(size)[None, :])
    else:
        end = op.scalar(op.Add(op.size(x, axis), [1 - size]))
        starts_value = op.Range(op.i64(0), end, op.i64(step))
        indices = op.Add(op.Unsqueeze(starts_value, [1]), op.i64(list(range(size))))
    return moved(op, op.Gather(x, indices, axis=axis), [axis + 1], [-1])
