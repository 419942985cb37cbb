# SPDX-License-Identifier: Apache-2.0
"""Parts of a tensor by position: slice, select, narrow, split, chunk and unbind, and writing such parts back."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of, same_dim
from .expanding import LAST, expand_to
from .views import Size, sizes_of


def _plain(position: Size) -> Size:
    """Return a position as an int where it is a constant."""
    constant = constant_of(position) if isinstance(position, ir.Value) else None
    return int(constant.reshape(())) if constant is not None else position


def sliced(op: Emitter, x: ir.Value, axis: int, start: Size, end: Size, step: int = 1) -> ir.Value:
    """Return a slice along one axis by Python's rules; no node where it is known to be the whole."""
    axis %= op.rank(x)
    start = 0 if start is None else _plain(start)
    end = LAST if end is None else _plain(end)
    size = op.dim(x, axis)
    if isinstance(start, int) and isinstance(end, int):
        if size is not None:
            begin, stop, _ = slice(start, end, step).indices(size)
            if begin == 0 and stop >= size and step == 1:
                return x
            start, end = begin, max(stop, begin)
        elif start == 0 and end >= LAST and step == 1:
            return x
    starts = op.int_vector([start])
    ends = op.int_vector([end])
    return op.Slice(x, starts, ends, [axis]) if step == 1 else op.Slice(x, starts, ends, [axis], [step])


@lowers("aten::slice.Tensor", "aten::slice_copy.Tensor")
def slice_tensor(
    op: Emitter, x: ir.Value, *, dim: int = 0, start: Size = None, end: Size = None, step: int = 1
) -> ir.Value:
    """Take a slice along one axis."""
    axis = dim % op.rank(x)
    shape = op.result().shape
    # What is as long as the axis and steps by one, or steps by more over one element, is the axis itself.
    if shape is not None and x.shape is not None and same_dim(shape[axis], x.shape[axis]) and shape[axis] != 0:
        return x
    if isinstance(step, ir.Value):
        ends = op.int_vector([LAST if end is None else end])
        return op.Slice(x, op.int_vector([start or 0]), ends, [axis], op.vector(step))
    return sliced(op, x, axis, start, end, step)


@lowers("aten::narrow", "aten::narrow_copy")
def narrow(op: Emitter, x: ir.Value, *, dim: int, start: Size, length: Size) -> ir.Value:
    """Take a number of elements along one axis."""
    return _narrowed(op, x, dim % op.rank(x), start, length)


def _narrowed(op: Emitter, x: ir.Value, axis: int, start: Size, length: Size) -> ir.Value:
    shape = op.result().shape
    if shape is not None and x.shape is not None and same_dim(shape[axis], x.shape[axis]):
        return x
    start, length = _plain(start), _plain(length)
    if isinstance(start, int) and isinstance(length, int):
        end: Size = start + length if start >= 0 or start + length < 0 else LAST
        return sliced(op, x, axis, start, end if length else start)
    return sliced(op, x, axis, start, op.Add(op.vector(start), op.vector(length)))


@lowers("aten::narrow.Tensor")
def narrow_tensor(op: Emitter, x: ir.Value, start: ir.Value, *, dim: int, length: Size) -> ir.Value:
    """Take a number of elements along one axis, from a start that a tensor holds."""
    return _narrowed(op, x, dim % op.rank(x), op.vector(start), length)


def selected(op: Emitter, x: ir.Value, axis: int, index: int | ir.Value) -> ir.Value:
    """Return the part at one position of an axis, without that axis."""
    axis %= op.rank(x)
    size = op.dim(x, axis)
    if isinstance(index, int) and index < 0 and size is not None:
        index += size
    return op.Gather(x, op.scalar(index), axis=axis)


@lowers("aten::select.int", "aten::select_copy.int", since=11)
def select(op: Emitter, x: ir.Value, *, dim: int, index: Size) -> ir.Value:
    """Take the part at one position of an axis."""
    return selected(op, x, dim, _plain(index))


@lowers("aten::select.int", "aten::select_copy.int")
def select_without_negative_index(op: Emitter, x: ir.Value, *, dim: int, index: Size) -> ir.Value:
    """Take the part at one position of an axis; Gather knows negative positions only from opset 11 on."""
    axis = dim % op.rank(x)
    index = _plain(index)
    if isinstance(index, int) and index < 0 and op.dim(x, axis) is None:
        return op.Squeeze(op.Slice(x, [index], [LAST if index == -1 else index + 1], [axis]), [axis])
    return selected(op, x, axis, index)


@lowers("aten::unbind.int", "aten::unbind_copy.int")
def unbind(op: Emitter, x: ir.Value, *, dim: int = 0) -> list[ir.Value]:
    """Take an axis apart into its parts."""
    return [selected(op, x, dim, index) for index in range(op.result_count)]


