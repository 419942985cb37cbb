# SPDX-License-Identifier: Apache-2.0
"""Gathering and scattering.

Where an opset lacks an operator, elements are addressed in the flattened tensor, and what is scattered together is
found by comparing every index with every position.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_of, same_dim
from .axes import moved_back, moved_to_the_end
from .forms import alike, as_is, dtype_of, non_negative

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_INT64 = ir.DataType.INT64
Size = Any
"""An int, or an int64 vector of one element."""

as_is("Gather", "GatherElements", since=11)
as_is("GatherND", since=12)
as_is("ScatterElements", "ScatterND", since=18)


@spells("Gather")
def gather_from_the_front(op: Emitter, data: Operand, indices: Operand, *, axis: int = 0) -> ir.Value:
    """Gather 1: the axis and constant indices are made non-negative.

    Indices known only at run time are left alone: the page of these opsets is silent on negative ones, runtimes read
    them from the end, and every look-up would pay for the arithmetic.
    """
    (x,) = alike(op, data)
    axis = non_negative(op, x, axis)
    constant = constant_of(indices) if isinstance(indices, ir.Value) else np.asarray(indices)
    size = op.dim(x, axis)
    if constant is not None and size is not None and constant.size and constant.min() < 0:
        dtype = dtype_of(indices) if isinstance(indices, ir.Value) else _INT64
        indices = op.const(np.where(constant < 0, constant + size, constant), dtype)
    return op.raw("Gather", x, indices, axis=axis)


def _product(op: Emitter, sizes: Sequence[Size]) -> Size:
    static = int(np.prod([size for size in sizes if isinstance(size, int)], dtype=np.int64))
    result: Size = None
    for size in sizes:
        if not isinstance(size, int):
            result = size if result is None else op.Mul(result, size)
    if result is None:
        return static
    return result if static == 1 else op.Mul(result, [static])


def _times(op: Emitter, x: ir.Value, size: Size) -> ir.Value:
    if isinstance(size, int) and size == 1:
        return x
    return op.Mul(x, [size] if isinstance(size, int) else size)


def _from_front(op: Emitter, indices: ir.Value, size: Size) -> ir.Value:
    """Count negative indices from the front."""
    indices = op.cast(indices, _INT64)
    return op.Add(indices, _times(op, op.cast(op.Less(indices, 0), _INT64), size))


def _positions(op: Emitter, size: Size, stride: Size, trailing: int) -> ir.Value:
    """Return ``0, stride, 2 * stride, ...`` along an axis that some axes follow."""
    run = _times(op, op.Range(0, size if isinstance(size, int) else op.scalar(size), 1), stride)
    return op.Reshape(run, [-1] + [1] * trailing) if trailing else run


@spells("GatherElements")
def gather_elements_flat(op: Emitter, data: Operand, indices: Operand, *, axis: int = 0) -> ir.Value:
    """Before GatherElements: gather from the flattened data, at the indices plus the place of each."""
    x, index = alike(op, data)[0], alike(op, indices)[0]
    rank = op.rank(x)
    axis %= rank
    sizes = [op.size(x, other) for other in range(rank)]
    flat = _times(op, _from_front(op, index, sizes[axis]), _product(op, sizes[axis + 1 :]))
    for other in range(rank):
        if other != axis:
            stride = _product(op, sizes[other + 1 :])
            flat = op.Add(flat, _positions(op, op.size(index, other), stride, rank - 1 - other))
    return op.Gather(op.Reshape(x, [-1]), flat, axis=0)


def _flat_index(op: Emitter, indices: ir.Value, sizes: Sequence[Size]) -> ir.Value:
    """Return the position that each index tuple (along the last axis) has among ``sizes``."""
    rank = op.rank(indices)
    if not sizes:
        raise op.cannot("index tuples of no elements need a newer opset")
    result: ir.Value | None = None
    for place, size in enumerate(sizes):
        item = _from_front(op, op.Gather(indices, place, axis=rank - 1), size)
        item = _times(op, item, _product(op, sizes[place + 1 :]))
        result = item if result is None else op.Add(result, item)
    assert result is not None
    return result


def _tuple_length(op: Emitter, indices: ir.Value) -> int:
    length = op.dim(indices, -1)
    if length is None:
        raise op.cannot("the length of the index tuples is not known, and this opset needs it")
    return length


@spells("GatherND", since=11)
def gather_nd_of_one_batch(op: Emitter, data: Operand, indices: Operand, *, batch_dims: int = 0) -> ir.Value:
    """GatherND 11 has no batches."""
    if batch_dims:
        return gather_nd_flat(op, data, indices, batch_dims=batch_dims)
    return op.raw("GatherND", data, indices)


@spells("GatherND")
def gather_nd_flat(op: Emitter, data: Operand, indices: Operand, *, batch_dims: int = 0) -> ir.Value:
    """Before GatherND: make the indexed axes one, and gather from that."""
    x, index = alike(op, data)[0], alike(op, indices)[0]
    last = batch_dims + _tuple_length(op, index)
    sizes = [op.size(x, axis) for axis in range(op.rank(x))]
    flat = _flat_index(op, index, sizes[batch_dims:last])
    if batch_dims:
        batch = _product(op, sizes[:batch_dims])
        start = _positions(op, batch, _product(op, sizes[batch_dims:last]), 0)
        inner = op.rank(flat) - batch_dims
        flat = op.Add(flat, op.Reshape(start, op.int_vector([*sizes[:batch_dims], *[1] * inner])))
    merged = op.Reshape(x, op.int_vector([-1, *sizes[last:]]))
    return op.Gather(merged, flat, axis=0)


@spells("ScatterElements", since=16)
def scatter_elements_adding(
    op: Emitter, data: Operand, indices: Operand, updates: Operand, *, axis: int = 0, reduction: str = "none"
) -> ir.Value:
    """ScatterElements 16 adds and multiplies, but takes no extrema."""
    if reduction in ("max", "min"):
        return scatter_elements_by_comparing(op, data, indices, updates, axis=axis, reduction=reduction)
    return op.raw("ScatterElements", data, indices, updates, axis=axis, reduction=reduction)


def _register_scatter(op_type: str, since: int) -> None:
    @spells("ScatterElements", since=since)
    def scatter_elements(
        op: Emitter, data: Operand, indices: Operand, updates: Operand, *, axis: int = 0, reduction: str = "none"
    ) -> ir.Value:
        if reduction != "none":
            return scatter_elements_by_comparing(op, data, indices, updates, axis=axis, reduction=reduction)
        x, new = alike(op, data, updates)
        return op.raw(op_type, x, indices, new, axis=non_negative(op, x, axis))


_register_scatter("ScatterElements", 11)
_register_scatter("Scatter", 9)


@spells("ScatterElements")
def scatter_elements_by_comparing(
    op: Emitter, data: Operand, indices: Operand, updates: Operand, *, axis: int = 0, reduction: str = "none"
) -> ir.Value:
    """Before ScatterElements, or its reduction: compare every index with every position, and reduce what hits it.

    Without a reduction two updates of one element are undefined, by the operator's page; as in PyTorch's kernels and
    the runtime's, the last one stays.
    """
    x, new = alike(op, data, updates)
    (index,) = alike(op, indices)
    dtype = dtype_of(x)
    if dtype == ir.DataType.STRING:
        raise op.cannot("scattering strings needs a newer opset")
    if any(dim == 0 for dim in index.shape or ()):
        return op.Identity(x)
    if dtype == ir.DataType.BOOL:
        x, new = op.cast(x, ir.DataType.INT32), op.cast(new, ir.DataType.INT32)
    rank = op.rank(x)
    index = _from_front(op, index, op.size(x, axis % rank))
    x, order = moved_to_the_end(op, x, axis)
    index, _ = moved_to_the_end(op, index, axis)
    new, _ = moved_to_the_end(op, new, axis)
    size = op.size(x, rank - 1)
    classes = op.Range(0, size if isinstance(size, int) else op.scalar(size), 1)
    hit = op.Equal(op.Unsqueeze(index, [rank]), classes)
    neutral = op.const_like(_neutral(reduction, x), x)
    if reduction == "none":
        updates_along = op.size(index, rank - 1)
        order_of_updates = op.Range(1, op.Add(op.scalar(updates_along), 1), 1)
        turn = op.Where(hit, op.Unsqueeze(order_of_updates, [1]), 0)
        last = op.ReduceMax(turn, [rank - 1], keepdims=1)
        hit = op.And(hit, op.Equal(turn, last))
    candidates = op.Where(hit, op.Unsqueeze(new, [rank]), neutral)
    reduce, combine = _REDUCTIONS[reduction]
    found = _grown(op, getattr(op, reduce)(candidates, [rank - 1], keepdims=0), x, neutral)
    if combine is None:
        touched = op.ReduceMax(op.cast(hit, ir.DataType.FLOAT), [rank - 1], keepdims=0)
        touched = _grown(op, touched, x, op.const(0.0, ir.DataType.FLOAT))
        result = op.Where(op.Greater(touched, 0.0), found, x)
    else:
        result = getattr(op, combine)(x, found)
    return op.cast(moved_back(op, result, order), dtype)


_REDUCTIONS: dict[str, tuple[str, str | None]] = {
    "none": ("ReduceSum", None),
    "add": ("ReduceSum", "Add"),
    "mul": ("ReduceProd", "Mul"),
    "max": ("ReduceMax", "Max"),
    "min": ("ReduceMin", "Min"),
}


def _neutral(reduction: str, x: ir.Value) -> Any:
    if reduction in ("none", "add", "mul"):
        return 1 if reduction == "mul" else 0
    if dtype_of(x).is_floating_point():
        return -np.inf if reduction == "max" else np.inf
    limits = np.iinfo(dtype_of(x).numpy())
    return limits.min if reduction == "max" else limits.max


def _grown(op: Emitter, x: ir.Value, like: ir.Value, value: ir.Value) -> ir.Value:
    """Pad at the ends of the axes up to the shape of another value."""
    have, wanted = list(x.shape or ()), list(like.shape or ())
    if all(same_dim(a, b) for a, b in zip(have[:-1], wanted[:-1], strict=True)):
        return x
    missing: list[Any] = []
    for axis, (a, b) in enumerate(zip(have, wanted, strict=True)):
        if same_dim(a, b) or axis == len(have) - 1:
            missing.append(0)
        elif isinstance(a, int) and isinstance(b, int):
            missing.append(b - a)
        else:
            missing.append(op.Sub(op.vector(op.size(like, axis)), op.vector(op.size(x, axis))))
    return op.Pad(x, op.int_vector([0] * len(have) + missing), value)


@spells("ScatterND", since=16)
def scatter_nd_adding(
    op: Emitter, data: Operand, indices: Operand, updates: Operand, *, reduction: str = "none"
) -> ir.Value:
    """ScatterND 16 adds and multiplies, but takes no extrema."""
    if reduction in ("max", "min"):
        return scatter_nd_flat(op, data, indices, updates, reduction=reduction)
    return op.raw("ScatterND", data, indices, updates, reduction=reduction)


@spells("ScatterND", since=11)
def scatter_nd_replacing(
    op: Emitter, data: Operand, indices: Operand, updates: Operand, *, reduction: str = "none"
) -> ir.Value:
    """ScatterND 11 only replaces."""
    if reduction != "none":
        return scatter_nd_flat(op, data, indices, updates, reduction=reduction)
    return op.raw("ScatterND", data, indices, updates)


@spells("ScatterND")
def scatter_nd_flat(
    op: Emitter, data: Operand, indices: Operand, updates: Operand, *, reduction: str = "none"
) -> ir.Value:
    """Before ScatterND, or its reduction: make the indexed axes one and the others one, and scatter rows."""
    x, new = alike(op, data, updates)
    (index,) = alike(op, indices)
    length = _tuple_length(op, index)
    sizes = [op.size(x, axis) for axis in range(op.rank(x))]
    flat = op.Reshape(_flat_index(op, index, sizes[:length]), [-1, 1])
    row = _product(op, sizes[length:])
    rows = op.Reshape(x, op.int_vector([_product(op, sizes[:length]), row]))
    count = op.Reshape(new, op.int_vector([-1, row]))
    index_of_rows = op.Expand(flat, op.int_vector([1, row]))
    result = op.ScatterElements(rows, index_of_rows, count, axis=0, reduction=reduction)
    return op.Reshape(result, op.int_vector(sizes))
