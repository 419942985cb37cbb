# SPDX-License-Identifier: Apache-2.0
"""Writing by index tensors: scatter, index_add and their kin, index_put, masked_scatter and put.

ONNX writes with ScatterElements and ScatterND from opset 11 on, sums and multiplies from 16, takes maxima and minima
from 18.  What an opset cannot do by itself is done by comparing every index with every position, which costs memory for
both but needs no more than Equal, Where and a reduction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import same_dim
from .expanding import expand_like, expand_to
from .indexing import as_index, as_mask, element_positions, index_tuples, is_mask, linear_positions, plan_of
from .slicing import sliced
from .views import at_least, flat, moved, permuted, reshape_to, sizes_of

_NAMES = {"sum": "add", "add": "add", "prod": "mul", "multiply": "mul", "amax": "max", "amin": "min", "mean": "mean"}
_REDUCTIONS = {"add": "ReduceSum", "mul": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
_JOINERS = {"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}

Writer = Callable[[Emitter, ir.Value, ir.Value, ir.Value, int, "str | None"], ir.Value]
"""Writes updates at an index along an axis of a tensor, joined with what is there by a reduction if one is named."""


def _neutral(reduction: str, dtype: ir.DataType) -> Any:
    if reduction in ("add", "mul"):
        return 0 if reduction == "add" else 1
    if dtype.is_floating_point():
        return -np.inf if reduction == "max" else np.inf
    if dtype == ir.DataType.BOOL:
        return reduction == "min"
    limits = np.iinfo(dtype.numpy())
    return limits.min if reduction == "max" else limits.max


def _dtype(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


# ---- three ways of writing -------------------------------------------------------------------------------------------


def _joined(op: Emitter, x: ir.Value, y: ir.Value, reduction: str) -> ir.Value:
    if _dtype(x) == ir.DataType.BOOL:
        return op.Or(x, y) if reduction in ("add", "max") else op.And(x, y)
    joined: ir.Value = getattr(op, _JOINERS[reduction])(x, y)
    return joined


def _fit_index(op: Emitter, index: ir.Value, src: ir.Value) -> ir.Value:
    """Cut a source that is larger than its index down to it."""
    for axis in range(op.rank(index)):
        if not same_dim(index.shape[axis], src.shape[axis]):
            src = sliced(op, src, axis, 0, op.size(index, axis))
    return src


def elements_written(
    op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, axis: int, reduction: str | None
) -> ir.Value:
    """Write with ScatterElements."""
    if reduction is not None and _dtype(x) == ir.DataType.BOOL:
        # Sums and products of truth values are maxima and minima of numbers.
        carried = {"add": "add", "max": "add", "mul": "mul", "min": "mul"}[reduction]
        as_numbers = [op.cast(value, ir.DataType.INT32) for value in (x, src)]
        written = op.ScatterElements(as_numbers[0], as_index(op, index), as_numbers[1], axis=axis, reduction=carried)
        return op.cast(written, ir.DataType.BOOL)
    options = {} if reduction is None else {"reduction": reduction}
    written = op.ScatterElements(x, as_index(op, index), src, axis=axis, **options)
    return written


def elements_compared(
    op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, axis: int, reduction: str | None
) -> ir.Value:
    """Write by comparing; the index may be a vector along the axis or an index for every element."""
    rank = op.rank(x)
    if op.rank(index) == rank and rank > 1:
        if any(not same_dim(x.shape[i], index.shape[i]) for i in range(rank) if i != axis):
            # An index smaller than the tensor is spread out over all of its elements.
            positions = flat(op, element_positions(op, x, index, axis))
            written = elements_compared(op, flat(op, x), positions, flat(op, src), 0, reduction)
            return reshape_to(op, written, sizes_of(op, x))
        index = moved(op, index, [axis], [-1])
    x, src = moved(op, x, [axis], [-1]), moved(op, src, [axis], [-1])
    depth = op.scalar(op.size(x, rank - 1))
    index = op.cast(index, ir.DataType.INT64)
    index = op.Where(op.Less(index, op.i64(0)), op.Add(index, depth), index)
    places = op.Range(op.i64(0), depth, op.i64(1))
    count = op.rank(index)
    hit = op.Equal(op.Unsqueeze(index, [count]), places)
    if reduction is None:
        written = _last_written(op, x, src, hit, count)
    else:
        neutral = op.const_like(_neutral(reduction, _dtype(x)), x)
        if _dtype(x) == ir.DataType.BOOL:
            found = op.Where(hit, op.Unsqueeze(src, [rank]), neutral)
            name = "ReduceMax" if reduction in ("add", "max") else "ReduceMin"
            numbers = op.cast(found, ir.DataType.INT32)
            summed = op.cast(getattr(op, name)(numbers, [rank - 1], keepdims=0), ir.DataType.BOOL)
        else:
            found = op.Where(hit, op.Unsqueeze(src, [rank]), neutral)
            summed = getattr(op, _REDUCTIONS[reduction])(found, [rank - 1], keepdims=0)
        written = _joined(op, x, summed, reduction)
    return moved(op, written, [-1], [axis])


def _last_written(op: Emitter, x: ir.Value, src: ir.Value, hit: ir.Value, count: int) -> ir.Value:
    """Put the last of the updates that hit a place there."""
    order = op.Range(op.i64(0), op.scalar(op.size(src, op.rank(src) - 1)), op.i64(1))
    last = op.ReduceMax(op.Where(hit, op.Unsqueeze(order, [1]), op.i64(-1)), [count - 1], keepdims=0)
    position = op.Max(last, op.i64(0))
    if count == 1:
        chosen = op.Gather(src, position, axis=op.rank(src) - 1)
    else:
        chosen = op.call("aten::gather", src, position, dim=op.rank(src) - 1)
    return op.Where(op.Less(last, op.i64(0)), x, chosen)


def rows_written(
    op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, axis: int, reduction: str | None
) -> ir.Value:
    """Write whole slices, at a vector of indices along an axis, with ScatterND."""
    options = {} if reduction is None else {"reduction": reduction}
    front = moved(op, x, [axis], [0])
    updates = moved(op, src, [axis], [0])
    bool_reduced = reduction is not None and _dtype(x) == ir.DataType.BOOL
    if bool_reduced:
        front, updates = op.cast(front, ir.DataType.INT32), op.cast(updates, ir.DataType.INT32)
    tuples = op.Unsqueeze(op.cast(index, ir.DataType.INT64), [1])
    written = moved(op, op.ScatterND(front, tuples, updates, **options), [0], [axis])
    return op.cast(written, ir.DataType.BOOL) if bool_reduced else written


def _reducing(native: frozenset[str], write: Writer) -> Writer:
    """Return a writer that uses a way of writing for the reductions which it has, and compares for the others."""

    def written(op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, axis: int, reduction: str | None) -> ir.Value:
        if reduction is None or reduction in native:
            return write(op, x, index, src, axis, reduction)
        return elements_compared(op, x, index, src, axis, reduction)

    return written


def reduced(
    op: Emitter,
    write: Writer,
    x: ir.Value,
    index: ir.Value,
    src: ir.Value,
    axis: int,
    reduce: str,
    include_self: bool,
) -> ir.Value:
    """Join updates with what stands at an index by one of PyTorch's reductions."""
    reduction = _NAMES[reduce]
    joined = "add" if reduction == "mean" else reduction
    base = x
    if not include_self:
        neutral = op.const_like(_neutral(joined, _dtype(x)), x)
        base = write(op, x, index, expand_like(op, neutral, src), axis, None)
    result = write(op, base, index, src, axis, joined)
    if reduction != "mean":
        return result
    one = op.const_like(1, x)
    ones = expand_like(op, one, x)
    start = ones if include_self else write(op, ones, index, expand_like(op, op.const_like(0, x), src), axis, None)
    counts = write(op, start, index, expand_like(op, one, src), axis, "add")
    if not include_self:
        counts = op.Max(counts, one)
    if _dtype(x).is_floating_point():
        return op.Div(result, counts)
    return op.call("aten::div.Tensor_mode", result, counts, rounding_mode="floor")


