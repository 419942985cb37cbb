# SPDX-License-Identifier: Apache-2.0
"""Diagonals and strided windows: diagonal, diag, diag_embed, trace, as_strided, and writing through them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .expanding import expand_to
from .views import at_least, flat, merged, moved, reshape_to, sizes_of


def diagonal_of(op: Emitter, x: ir.Value, offset: int, dim1: int, dim2: int) -> ir.Value:
    """Return a diagonal of the matrices in two axes; it comes as the last axis."""
    rank = op.rank(x)
    x = moved(op, x, [dim1 % rank, dim2 % rank], [-2, -1])
    rows, columns = op.dim(x, rank - 2), op.dim(x, rank - 1)
    down, right = max(-offset, 0), max(offset, 0)
    if rows is not None and columns is not None:
        length = max(min(rows - down, columns - right), 0)
        positions = op.i64((np.arange(length) + down) * columns + np.arange(length) + right)
    else:
        width = op.scalar(op.size(x, rank - 1))
        shorter = op.Min(op.Sub(op.scalar(op.size(x, rank - 2)), op.i64(down)), op.Sub(width, op.i64(right)))
        steps = op.Range(op.i64(0), op.Max(shorter, op.i64(0)), op.i64(1))
        start = op.Add(op.Mul(width, op.i64(down)), op.i64(right))
        positions = op.Add(op.Mul(steps, op.Add(width, op.i64(1))), start)
    return op.Gather(reshape_to(op, x, merged(op, x, rank - 2, rank - 1)), positions, axis=rank - 2)


@lowers("aten::diagonal", "aten::diagonal_copy")
def diagonal(op: Emitter, x: ir.Value, *, offset: int = 0, dim1: int = 0, dim2: int = 1) -> ir.Value:
    """Take a diagonal of the matrices in two axes."""
    return diagonal_of(op, x, offset, dim1, dim2)


@lowers("aten::linalg_diagonal")
def linalg_diagonal(op: Emitter, x: ir.Value, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> ir.Value:
    """Take a diagonal of the matrices in the last axes."""
    return diagonal_of(op, x, offset, dim1, dim2)


@lowers("aten::trace")
def trace(op: Emitter, x: ir.Value) -> ir.Value:
    """Sum the diagonal of a matrix."""
    return op.ReduceSum(op.cast(diagonal_of(op, x, 0, 0, 1), op.result().dtype), [0], keepdims=0)


def embedded(op: Emitter, x: ir.Value, offset: int, dim1: int, dim2: int) -> ir.Value:
    """Return matrices of zeros, in two axes, with the last axis of a value on one of their diagonals."""
    rank = op.rank(x)
    dtype = x.dtype or ir.DataType.FLOAT
    gap = abs(offset)
    if gap:
        x = op.Pad(x, [0] * (2 * rank - 1) + [gap], op.const(0, dtype))
    length = op.dim(x, rank - 1)
    if length is not None:
        row, column = np.arange(length)[:, None], np.arange(length)[None, :]
        mask = op.const(column - row == offset, ir.DataType.BOOL)
    else:
        places = op.Range(op.i64(0), op.scalar(op.size(x, rank - 1)), op.i64(1))
        mask = op.Equal(op.Sub(places, op.Unsqueeze(places, [1])), op.i64(offset))
    # Above the main diagonal an element's place along it is its row, below it its column.
    spread = op.Unsqueeze(x, [rank if offset > 0 else rank - 1])
    matrices = op.Where(mask, spread, op.const(0, dtype))
    return moved(op, matrices, [-2, -1], [dim1 % (rank + 1), dim2 % (rank + 1)])


@lowers("aten::diag_embed")
def diag_embed(op: Emitter, x: ir.Value, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> ir.Value:
    """Put the last axis on a diagonal of matrices of zeros."""
    return embedded(op, x, offset, dim1, dim2)


@lowers("aten::diag")
def diag(op: Emitter, x: ir.Value, *, diagonal: int = 0) -> ir.Value:
    """Make a diagonal matrix of a vector, or take the diagonal of a matrix."""
    return embedded(op, x, diagonal, 0, 1) if op.rank(x) == 1 else diagonal_of(op, x, diagonal, 0, 1)


@lowers("aten::diagflat")
def diagflat(op: Emitter, x: ir.Value, *, offset: int = 0) -> ir.Value:
    """Make a diagonal matrix of all elements."""
    return embedded(op, flat(op, at_least(op, x, 1)), offset, 0, 1)


@lowers("aten::diagonal_scatter")
def diagonal_scatter(
    op: Emitter, x: ir.Value, source: ir.Value, *, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> ir.Value:
    """Replace a diagonal of the matrices in two axes."""
    rank = op.rank(x)
    last = moved(op, x, [dim1 % rank, dim2 % rank], [-2, -1])
    rows, columns = op.dim(last, rank - 2), op.dim(last, rank - 1)
    if rows is None or columns is None:
        raise op.cannot("a diagonal can be written to only where the axes have static sizes")
    if rows == 0 or columns == 0 or not -rows < offset < columns:
        return x
    mask = np.eye(rows, columns, offset, dtype=bool)
    # One element of the source for each row (or column) that the diagonal runs through.
    place = np.clip(np.arange(rows) - max(-offset, 0), 0, int(mask.sum()) - 1)
    spread = op.Unsqueeze(op.Gather(source, op.i64(place), axis=rank - 2), [rank - 1])
    return moved(op, op.Where(op.const(mask, ir.DataType.BOOL), spread, last), [-2, -1], [dim1 % rank, dim2 % rank])


def _computed_positions(
    op: Emitter, size: Sequence[int | ir.Value], stride: Sequence[int | ir.Value], storage_offset: int | ir.Value | None
) -> ir.Value:
    """Compute at run time which elements a strided call reads."""
    positions = op.scalar(storage_offset or 0)
    for axis, (count, step) in enumerate(zip(size, stride, strict=True)):
        steps = op.Mul(op.Range(op.i64(0), op.scalar(count), op.i64(1)), op.scalar(step))
        inner = len(size) - axis - 1
        positions = op.Add(positions, op.Unsqueeze(steps, list(range(1, inner + 1))) if inner else steps)
    return positions


def _strided_positions(
    op: Emitter, x: ir.Value, size: Sequence[int], stride: Sequence[int], storage_offset: int | None
) -> np.ndarray:
    if any(isinstance(item, ir.Value) for item in (*size, *stride, storage_offset)):
        raise op.cannot("writing by strides that are only known at run time has no counterpart")
    positions = np.full([], storage_offset or 0, np.int64)
    for count, step in zip(size, stride, strict=True):
        positions = positions[..., None] + np.arange(count) * step
    sizes = op.sizes(x)
    count = math.prod(sizes) if isinstance(sizes, list) else None
    if positions.size and (positions.min() < 0 or (count is not None and positions.max() >= count)):
        raise op.cannot("as_strided reaches beyond the tensor that it is called on")
    return positions


@lowers("aten::as_strided", "aten::as_strided_copy", "prims::as_strided")
def as_strided(
    op: Emitter, x: ir.Value, *, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> ir.Value:
    """Read the elements of a contiguous tensor by strides."""
    if any(isinstance(item, ir.Value) for item in (*size, *stride, storage_offset)):
        return op.Gather(flat(op, x), _computed_positions(op, size, stride, storage_offset), axis=0)
    return op.Gather(flat(op, x), op.i64(_strided_positions(op, x, size, stride, storage_offset)), axis=0)


@lowers("aten::as_strided_scatter", "prims::as_strided_scatter")
def as_strided_scatter(
    op: Emitter,
    x: ir.Value,
    source: ir.Value,
    *,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> ir.Value:
    """Write to the elements of a contiguous tensor by strides."""
    positions = _strided_positions(op, x, size, stride, storage_offset)
    count = op.dim(flat(op, x), 0)
    if count is None:
        raise op.cannot("as_strided_scatter needs a static shape")
    if not positions.size:
        return x
    mask, place = np.zeros(count, bool), np.zeros(count, np.int64)
    mask[positions.ravel()] = True
    place[positions.ravel()] = np.arange(positions.size)
    values = op.Gather(flat(op, expand_to(op, source, list(size))), op.i64(place), axis=0)
    written = op.Where(op.const(mask, ir.DataType.BOOL), values, flat(op, x))
    return reshape_to(op, written, sizes_of(op, x))
