# SPDX-License-Identifier: Apache-2.0
"""Order and search: sort, topk and medians; searchsorted, unique, bincount and isin.

ONNX's TopK puts equal elements in the order in which they stand, so that a sort by TopK is stable.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .expanding import LAST
from .views import at_least, flat, reshape_to, sizes_of

Pair = tuple[ir.Value, ir.Value]


def _dtype(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


def top(op: Emitter, x: ir.Value, count: Any, axis: int, largest: bool) -> Pair:
    """Return the largest (or smallest) elements along an axis in order, and where they stand."""
    rank = op.rank(x)
    if rank == 0:
        values, positions = op.TopK(op.Unsqueeze(x, [0]), op.vector(count), axis=0, largest=int(largest))
        if isinstance(count, int) and count == 0:
            return values, positions
        return op.Squeeze(values, [0]), op.Squeeze(positions, [0])
    return op.TopK(x, op.vector(count), axis=axis % rank, largest=int(largest))


def sorted_along(op: Emitter, x: ir.Value, axis: int, descending: bool) -> Pair:
    """Return the elements along an axis in order, and where they stood."""
    count = op.size(x, axis) if op.rank(x) else 1
    return top(op, x, count, axis, descending)


@lowers("aten::sort")
def sort(op: Emitter, x: ir.Value, *, dim: int = -1, descending: bool = False) -> Pair:
    """Sort along an axis."""
    return sorted_along(op, x, dim, descending)


@lowers("aten::sort.stable")
def sort_stable(
    op: Emitter, x: ir.Value, *, stable: bool | None = None, dim: int = -1, descending: bool = False
) -> Pair:
    """Sort along an axis; the sort is stable whether that is asked for or not."""
    del stable
    return sorted_along(op, x, dim, descending)


@lowers("aten::argsort")
def argsort(op: Emitter, x: ir.Value, *, dim: int = -1, descending: bool = False) -> ir.Value:
    """Say which element comes at each place of the sorted axis."""
    return sorted_along(op, x, dim, descending)[1]


@lowers("aten::argsort.stable")
def argsort_stable(op: Emitter, x: ir.Value, *, stable: bool, dim: int = -1, descending: bool = False) -> ir.Value:
    """Say which element comes at each place of the sorted axis."""
    del stable
    return sorted_along(op, x, dim, descending)[1]


@lowers("aten::msort")
def msort(op: Emitter, x: ir.Value) -> ir.Value:
    """Sort along the first axis."""
    return sorted_along(op, x, 0, False)[0]


@lowers("aten::topk")
def topk(
    op: Emitter, x: ir.Value, *, k: int | ir.Value, dim: int = -1, largest: bool = True, sorted: bool = True
) -> Pair:
    """Take the largest or smallest elements along an axis; they come sorted, which PyTorch may leave open."""
    del sorted
    return top(op, x, k, dim, largest)


def _at_rank(op: Emitter, x: ir.Value, k: Any, axis: int, keepdim: bool) -> Pair:
    """Return the k-th smallest along an axis (k from one, as an int or an int64 vector), and where it stands."""
    if op.rank(x) == 0:
        return x, op.i64(0)
    axis %= op.rank(x)
    values, positions = op.TopK(x, op.vector(k), axis=axis, largest=0)
    picked = [op.Slice(found, [-1], [LAST], [axis]) for found in (values, positions)]
    if not keepdim:
        picked = [op.Squeeze(found, [axis]) for found in picked]
    return picked[0], picked[1]


@lowers("aten::kthvalue")
def kthvalue(op: Emitter, x: ir.Value, *, k: int | ir.Value, dim: int = -1, keepdim: bool = False) -> Pair:
    """Take the k-th smallest element along an axis."""
    return _at_rank(op, x, k, dim, keepdim)


def _middle(op: Emitter, x: ir.Value, axis: int) -> int | ir.Value:
    size = op.size(x, axis) if op.rank(x) else 1
    return (size + 1) // 2 if isinstance(size, int) else op.Div(op.Add(size, [1]), [2])


@lowers("aten::median.dim")
def median_dim(op: Emitter, x: ir.Value, *, dim: int, keepdim: bool = False) -> Pair:
    """Take the lower median along an axis, or the first NaN if there is one."""
    values, positions = _at_rank(op, x, _middle(op, x, dim), dim, keepdim)
    if not _dtype(x).is_floating_point() or op.rank(x) == 0:
        return values, positions
    axis = dim % op.rank(x)
    missing = op.cast(op.IsNaN(x), ir.DataType.INT64)
    any_missing = op.cast(op.ReduceMax(missing, [axis], keepdims=int(keepdim)), ir.DataType.BOOL)
    first = op.ArgMax(missing, axis=axis, keepdims=int(keepdim))
    nan = op.const_like(np.nan, x)
    return op.Where(any_missing, nan, values), op.Where(any_missing, first, positions)


@lowers("aten::median")
def median(op: Emitter, x: ir.Value) -> ir.Value:
    """Take the lower median of all elements; a NaN among them is the answer."""
    elements = flat(op, x)
    value, _ = _at_rank(op, elements, _middle(op, elements, 0), 0, False)
    return _or_nan(op, elements, value)


def _or_nan(op: Emitter, elements: ir.Value, value: ir.Value) -> ir.Value:
    if not _dtype(elements).is_floating_point():
        return value
    missing = op.ReduceMax(op.cast(op.IsNaN(elements), ir.DataType.INT64), [0], keepdims=0)
    return op.Where(op.cast(missing, ir.DataType.BOOL), op.const_like(np.nan, elements), value)


@lowers("aten::mode")
def mode(op: Emitter, x: ir.Value, *, dim: int = -1, keepdim: bool = False) -> Pair:
    """Take the most frequent element along an axis, the smallest of several, and the last place where it stands."""
    if op.rank(x) == 0:
        return x, op.i64(0)
    rank = op.rank(x)
    axis = dim % rank
    ordered, places = sorted_along(op, x, axis, False)
    column, row = op.Unsqueeze(ordered, [axis + 1]), op.Unsqueeze(ordered, [axis])
    equal = op.cast(op.Equal(column, row), ir.DataType.INT64)
    counts = op.ReduceSum(equal, [axis + 1], keepdims=0)
    first = op.ArgMax(counts, axis=axis, keepdims=1)
    value = op.call("aten::gather", ordered, first, dim=axis)
    place = op.ReduceMax(op.Where(op.Equal(ordered, value), places, op.i64(-1)), [axis], keepdims=1)
    found = (value, place)
    return found if keepdim else (op.Squeeze(value, [axis]), op.Squeeze(place, [axis]))


# ---- searching -------------------------------------------------------------------------------------------------------


def _passed(op: Emitter, bounds: ir.Value, x: ir.Value, right: bool) -> ir.Value:
    """Count, along the last axis of ``bounds``, those that come before ``x``; NaNs come after everything."""
    bounds, x = op.promote(bounds, x)
    not_before = op.Greater(bounds, x) if right else op.GreaterOrEqual(bounds, x)
    counted = op.cast(op.Not(not_before), ir.DataType.INT64)
    return op.ReduceSum(counted, [op.rank(counted) - 1], keepdims=0)


def _int_dtype(out_int32: bool) -> ir.DataType:
    return ir.DataType.INT32 if out_int32 else ir.DataType.INT64


@lowers("aten::bucketize.Tensor")
def bucketize(
    op: Emitter, x: ir.Value, boundaries: ir.Value, *, out_int32: bool = False, right: bool = False
) -> ir.Value:
    """Say between which boundaries each element lies."""
    found = _passed(op, boundaries, op.Unsqueeze(x, [op.rank(x)]), right)
    return op.cast(found, _int_dtype(out_int32))


@lowers("aten::bucketize.Scalar")
def bucketize_scalar(
    op: Emitter, boundaries: ir.Value, *, self: Any, out_int32: bool = False, right: bool = False
) -> ir.Value:
    """Say between which boundaries a number lies."""
    x = op.const_like(self, boundaries) if _dtype(boundaries).is_floating_point() else op.const(self, _of(self))
    return op.cast(_passed(op, boundaries, x, right), _int_dtype(out_int32))


def _of(number: Any) -> ir.DataType:
    return ir.DataType.FLOAT if isinstance(number, float) else ir.DataType.INT64


@lowers("aten::searchsorted.Tensor")
def searchsorted(
    op: Emitter,
    ordered: ir.Value,
    x: ir.Value,
    sorter: ir.Value | None,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> ir.Value:
    """Say where each element would go in an ordered sequence, one sequence for each row or one for all."""
    if sorter is not None:
        ordered = op.call("aten::gather", ordered, sorter, dim=-1)
    if op.rank(ordered) > 1:
        ordered = op.Unsqueeze(ordered, [op.rank(ordered) - 1])
    found = _passed(op, ordered, op.Unsqueeze(x, [op.rank(x)]), right or side == "right")
    return op.cast(found, _int_dtype(out_int32))


@lowers("aten::searchsorted.Scalar")
def searchsorted_scalar(
    op: Emitter,
    ordered: ir.Value,
    sorter: ir.Value | None,
    *,
    self: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
) -> ir.Value:
    """Say where a number would go in an ordered sequence."""
    if sorter is not None:
        ordered = op.Gather(ordered, sorter, axis=0)
    x = op.const_like(self, ordered) if _dtype(ordered).is_floating_point() else op.const(self, _of(self))
    return op.cast(_passed(op, ordered, x, right or side == "right"), _int_dtype(out_int32))


@lowers("aten::isin.Tensor_Tensor")
def isin(
    op: Emitter,
    elements: ir.Value,
    test_elements: ir.Value,
    *,
    assume_unique: bool = False,
    invert: bool = False,
) -> ir.Value:
    """Say which elements are among others."""
    del assume_unique
    elements, test_elements = op.promote(elements, flat(op, test_elements))
    equal = op.Equal(op.Unsqueeze(elements, [op.rank(elements)]), test_elements)
    # A sum and not a maximum: there may be nothing to be among.
    found = op.ReduceSum(op.cast(equal, ir.DataType.INT64), [op.rank(elements)], keepdims=0)
    return op.Not(op.cast(found, ir.DataType.BOOL)) if invert else op.cast(found, ir.DataType.BOOL)


@lowers("aten::isin.Tensor_Scalar")
def isin_scalar(
    op: Emitter, elements: ir.Value, *, test_element: Any, assume_unique: bool = False, invert: bool = False
) -> ir.Value:
    """Say which elements equal a number."""
    del assume_unique
    left, right = op.promote(elements, test_element)
    return op.Not(op.Equal(left, right)) if invert else op.Equal(left, right)


@lowers("aten::isin.Scalar_Tensor")
def isin_of_scalar(
    op: Emitter, test_elements: ir.Value, *, element: Any, assume_unique: bool = False, invert: bool = False
) -> ir.Value:
    """Say whether a number is among elements."""
    del assume_unique
    left, right = op.promote(flat(op, test_elements), element)
    found = op.ReduceSum(op.cast(op.Equal(left, right), ir.DataType.INT64), [0], keepdims=0)
    return op.Not(op.cast(found, ir.DataType.BOOL)) if invert else op.cast(found, ir.DataType.BOOL)


# ---- unique ----------------------------------------------------------------------------------------------------------


def _unique(op: Emitter, x: ir.Value, axis: int | None) -> tuple[ir.Value, ir.Value, ir.Value]:
    options = {} if axis is None else {"axis": axis}
    carrier = op.cast(x, ir.DataType.INT64) if _dtype(x) == ir.DataType.BOOL else x
    found, _, inverse, counts = op.Unique(carrier, sorted=1, outputs=4, **options)
    if axis is not None and x.shape is not None:
        found.shape = ir.Shape([ir.SymbolicDim(None) if i == axis else dim for i, dim in enumerate(x.shape)])
    return op.cast(found, _dtype(x)), inverse, counts


def _unique_flat(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    found, inverse, counts = _unique(op, at_least(op, x, 1), None)
    return found, reshape_to(op, inverse, sizes_of(op, x), x.shape), counts


@lowers("aten::_unique2", since=11)
def unique(
    op: Emitter,
    x: ir.Value,
    *,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """List the distinct elements in order, where each element went, and how often each occurs."""
    del sorted
    found, inverse, counts = _unique_flat(op, x)
    nothing = op.i64([])
    return found, inverse if return_inverse else nothing, counts if return_counts else nothing


@lowers("aten::_unique", since=11)
def unique_with_inverse(op: Emitter, x: ir.Value, *, sorted: bool = True, return_inverse: bool = False) -> Pair:
    """List the distinct elements in order, and where each element went."""
    del sorted
    found, inverse, _ = _unique_flat(op, x)
    return found, inverse if return_inverse else op.i64([])


def _unique_by_sorting(op: Emitter, x: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    elements = flat(op, x)
    ordered, _ = sorted_along(op, elements, 0, False)
    differs = op.Not(op.Equal(op.Slice(ordered, [0], [-1], [0]), op.Slice(ordered, [1], [LAST], [0])))
    found, _, counts = _runs(op, ordered, differs, 0)
    smaller = op.Greater(op.Unsqueeze(elements, [1]), found)
    inverse = op.ReduceSum(op.cast(smaller, ir.DataType.INT64), [1], keepdims=0)
    return found, reshape_to(op, inverse, sizes_of(op, x), x.shape), counts


@lowers("aten::_unique2")
def unique_by_sorting(
    op: Emitter,
    x: ir.Value,
    *,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """List the distinct elements in order, before ONNX had Unique."""
    del sorted
    found, inverse, counts = _unique_by_sorting(op, x)
    nothing = op.i64([])
    return found, inverse if return_inverse else nothing, counts if return_counts else nothing


@lowers("aten::_unique")
def unique_with_inverse_by_sorting(
    op: Emitter, x: ir.Value, *, sorted: bool = True, return_inverse: bool = False
) -> Pair:
    """List the distinct elements in order, before ONNX had Unique."""
    del sorted
    found, inverse, _ = _unique_by_sorting(op, x)
    return found, inverse if return_inverse else op.i64([])


@lowers("aten::unique_dim", since=11)
def unique_dim(
    op: Emitter,
    x: ir.Value,
    *,
    dim: int,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """List the distinct slices along an axis in order, where each went, and how often each occurs."""
    del sorted, return_inverse, return_counts
    return _unique(op, x, dim % op.rank(x))


def _runs(op: Emitter, x: ir.Value, changed: ir.Value, axis: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return the first slice of each run along an axis, the run of each slice, and the runs' lengths."""
    starts = op.Concat(op.const([True], ir.DataType.BOOL), changed, axis=0)
    number = op.Sub(op.CumSum(op.cast(starts, ir.DataType.INT64), op.i64(0)), op.i64(1))
    places = flat(op, op.NonZero(starts))
    ends = op.Concat(op.Slice(places, [1], [LAST], [0]), op.vector(op.size(x, axis)), axis=0)
    return op.Compress(x, starts, axis=axis), number, op.Sub(ends, places)