# ---- scatter ---------------------------------------------------------------------------------------------------------


def _scattered(
    op: Emitter,
    write: Writer,
    x: ir.Value,
    index: ir.Value,
    src: ir.Value,
    dim: int,
    reduce: str | None = None,
    include_self: bool = True,
) -> ir.Value:
    rank = op.rank(x)
    if rank == 0:
        x = op.Unsqueeze(x, [0])
    index, src = at_least(op, index, 1), at_least(op, src, 1)
    axis = dim % op.rank(x)
    if op.rank(index) != op.rank(x):
        return x  # only an index without elements may have another rank, and it writes nothing
    src = _fit_index(op, index, op.cast(src, _dtype(x)))
    if reduce is None:
        written = write(op, x, index, src, axis, None)
    else:
        written = reduced(op, write, x, index, src, axis, reduce, include_self)
    return op.Squeeze(written, [0]) if rank == 0 else written


def _filled(op: Emitter, x: ir.Value, index: ir.Value, value: Any) -> ir.Value:
    number = op.cast(value, _dtype(x)) if isinstance(value, ir.Value) else op.const_like(value, x)
    return expand_like(op, number, at_least(op, index, 1))


_SUMS = frozenset({"add", "mul"})
_ALL = frozenset({"add", "mul", "max", "min"})
_BY_OPSET: tuple[tuple[int, Writer], ...] = (
    (18, elements_written),
    (16, _reducing(_SUMS, elements_written)),
    (11, _reducing(frozenset(), elements_written)),
    (7, elements_compared),
)