def _split_at(op: Emitter, x: ir.Value, axis: int, sizes: Sequence[Size]) -> list[ir.Value]:
    if len(sizes) == 1:
        return [x]
    made = op.Split(x, op.int_vector(list(sizes)), axis=axis, outputs=len(sizes))
    return list(made)


def _result_sizes(op: Emitter, axis: int) -> list[int] | None:
    """Return the sizes of the results along an axis where capture knows them all."""
    sizes: list[int] = []
    for index in range(op.result_count):
        shape = op.result(index).shape
        size = None if shape is None else shape[axis]
        if not isinstance(size, int):
            return None
        sizes.append(size)
    return sizes


def _even_parts(op: Emitter, x: ir.Value, axis: int, size: Size) -> list[ir.Value]:
    """Cut an axis of free size into parts of one size, the last being what remains."""
    count = op.result_count
    if count == 1:
        return [x]
    if isinstance(size, int):
        bounds = [index * size for index in range(count)] + [LAST]
        return [sliced(op, x, axis, start, end) for start, end in itertools.pairwise(bounds)]
    rest = op.Sub(op.vector(op.size(x, axis)), op.Mul(op.vector(size), [count - 1]))
    return _split_at(op, x, axis, [size] * (count - 1) + [rest])


@lowers("aten::split.Tensor", "aten::unsafe_split.Tensor", "aten::split_copy.Tensor")
def split(op: Emitter, x: ir.Value, *, split_size: Size, dim: int = 0) -> list[ir.Value]:
    """Cut an axis into parts of one size, the last being what remains."""
    axis = dim % op.rank(x)
    length, split_size = op.dim(x, axis), _plain(split_size)
    if length is not None and isinstance(split_size, int) and split_size > 0:
        full, rest = divmod(length, split_size)
        return _split_at(op, x, axis, [split_size] * full + [rest] * bool(rest or not full))
    sizes = _result_sizes(op, axis)
    if sizes is not None:
        return _split_at(op, x, axis, sizes)
    return _even_parts(op, x, axis, split_size)


@lowers(
    "aten::split_with_sizes",
    "aten::unsafe_split_with_sizes",
    "aten::split_with_sizes_copy",
)
def split_with_sizes(op: Emitter, x: ir.Value, *, split_sizes: Sequence[Size], dim: int = 0) -> list[ir.Value]:
    """Cut an axis into parts of given sizes."""
    return _split_by_sizes(op, x, dim % op.rank(x), [_plain(size) for size in split_sizes])


def _split_by_sizes(op: Emitter, x: ir.Value, axis: int, wanted: Sequence[Size]) -> list[ir.Value]:
    sizes = _result_sizes(op, axis)
    return _split_at(op, x, axis, wanted if sizes is None else sizes)


@lowers("aten::split.sizes")
def split_sizes(op: Emitter, x: ir.Value, *, split_size: Sequence[Size], dim: int = 0) -> list[ir.Value]:
    """Cut an axis into parts of given sizes."""
    return _split_by_sizes(op, x, dim % op.rank(x), [_plain(size) for size in split_size])