@lowers("aten::unique_consecutive")
def unique_consecutive(
    op: Emitter,
    x: ir.Value,
    *,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """List the first of each run of equal elements (or slices), the run of each element, and the runs' lengths."""
    source = flat(op, x) if dim is None else x
    axis = 0 if dim is None else dim % op.rank(x)
    if op.dim(source, axis) == 0:
        raise op.cannot("an axis without elements has no runs")
    before, after = op.Slice(source, [0], [-1], [axis]), op.Slice(source, [1], [LAST], [axis])
    differs = op.Not(op.Equal(before, after))
    others = [i for i in range(op.rank(source)) if i != axis]
    if others:
        differs = op.cast(op.ReduceMax(op.cast(differs, ir.DataType.INT64), others, keepdims=0), ir.DataType.BOOL)
    found, number, lengths = _runs(op, source, differs, axis)
    if dim is None:
        number = reshape_to(op, number, sizes_of(op, x), x.shape)
    nothing = op.i64([])
    # PyTorch fills the inverse of the flattened form only when asked, that of an axis always.
    return (
        found,
        number if return_inverse or dim is not None else nothing,
        lengths if return_counts or dim is not None else nothing,
    )


# ---- counting --------------------------------------------------------------------------------------------------------


@lowers("aten::bincount")
def bincount(op: Emitter, x: ir.Value, weights: ir.Value | None, *, minlength: int | ir.Value = 0) -> ir.Value:
    """Count how often each number from zero on occurs, or add up its weights."""
    numbers = op.cast(x, ir.DataType.INT64)
    least = op.Sub(op.vector(minlength), op.i64([1]))
    largest = op.ReduceMax(op.Concat(numbers, least, axis=0), [0], keepdims=0)
    bins = op.Range(op.i64(0), op.Add(largest, op.i64(1)), op.i64(1))
    hit = op.Equal(op.Unsqueeze(bins, [1]), numbers)
    dtype = op.result().dtype
    if weights is None:
        return op.ReduceSum(op.cast(hit, ir.DataType.INT64), [1], keepdims=0)
    weighed = op.Where(hit, op.cast(weights, dtype), op.const(0, dtype))
    return op.ReduceSum(weighed, [1], keepdims=0)