def _register_scatter(since: int, write: Writer) -> None:
    @lowers("aten::scatter.src", since=since)
    def scatter(op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, *, dim: int) -> ir.Value:
        return _scattered(op, write, x, index, src, dim)

    @lowers("aten::scatter.value", since=since)
    def scatter_value(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int, value: Any) -> ir.Value:
        return _scattered(op, write, x, index, _filled(op, x, index, value), dim)

    @lowers("aten::scatter.reduce", since=since)
    def scatter_with(op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, *, dim: int, reduce: str) -> ir.Value:
        return _scattered(op, write, x, index, src, dim, reduce)

    @lowers("aten::scatter.value_reduce", since=since)
    def scatter_value_with(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int, value: Any, reduce: str) -> ir.Value:
        return _scattered(op, write, x, index, _filled(op, x, index, value), dim, reduce)

    @lowers("aten::scatter_add", since=since)
    def scatter_add(op: Emitter, x: ir.Value, index: ir.Value, src: ir.Value, *, dim: int) -> ir.Value:
        return _scattered(op, write, x, index, src, dim, "sum")

    @lowers("aten::scatter_reduce.two", since=since)
    def scatter_reduce(
        op: Emitter,
        x: ir.Value,
        index: ir.Value,
        src: ir.Value,
        *,
        dim: int,
        reduce: str,
        include_self: bool = True,
    ) -> ir.Value:
        return _scattered(op, write, x, index, src, dim, reduce, include_self)

    @lowers("aten::put", since=since)
    def put(op: Emitter, x: ir.Value, index: ir.Value, source: ir.Value, *, accumulate: bool = False) -> ir.Value:
        written = write(
            op, flat(op, x), flat(op, index), flat(op, op.cast(source, _dtype(x))), 0, "add" if accumulate else None
        )
        return reshape_to(op, written, sizes_of(op, x), op.result().shape)


# ---- index_copy, index_add, index_reduce, index_fill -----------------------------------------------------------------


def _rows(
    op: Emitter,
    write: Writer,
    x: ir.Value,
    index: ir.Value,
    source: ir.Value,
    dim: int,
    reduce: str | None = None,
    include_self: bool = True,
) -> ir.Value:
    rank = op.rank(x)
    if rank == 0:
        x = op.Unsqueeze(x, [0])
    index = at_least(op, index, 1)
    source = op.cast(source, _dtype(x))
    axis = dim % op.rank(x)
    if op.rank(source) < op.rank(x):
        source = at_least(op, source, 1)
    if reduce is None:
        written = write(op, x, index, source, axis, None)
    else:
        written = reduced(op, write, x, index, source, axis, reduce, include_self)
    return op.Squeeze(written, [0]) if rank == 0 else written