@lowers("aten::chunk", "aten::unsafe_chunk")
def chunk(op: Emitter, x: ir.Value, *, chunks: int, dim: int = 0) -> list[ir.Value]:
    """Cut an axis into a number of parts of one size, the last being what remains."""
    axis = dim % op.rank(x)
    length = op.dim(x, axis)
    if length is not None:
        size = max(-(-length // chunks), 1)
        full, rest = divmod(length, size)
        sizes = [size] * full + [rest] * bool(rest)
        # An empty axis is cut into as many empty parts as were asked for.
        return _split_at(op, x, axis, sizes if length else [0] * chunks)
    known = _result_sizes(op, axis)
    if known is not None:
        return _split_at(op, x, axis, known)
    part = op.Div(op.Add(op.vector(op.size(x, axis)), [chunks - 1]), [chunks])
    return _even_parts(op, x, axis, part)


@lowers("aten::tensor_split.sections")
def tensor_split(op: Emitter, x: ir.Value, *, sections: int, dim: int = 0) -> list[ir.Value]:
    """Cut an axis into parts whose sizes differ by one at most."""
    axis = dim % op.rank(x)
    length = op.dim(x, axis)
    if length is not None:
        small, larger = divmod(length, sections)
        return _split_at(op, x, axis, [small + 1] * larger + [small] * (sections - larger))
    size = op.vector(op.size(x, axis))
    small_size = op.Div(size, [sections])
    larger_count = op.Sub(size, op.Mul(small_size, [sections]))
    positions = op.i64(list(range(sections)))
    sizes = op.Add(small_size, op.cast(op.Less(positions, larger_count), ir.DataType.INT64))
    return [x] if sections == 1 else list(op.Split(x, sizes, axis=axis, outputs=sections))


@lowers("aten::tensor_split.indices")
def tensor_split_indices(op: Emitter, x: ir.Value, *, indices: Sequence[Size], dim: int = 0) -> list[ir.Value]:
    """Cut an axis at given positions."""
    axis = dim % op.rank(x)
    bounds = [0, *indices, LAST]
    return [sliced(op, x, axis, start, end) for start, end in itertools.pairwise(bounds)]


@lowers("aten::tensor_split.tensor_indices_or_sections")
def tensor_split_places(op: Emitter, x: ir.Value, places: ir.Value, *, dim: int = 0) -> list[ir.Value]:
    """Cut an axis at positions that a tensor holds."""
    if op.rank(places) != 1:
        raise op.cannot("how many parts there are depends on the value of a tensor")
    count = op.result_count - 1
    return tensor_split_indices(op, x, indices=[op.Gather(places, op.i64([i]), axis=0) for i in range(count)], dim=dim)


# ---- writing parts back ----------------------------------------------------------------------------------------------


@lowers("aten::slice_scatter")
def slice_scatter(
    op: Emitter,
    x: ir.Value,
    source: ir.Value,
    *,
    dim: int = 0,
    start: Size = None,
    end: Size = None,
    step: int = 1,
) -> ir.Value:
    """Replace a slice along one axis."""
    axis = dim % op.rank(x)
    if x.shape is not None and source.shape is not None and same_dim(x.shape[axis], source.shape[axis]):
        return expand_to(op, source, sizes_of(op, x))
    start = 0 if start is None else _plain(start)
    end = LAST if end is None else _plain(end)
    size = op.dim(x, axis)
    if size is not None and isinstance(start, int) and isinstance(end, int):
        positions = range(*slice(start, end, step).indices(size))
        if not positions:
            return x
        if step == 1:
            return _replaced(op, x, source, axis, positions.start, positions.stop, size)
        wanted = np.zeros(size, np.int64)
        wanted[list(positions)] = np.arange(len(positions))
        mask = np.zeros(size, bool)
        mask[list(positions)] = True
        return _mixed(op, x, source, axis, op.const(mask, ir.DataType.BOOL), op.i64(wanted))
    if _is_empty(start, end):
        return x
    if step == 1 and _in_order(start, end, op.dim(source, axis)):
        return _replaced(op, x, source, axis, start, end, None)
    every = op.Range(op.i64(0), op.scalar(op.size(x, axis)), op.i64(1))
    return op.call("aten::index_copy", x, sliced(op, every, 0, start, end, step), source, dim=axis)


def _is_empty(start: Size, end: Size) -> bool:
    """Whether a slice has no rows, however long the axis is."""
    if not isinstance(end, int) or end == 0:
        return isinstance(end, int)
    return isinstance(start, int) and (start < 0) == (end < 0) and end <= start


def _in_order(start: Size, end: Size, count: int | None) -> bool:
    """Whether what is behind a slice of unknown rows begins at its end: not where it ends before it begins.

    A slice from a number of rows before the end of the axis to one from its beginning may be of either kind.
    """
    if count or start == 0 or (isinstance(end, int) and end == LAST):
        return True
    signs = {side < 0 for side in (start, end) if isinstance(side, int)}
    return signs != {True, False} and signs != {True}


def _replaced(
    op: Emitter, x: ir.Value, source: ir.Value, axis: int, start: Size, end: Size, size: int | None
) -> ir.Value:
    parts = []
    if not (isinstance(start, int) and start == 0):
        parts.append(sliced(op, x, axis, 0, start))
    parts.append(source)
    if not (isinstance(end, int) and end >= (LAST if size is None else size)):
        parts.append(sliced(op, x, axis, end, LAST))
    return parts[0] if len(parts) == 1 else op.Concat(*parts, axis=axis)


def _mixed(op: Emitter, x: ir.Value, source: ir.Value, axis: int, mask: ir.Value, wanted: ir.Value) -> ir.Value:
    """Take from the source, at given positions, where a mask along an axis says so."""
    after = op.rank(x) - axis - 1
    column = op.Unsqueeze(mask, list(range(1, after + 1))) if after else mask
    return op.Where(column, op.Gather(source, wanted, axis=axis), x)


@lowers("aten::select_scatter")
def select_scatter(op: Emitter, x: ir.Value, source: ir.Value, *, dim: int, index: Size) -> ir.Value:
    """Replace the part at one position of an axis."""
    axis = dim % op.rank(x)
    index = _plain(index)
    size = op.dim(x, axis)
    part = op.Unsqueeze(source, [axis])
    if isinstance(index, int):
        if size is not None:
            index %= size
            return _replaced(op, x, part, axis, index, index + 1, size)
        return _replaced(op, x, part, axis, index, LAST if index == -1 else index + 1, None)
    positions = op.Range(op.i64(0), op.scalar(op.size(x, axis)), op.i64(1))
    after = op.rank(x) - axis - 1
    mask = op.Equal(positions, op.scalar(index))
    return op.Where(op.Unsqueeze(mask, list(range(1, after + 1))) if after else mask, part, x)
