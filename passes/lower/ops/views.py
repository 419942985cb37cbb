# SPDX-License-Identifier: Apache-2.0
"""Views that change the shape alone: reshape, squeeze, unsqueeze, flatten, permute and their kin.

The rules here decide how many nodes an exported model has, since every attention head is split and merged by views.  A
size that capture knows to be that of the input is written as ``0`` (copy) and one remaining size as ``-1``, so that no
arithmetic on shapes is needed in the common cases.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of, is_unknown, same_dim


@attrs.frozen
class SizeOf:
    """The size of an axis of a value, read at run time only where there is no cheaper way to say it."""

    value: ir.Value
    axis: int

    @property
    def dim(self) -> int | ir.SymbolicDim:
        """The size as far as it is known."""
        return self.value.shape[self.axis]


Size = Any
"""A size in a wanted shape: an int (-1 for "what remains"), a symbolic size, or a :class:`SizeOf`."""


def sizes_of(op: Emitter, x: ir.Value, start: int = 0, end: int | None = None) -> list[Size]:
    """Return the sizes of a range of axes, each an int where it is static and a :class:`SizeOf` otherwise."""
    rank = op.rank(x)
    found: list[Size] = []
    for axis in range(*slice(start, end).indices(rank)):
        static = op.dim(x, axis)
        found.append(SizeOf(x, axis) if static is None else static)
    return found


def _emitted(op: Emitter, size: Size) -> int | ir.Value:
    return op.size(size.value, size.axis) if isinstance(size, SizeOf) else size


def sizes_vector(op: Emitter, sizes: Sequence[Size]) -> list[int] | ir.Value:
    """Join sizes to a list of ints, or to an int64 vector where one of them is known at run time only."""
    return op.int_vector([_emitted(op, size) for size in sizes])


def _known_dim(size: Size, dim: Any) -> Any:
    """Return what is known of one wanted size: an int, a named symbol, or an unknown symbol."""
    if isinstance(size, SizeOf):
        return size.dim
    if isinstance(size, ir.Value):
        constant = constant_of(size)
        if constant is not None:
            return int(constant.reshape(()))
    elif size != -1:
        return int(size)
    return ir.SymbolicDim(None) if dim is None else dim


def reshape_to(
    op: Emitter, x: ir.Value, sizes: Sequence[Size], dims: Sequence[Any] | ir.Shape | None = None
) -> ir.Value:
    """Reshape a value with as few nodes as its shapes allow: none, or one, unless several sizes must be computed.

    Args:
        op: the emitter.
        x: the value.
        sizes: the wanted sizes; at most one may be -1.
        dims: what capture knows of the result's dimensions, ``op.result().shape`` for a view itself.
    """
    if dims is None or len(dims) != len(sizes):
        dims = [ir.SymbolicDim(None)] * len(sizes)
    known = [_known_dim(size, dim) for size, dim in zip(sizes, dims, strict=True)]
    given = list(x.shape) if x.shape is not None else None
    if given is not None:
        if len(given) == len(known) and all(same_dim(a, b) for a, b in zip(given, known, strict=True)):
            return x
        if (axes := _inserted_ones(given, known)) is not None:
            return op.Unsqueeze(x, axes)
        if (axes := _inserted_ones(known, given)) is not None:
            return op.Squeeze(x, axes)
    if 0 in known:
        return _empty(op, x, [d if isinstance(d, int) else s for s, d in zip(sizes, known, strict=True)])
    open_positions = _open_positions(given or [], known)
    if given is not None and len(open_positions) > 1:
        moved_first = _moved_into_place(op, x, given, known)
        if moved_first is not None:
            return reshape_to(op, moved_first, sizes, known)
    wanted: list[Any] = [dim if isinstance(dim, int) else 0 for dim in known]
    for position in open_positions:
        wanted[position] = None
    if open_positions:
        wanted[_inferred_position(open_positions, sizes, known, given or [])] = -1
        wanted = [_emitted(op, sizes[i]) if item is None else item for i, item in enumerate(wanted)]
    reshaped: ir.Value = op.Reshape(x, op.int_vector(wanted))
    if not any(is_unknown(dim) for dim in known):
        reshaped.shape = ir.Shape(known)
    return reshaped


def _open_positions(given: Sequence[Any], known: Sequence[Any]) -> list[int]:
    """Return at which positions the wanted size is neither static nor that of the input at the same position."""
    return [
        position
        for position, dim in enumerate(known)
        if not isinstance(dim, int) and not (position < len(given) and same_dim(given[position], dim))
    ]


def _moved_into_place(op: Emitter, x: ir.Value, given: Sequence[Any], known: Sequence[Any]) -> ir.Value | None:
    """Bring the axes of free size to where the result has them, if one node does it, so that none has to be read.

    Splitting the first axis moves the others back, which axes of size one in front make up for; merging the first
    axes moves the others forward, which Flatten does.
    """
    for count in range(1, len(known) - len(given) + 1):
        if len(_open_positions([1] * count + list(given), known)) <= 1:
            return op.Unsqueeze(x, list(range(count)))
    rest = list(known[1:])
    axis = len(given) - len(rest)
    one_free = sum(not isinstance(dim, int) for dim in rest) <= 1
    if axis > 1 and one_free and all(same_dim(a, b) for a, b in zip(given[axis:], rest, strict=True)):
        flattened: ir.Value = op.Flatten(x, axis=axis)
        flattened.shape = ir.Shape([known[0], _joined(given[axis:])])
        return flattened
    return None


def _joined(dims: Sequence[Any]) -> int | ir.SymbolicDim:
    """Return the size of axes that become one, unnamed where no plain product says it."""
    free = [dim for dim in dims if not isinstance(dim, int)]
    number = math.prod(dim for dim in dims if isinstance(dim, int))
    if not free:
        return number
    name = free[0].value if len(free) == 1 else None
    if number == 1 and name is not None:
        return ir.SymbolicDim(name)
    return ir.SymbolicDim(f"{number}*{name}" if name is not None and name.isidentifier() else None)


def _empty(op: Emitter, x: ir.Value, sizes: Sequence[Size]) -> ir.Value:
    # Reshape reads 0 as "copy" and cannot infer a size among no elements.  Nothing is lost by making them anew.
    shape = sizes_vector(op, sizes)
    dtype = x.dtype or ir.DataType.FLOAT
    if isinstance(shape, list):
        return op.const(np.zeros(shape), dtype)
    return op.cast(op.ConstantOfShape(shape, value=ir.tensor([0], dtype=ir.DataType.INT64)), dtype)


def _inserted_ones(short: Sequence[Any], long: Sequence[Any]) -> list[int] | None:
    """Return at which axes ones were put into a shape to make a longer one of it, or None if that is not known."""
    if len(long) <= len(short):
        return None
    axes: list[int] = []
    position = 0
    for axis, dim in enumerate(long):
        left_over = len(long) - axis - (len(short) - position)
        if position < len(short) and same_dim(short[position], dim) and not (dim == 1 and left_over):
            position += 1
        elif dim == 1 and left_over:
            axes.append(axis)
        else:
            return None
    return axes if position == len(short) else None


def _inferred_position(
    positions: Sequence[int], sizes: Sequence[Size], known: Sequence[Any], given: Sequence[Any]
) -> int:
    """Choose which of the sizes that are only known at run time becomes -1: the asked one, else the dearest one."""
    asked = [position for position in positions if isinstance(sizes[position], int)]
    if asked:
        return asked[0]
    computed = [p for p in positions if not any(same_dim(known[p], dim) for dim in given)]
    return (computed or list(positions))[0]


@lowers(
    "aten::view",
    "aten::_unsafe_view",
    "aten::view_copy",
    "aten::_reshape_copy",
)
def view(op: Emitter, x: ir.Value, *, size: Sequence[Size]) -> ir.Value:
    """Give a tensor another shape."""
    return reshape_to(op, x, size, op.result().shape)


@lowers("aten::reshape")
def reshape(op: Emitter, x: ir.Value, *, shape: Sequence[Size]) -> ir.Value:
    """Give a tensor another shape."""
    return reshape_to(op, x, shape, op.result().shape)


@lowers("aten::_reshape_alias", "aten::_reshape_alias_copy")
def reshape_alias(op: Emitter, x: ir.Value, *, size: Sequence[Size], stride: Sequence[Size]) -> ir.Value:
    """Give a tensor another shape; the strides are those that the shape implies."""
    del stride
    return reshape_to(op, x, size, op.result().shape)


@lowers("aten::view_as", "aten::reshape_as")
def view_as(op: Emitter, x: ir.Value, other: ir.Value) -> ir.Value:
    """Give a tensor the shape of another one."""
    return reshape_to(op, x, sizes_of(op, other), op.result().shape)


@lowers("aten::flatten.using_ints")
def flatten(op: Emitter, x: ir.Value, *, start_dim: int = 0, end_dim: int = -1) -> ir.Value:
    """Merge a range of axes into one."""
    rank = op.rank(x)
    if rank == 0:
        return op.Unsqueeze(x, [0])
    start, end = start_dim % rank, end_dim % rank
    if start == end:
        return x
    if start == 1 and end == rank - 1:
        return op.Flatten(x, axis=1)
    return reshape_to(op, x, merged(op, x, start, end), op.result().shape)


def merged(op: Emitter, x: ir.Value, start: int, end: int) -> list[Size]:
    """Return the sizes of a value with the axes from start to end, both included, merged into one."""
    middle = [op.dim(x, axis) for axis in range(start, end + 1)]
    product: Size = -1
    if all(size is not None for size in middle):
        product = int(np.prod([size or 0 for size in middle], dtype=np.int64))
    return [*sizes_of(op, x, 0, start), product, *sizes_of(op, x, end + 1)]


@lowers("aten::ravel")
def ravel(op: Emitter, x: ir.Value) -> ir.Value:
    """Merge all axes into one."""
    return flat(op, x)


def flat(op: Emitter, x: ir.Value) -> ir.Value:
    """Return a value as one axis."""
    rank = op.rank(x)
    if rank == 1:
        return x
    return reshape_to(op, x, merged(op, x, 0, rank - 1) if rank else [1])


@lowers("aten::unflatten.int")
def unflatten(op: Emitter, x: ir.Value, *, dim: int, sizes: Sequence[Size]) -> ir.Value:
    """Take an axis apart into several."""
    dim %= op.rank(x)
    inner = list(sizes)
    static = op.dim(x, dim)
    if -1 in inner and static is not None and all(isinstance(size, int) for size in inner):
        rest = int(np.prod([size for size in inner if size != -1], dtype=np.int64))
        inner[inner.index(-1)] = static // rest if rest else 0
    return reshape_to(op, x, [*sizes_of(op, x, 0, dim), *inner, *sizes_of(op, x, dim + 1)], op.result().shape)


@lowers("aten::squeeze", "aten::squeeze_copy")
def squeeze(op: Emitter, x: ir.Value) -> ir.Value:
    """Drop every axis of size one."""
    return _squeezed(op, x, list(range(op.rank(x))))


@lowers("aten::squeeze.dim", "aten::squeeze_copy.dim")
def squeeze_dim(op: Emitter, x: ir.Value, *, dim: int) -> ir.Value:
    """Drop an axis if its size is one."""
    return _squeezed(op, x, [dim])


@lowers("aten::squeeze.dims", "aten::squeeze_copy.dims")
def squeeze_dims(op: Emitter, x: ir.Value, *, dim: Sequence[int]) -> ir.Value:
    """Drop those of the axes whose size is one."""
    return _squeezed(op, x, list(dim))


def _squeezed(op: Emitter, x: ir.Value, candidates: Sequence[int]) -> ir.Value:
    rank = op.rank(x)
    axes = sorted({axis % rank for axis in candidates}) if rank else []
    ones = [axis for axis in axes if op.dim(x, axis) == 1]
    shape = op.result().shape
    dropped = rank - len(shape) if shape is not None else len(ones)
    if len(ones) != dropped:
        # Capture saw more ones than the symbols tell: those of the asked axes that are not known to be larger.
        possible = [axis for axis in axes if op.dim(x, axis) in (1, None)]
        if len(possible) == dropped:
            ones = possible
        elif len(axes) == rank:
            return op.Squeeze(x)
        else:
            raise op.cannot("which of the axes have size one is only known at run time")
    return op.Squeeze(x, ones) if ones else x


@lowers("aten::unsqueeze", "aten::unsqueeze_copy")
def unsqueeze(op: Emitter, x: ir.Value, *, dim: int) -> ir.Value:
    """Put in an axis of size one."""
    return op.Unsqueeze(x, [dim % (op.rank(x) + 1)])


def at_least(op: Emitter, x: ir.Value, rank: int) -> ir.Value:
    """Return a value with axes of size one put in front until it has a number of axes."""
    missing = rank - op.rank(x)
    return op.Unsqueeze(x, list(range(missing))) if missing > 0 else x


def _atleast(op: Emitter, x: ir.Value, rank: int) -> ir.Value:
    # numpy's rule: a vector becomes a row, and a matrix gets its third axis at the end.
    if rank == 3 and op.rank(x) == 2:
        return op.Unsqueeze(x, [2])
    if rank == 3 and op.rank(x) == 1:
        return op.Unsqueeze(x, [0, 2])
    return at_least(op, x, rank)


@lowers("aten::atleast_1d")
def atleast_1d(op: Emitter, x: ir.Value) -> ir.Value:
    """Give a tensor one axis at least."""
    return _atleast(op, x, 1)


@lowers("aten::atleast_2d")
def atleast_2d(op: Emitter, x: ir.Value) -> ir.Value:
    """Give a tensor two axes at least."""
    return _atleast(op, x, 2)


@lowers("aten::atleast_3d")
def atleast_3d(op: Emitter, x: ir.Value) -> ir.Value:
    """Give a tensor three axes at least."""
    return _atleast(op, x, 3)


@lowers("aten::atleast_1d.Sequence")
def atleast_1d_each(op: Emitter, xs: Sequence[ir.Value]) -> list[ir.Value]:
    """Give each tensor one axis at least."""
    return [_atleast(op, x, 1) for x in xs]


@lowers("aten::atleast_2d.Sequence")
def atleast_2d_each(op: Emitter, xs: Sequence[ir.Value]) -> list[ir.Value]:
    """Give each tensor two axes at least."""
    return [_atleast(op, x, 2) for x in xs]


@lowers("aten::atleast_3d.Sequence")
def atleast_3d_each(op: Emitter, xs: Sequence[ir.Value]) -> list[ir.Value]:
    """Give each tensor three axes at least."""
    return [_atleast(op, x, 3) for x in xs]


def permuted(op: Emitter, x: ir.Value, order: Sequence[int]) -> ir.Value:
    """Return a value with its axes in another order; no node where the order is as it was."""
    rank = op.rank(x)
    perm = [axis % rank for axis in order]
    return x if perm == list(range(rank)) else op.Transpose(x, perm=perm)


@lowers("aten::permute", "aten::permute_copy")
def permute(op: Emitter, x: ir.Value, *, dims: Sequence[int]) -> ir.Value:
    """Put the axes in another order."""
    return permuted(op, x, dims)


def swapped(op: Emitter, x: ir.Value, first: int, second: int) -> ir.Value:
    """Return a value with two of its axes swapped."""
    rank = op.rank(x)
    if rank == 0:
        return x
    order = list(range(rank))
    order[first], order[second] = order[second], order[first]
    return permuted(op, x, order)


@lowers("aten::transpose.int", "aten::transpose_copy.int", "aten::swapdims")
def transpose(op: Emitter, x: ir.Value, *, dim0: int, dim1: int) -> ir.Value:
    """Swap two axes."""
    return swapped(op, x, dim0, dim1)


@lowers("aten::swapaxes")
def swapaxes(op: Emitter, x: ir.Value, *, axis0: int, axis1: int) -> ir.Value:
    """Swap two axes."""
    return swapped(op, x, axis0, axis1)


@lowers("aten::t", "aten::t_copy")
def t(op: Emitter, x: ir.Value) -> ir.Value:
    """Transpose a matrix; a vector stays as it is."""
    return x if op.rank(x) < 2 else swapped(op, x, 0, 1)


@lowers("aten::numpy_T")
def numpy_t(op: Emitter, x: ir.Value) -> ir.Value:
    """Reverse the order of the axes."""
    return permuted(op, x, list(reversed(range(op.rank(x)))))


@lowers("aten::mT")
def matrix_transpose(op: Emitter, x: ir.Value) -> ir.Value:
    """Swap the last two axes."""
    return swapped(op, x, -2, -1)


@lowers("aten::movedim.int", "aten::moveaxis.int")
def movedim_int(op: Emitter, x: ir.Value, *, source: int, destination: int) -> ir.Value:
    """Move one axis to another place."""
    return moved(op, x, [source], [destination])


@lowers("aten::movedim.intlist", "aten::moveaxis.intlist")
def movedim(op: Emitter, x: ir.Value, *, source: Sequence[int], destination: Sequence[int]) -> ir.Value:
    """Move axes to other places; the others keep their order."""
    return moved(op, x, source, destination)


def moved(op: Emitter, x: ir.Value, source: Sequence[int], destination: Sequence[int]) -> ir.Value:
    """Return a value with axes moved to other places; the others keep their order."""
    rank = op.rank(x)
    if rank == 0:
        return x
    sources = [axis % rank for axis in source]
    rest = iter(axis for axis in range(rank) if axis not in sources)
    target = {axis % rank: origin for axis, origin in zip(destination, sources, strict=True)}
    return permuted(op, x, [target[axis] if axis in target else next(rest) for axis in range(rank)])