_ROWS_BY_OPSET: tuple[tuple[int, Writer], ...] = (
    (18, rows_written),
    (16, _reducing(_SUMS, rows_written)),
    (11, _reducing(frozenset(), rows_written)),
    (7, elements_compared),
)


def _register_rows(since: int, write: Writer) -> None:
    @lowers("aten::index_copy", since=since)
    def index_copy(op: Emitter, x: ir.Value, index: ir.Value, source: ir.Value, *, dim: int) -> ir.Value:
        return _rows(op, write, x, index, source, dim)

    @lowers("aten::index_add", since=since)
    def index_add(op: Emitter, x: ir.Value, index: ir.Value, source: ir.Value, *, dim: int, alpha: Any = 1) -> ir.Value:
        source = op.cast(source, _dtype(x))
        if alpha != 1:
            scale = op.const_like(alpha, x)
            source = op.And(source, scale) if _dtype(x) == ir.DataType.BOOL else op.Mul(source, scale)
        return _rows(op, write, x, index, source, dim, "sum")

    @lowers("aten::index_reduce", since=since)
    def index_reduce(
        op: Emitter,
        x: ir.Value,
        index: ir.Value,
        source: ir.Value,
        *,
        dim: int,
        reduce: str,
        include_self: bool = True,
    ) -> ir.Value:
        return _rows(op, write, x, index, source, dim, reduce, include_self)

    @lowers("aten::index_put", "aten::_unsafe_index_put", since=since)
    def index_put(
        op: Emitter,
        x: ir.Value,
        indices: Sequence[ir.Value | None],
        values: ir.Value,
        *,
        accumulate: bool = False,
    ) -> ir.Value:
        chosen = _put_where(op, x, indices, values, accumulate)
        return chosen if chosen is not None else _put_at(op, write, x, indices, values, accumulate)


for _since, _write in _BY_OPSET:
    _register_scatter(_since, _write)
for _since, _write in _ROWS_BY_OPSET:
    _register_rows(_since, _write)


@lowers("aten::index_fill.int_Scalar")
def index_fill(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int, value: Any) -> ir.Value:
    """Fill the slices at given positions of an axis with a number."""
    return _index_filled(op, x, index, dim, value)


@lowers("aten::index_fill.int_Tensor")
def index_fill_tensor(op: Emitter, x: ir.Value, index: ir.Value, value: ir.Value, *, dim: int) -> ir.Value:
    """Fill the slices at given positions of an axis with the number that a tensor holds."""
    return _index_filled(op, x, index, dim, value)


def _index_filled(op: Emitter, x: ir.Value, index: ir.Value, dim: int, value: Any) -> ir.Value:
    number = op.cast(value, _dtype(x)) if isinstance(value, ir.Value) else op.const_like(value, x)
    rank = op.rank(x)
    x = at_least(op, x, 1)
    axis = dim % op.rank(x)
    index = op.cast(at_least(op, index, 1), ir.DataType.INT64)
    size = op.scalar(op.size(x, axis))
    index = op.Where(op.Less(index, op.i64(0)), op.Add(index, size), index)
    hit = op.cast(op.Equal(op.Unsqueeze(index, [1]), op.Range(op.i64(0), size, op.i64(1))), ir.DataType.INT64)
    mask = op.cast(op.ReduceSum(hit, [0], keepdims=0), ir.DataType.BOOL)
    after = op.rank(x) - axis - 1
    filled = op.Where(op.Unsqueeze(mask, list(range(1, after + 1))) if after else mask, number, x)
    return op.Squeeze(filled, [0]) if rank == 0 else filled


# ---- index_put and masks ---------------------------------------------------------------------------------------------


def _put_where(
    op: Emitter, x: ir.Value, indices: Sequence[ir.Value | None], values: ir.Value, accumulate: bool
) -> ir.Value | None:
    """Write where one mask is true, if the values do not depend on which of its elements they go to."""
    given = [(slot, index) for slot, index in enumerate(indices) if index is not None]
    if not given:
        return None
    if len(given) > 1 or not is_mask(given[0][1]):
        return None
    slot, mask = given[0]
    after = op.rank(x) - slot - op.rank(mask)
    alone = all(isinstance(size, int) and size == 1 for size in values.shape or ())
    if op.rank(values) > after and not alone:
        return None
    values = op.cast(values, _dtype(x))
    if op.rank(values) > after:
        values = reshape_to(op, values, [])
    condition = as_mask(op, mask)
    if after:
        condition = op.Unsqueeze(condition, list(range(op.rank(mask), op.rank(mask) + after)))
    return op.Where(condition, _joined(op, x, values, "add") if accumulate else values, x)


