# SPDX-License-Identifier: Apache-2.0
"""Tensors joined to one: cat, stack and their kin, meshgrid and block_diag."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter
from ..promotion import common_dtype
from ..registry import lowers
from .expanding import expand_to
from .views import Size, SizeOf, at_least, flat


def joined(op: Emitter, xs: Sequence[ir.Value], axis: int) -> ir.Value:
    """Return values side by side along an axis, in their common dtype; no node for a single one."""
    dtype = common_dtype([(x.dtype or ir.DataType.FLOAT, op.rank(x)) for x in xs])
    # PyTorch lets empty vectors stand beside tensors of any rank, from the time when every empty tensor was one.
    rank = max(op.rank(x) for x in xs)
    kept = [x for x in xs if not (op.rank(x) == 1 and rank > 1)]
    if any(op.dim(x, axis) != 0 for x in kept):
        kept = [x for x in kept if op.dim(x, axis) != 0]
    kept = [op.cast(x, dtype) for x in kept or list(xs)[:1]]
    return kept[0] if len(kept) == 1 else op.Concat(*kept, axis=axis % rank)


@lowers("aten::cat", "aten::concat", "aten::concatenate", "prims::cat")
def cat(op: Emitter, xs: Sequence[ir.Value], *, dim: int = 0) -> ir.Value:
    """Put tensors side by side along an axis."""
    return joined(op, xs, dim)


def stacked(op: Emitter, xs: Sequence[ir.Value], axis: int) -> ir.Value:
    """Return values side by side along a new axis."""
    axis %= op.rank(xs[0]) + 1
    return joined(op, [op.Unsqueeze(x, [axis]) for x in xs], axis)


@lowers("aten::stack", "aten::_stack")
def stack(op: Emitter, xs: Sequence[ir.Value], *, dim: int = 0) -> ir.Value:
    """Put tensors side by side along a new axis."""
    return stacked(op, xs, dim)


@lowers("aten::hstack")
def hstack(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Put tensors side by side along the second axis, vectors along the first."""
    xs = [at_least(op, x, 1) for x in xs]
    return joined(op, xs, 0 if op.rank(xs[0]) == 1 else 1)


@lowers("aten::vstack", "aten::row_stack")
def vstack(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Put tensors below each other, vectors as rows."""
    return joined(op, [at_least(op, x, 2) for x in xs], 0)


@lowers("aten::dstack")
def dstack(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Put tensors side by side along the third axis."""
    return joined(op, [op.call("aten::atleast_3d", x) for x in xs], 2)


@lowers("aten::column_stack")
def column_stack(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Put tensors side by side along the second axis, vectors as columns."""
    columns = [op.Unsqueeze(at_least(op, x, 1), [1]) if op.rank(x) < 2 else x for x in xs]
    return joined(op, columns, 1)


def _grid(op: Emitter, xs: Sequence[ir.Value]) -> list[ir.Value]:
    vectors = [at_least(op, x, 1) for x in xs]
    count = len(vectors)
    grids = []
    for position, vector in enumerate(vectors):
        others = [axis for axis in range(count) if axis != position]
        placed = op.Unsqueeze(vector, others) if others else vector
        sizes: list[Size] = [-1 if axis == position else SizeOf(vectors[axis], 0) for axis in range(count)]
        static = [op.dim(other, 0) for other in vectors]
        sizes = [s if s == -1 or static[axis] is None else static[axis] for axis, s in enumerate(sizes)]
        grids.append(expand_to(op, placed, sizes))
    return grids


@lowers("aten::meshgrid", "aten::meshgrid.indexing")
def meshgrid(op: Emitter, xs: Sequence[ir.Value], *, indexing: str = "ij") -> list[ir.Value]:
    """Spread vectors over the grid that they span."""
    if indexing == "ij" or len(xs) < 2:
        return _grid(op, xs)
    crossed = _grid(op, [xs[1], xs[0], *xs[2:]])
    return [crossed[1], crossed[0], *crossed[2:]]


@lowers("aten::cartesian_prod")
def cartesian_prod(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """List all tuples of the vectors' elements."""
    if len(xs) == 1:
        return xs[0]
    return stacked(op, [flat(op, grid) for grid in _grid(op, xs)], 1)


@lowers("aten::block_diag")
def block_diag(op: Emitter, xs: Sequence[ir.Value]) -> ir.Value:
    """Put matrices on the diagonal of a matrix of zeros."""
    dtype = common_dtype([(x.dtype or ir.DataType.FLOAT, op.rank(x)) for x in xs])
    blocks = [op.cast(at_least(op, x, 2), dtype) for x in xs]
    widths = [op.size(block, 1) for block in blocks]
    befores: list[Size] = []
    total: Size = 0
    for width in widths:
        befores.append(total)
        total = _sum(op, total, width)
    rows = []
    for block, before, width in zip(blocks, befores, widths, strict=True):
        after = _sum(op, total, _sum(op, before, width), sign=-1)
        rows.append(op.Pad(block, op.int_vector([0, before, 0, after]), op.const(0, dtype)))
    return joined(op, rows, 0)


def _sum(op: Emitter, left: Size, right: Size, sign: int = 1) -> Size:
    if isinstance(left, int) and isinstance(right, int):
        return left + sign * right
    first, second = op.vector(left), op.vector(right)
    return op.Add(first, second) if sign > 0 else op.Sub(first, second)