def _put_at(
    op: Emitter,
    write: Writer,
    x: ir.Value,
    indices: Sequence[ir.Value | None],
    values: ir.Value,
    accumulate: bool,
) -> ir.Value:
    rank = op.rank(x)
    plan = plan_of(op, indices)
    values = op.cast(values, _dtype(x))
    if not plan.indices:
        return expand_to(op, values, sizes_of(op, x))
    rest = [axis for axis in range(rank) if axis not in plan.axes]
    order = [*plan.axes, *rest]
    front = permuted(op, x, order)
    tuples = index_tuples(op, plan.indices)
    width = op.rank(tuples) - 1
    wide = sizes_of(op, tuples, 0, width)
    first = plan.axes[0] if plan.in_place else 0
    sizes = sizes_of(op, x)
    kept = [sizes[axis] for axis in rest]
    updates = expand_to(op, values, [*kept[:first], *wide, *kept[first:]])
    updates = moved(op, updates, list(range(first, first + width)), list(range(width))) if first else updates
    reduction = "add" if accumulate else None
    if write in (rows_written, *(w for _, w in _ROWS_BY_OPSET[1:3])) and (not accumulate or _adds(write)):
        written = _tuples_written(op, front, tuples, updates, reduction)
    else:
        written = _positions_written(op, write, front, plan.indices, updates, width, reduction)
    back = [order.index(axis) for axis in range(rank)]
    return permuted(op, written, back)


def _adds(write: Writer) -> bool:
    return write in (rows_written, _ROWS_BY_OPSET[1][1])


def _tuples_written(
    op: Emitter, front: ir.Value, tuples: ir.Value, updates: ir.Value, reduction: str | None
) -> ir.Value:
    if reduction is None:
        return op.ScatterND(front, tuples, updates)
    if _dtype(front) == ir.DataType.BOOL:
        numbers = [op.cast(value, ir.DataType.INT32) for value in (front, updates)]
        return op.cast(op.ScatterND(numbers[0], tuples, numbers[1], reduction=reduction), ir.DataType.BOOL)
    return op.ScatterND(front, tuples, updates, reduction=reduction)


def _positions_written(
    op: Emitter,
    write: Writer,
    front: ir.Value,
    indices: Sequence[ir.Value],
    updates: ir.Value,
    width: int,
    reduction: str | None,
) -> ir.Value:
    """Write with the indexed axes, which stand in front, merged to one."""
    count = len(indices)
    positions = linear_positions(op, indices, [op.size(front, axis) for axis in range(count)])
    merged = reshape_to(op, front, [-1, *sizes_of(op, front, count)]) if count > 1 else front
    rows = reshape_to(op, updates, [-1, *sizes_of(op, front, count)]) if width != 1 else updates
    written = write(op, merged, flat(op, positions), rows, 0, reduction)
    return reshape_to(op, written, sizes_of(op, front)) if count > 1 else written


@lowers("aten::masked_scatter")
def masked_scatter(op: Emitter, x: ir.Value, mask: ir.Value, source: ir.Value) -> ir.Value:
    """Put the elements of a source, in order, where a mask is true."""
    mask = expand_like(op, as_mask(op, mask), x)
    x = expand_like(op, x, mask)
    truth = op.cast(flat(op, mask), ir.DataType.INT64)
    order = op.Max(op.Sub(op.CumSum(truth, op.i64(0)), op.i64(1)), op.i64(0))
    # One element more than there is, so that a source without elements can be read where nothing is written.
    spare = op.Concat(flat(op, op.cast(source, _dtype(x))), op.const([0], _dtype(x)), axis=0)
    chosen = reshape_to(op, op.Gather(spare, order, axis=0), sizes_of(op, x), x.shape)
    return op.Where(mask, chosen, x)
