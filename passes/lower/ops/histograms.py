# SPDX-License-Identifier: Apache-2.0
"""Histograms: of one axis, by intervals of equal width or by given edges, and of several axes at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import dtype_of
from .views import flat, reshape_to

_INT64 = ir.DataType.INT64


@lowers("aten::histc")
def histc(op: Emitter, x: ir.Value, *, bins: int = 100, min: float = 0, max: float = 0) -> ir.Value:
    """Count the elements in intervals of equal width; without bounds those of the elements are used."""
    elements = flat(op, x)
    if min != max:
        lowest, highest = op.const_like(min, x), op.const_like(max, x)
    else:
        lowest = op.ReduceMin(elements, [0], keepdims=0)
        highest = op.ReduceMax(elements, [0], keepdims=0)
        same = op.Equal(lowest, highest)
        one = op.const_like(1, x)
        lowest, highest = op.Where(same, op.Sub(lowest, one), lowest), op.Where(same, op.Add(highest, one), highest)
    # The position as PyTorch computes it, so that what lies on an edge goes the same way.
    scaled = op.Div(op.Mul(op.Sub(elements, lowest), op.const_like(bins, x)), op.Sub(highest, lowest))
    place = op.Min(op.cast(scaled, ir.DataType.INT64), op.i64(bins - 1))
    inside = op.And(op.GreaterOrEqual(elements, lowest), op.Not(op.Greater(elements, highest)))
    hit = op.And(op.Equal(op.i64(np.arange(bins)[:, None]), place), inside)
    return op.ReduceSum(op.cast(hit, dtype_of(x)), [1], keepdims=0)


def _outer_edges(op: Emitter, elements: ir.Value, bounds: Sequence[float] | None) -> tuple[ir.Value, ir.Value]:
    """Return where the first interval begins and the last one ends, by PyTorch's rule."""
    if bounds is not None:
        lowest, highest = (float(bound) for bound in bounds)
        if lowest == highest:
            lowest, highest = lowest - 0.5, highest + 0.5
        return op.const_like(lowest, elements), op.const_like(highest, elements)
    count = op.dim(elements, 0)
    if count == 0:
        return op.const_like(0, elements), op.const_like(1, elements)
    lowest, highest = op.ReduceMin(elements, [0], keepdims=0), op.ReduceMax(elements, [0], keepdims=0)
    same = op.Equal(lowest, highest)
    half = op.const_like(0.5, elements)
    return op.Where(same, op.Sub(lowest, half), lowest), op.Where(same, op.Add(highest, half), highest)


def _edges(op: Emitter, lowest: ir.Value, highest: ir.Value, bins: int) -> ir.Value:
    """Return the edges of intervals of equal width, counted from both ends like PyTorch's ``linspace``."""
    step = op.Div(op.Sub(highest, lowest), op.const_like(bins, lowest))
    index = np.arange(bins + 1)
    rising = op.Add(lowest, op.Mul(step, op.const_like(index, lowest)))
    falling = op.Sub(highest, op.Mul(step, op.const_like(bins - index, lowest)))
    return op.Where(op.const(index < (bins + 1) // 2, ir.DataType.BOOL), rising, falling)


def _in_interval(op: Emitter, elements: ir.Value, edges: ir.Value) -> ir.Value:
    """Whether each element lies in each interval, a row for an element; the last interval includes its end."""
    column = op.Unsqueeze(elements, [1])
    lower = op.Slice(edges, [0], [-1], [0])
    upper = op.Slice(edges, [1], [2**63 - 1], [0])
    below_end = op.Less(column, upper)
    at_end = op.And(op.Equal(column, upper), op.Equal(upper, op.Slice(edges, [-1], [2**63 - 1], [0])))
    return op.And(op.GreaterOrEqual(column, lower), op.Or(below_end, at_end))


def _totals(op: Emitter, hits: ir.Value, weight: ir.Value | None, dtype: ir.DataType) -> ir.Value:
    counted = op.cast(hits, dtype)
    if weight is None:
        return op.ReduceSum(counted, [0], keepdims=0)
    row = op.Unsqueeze(op.cast(flat(op, weight), dtype), [0])
    return op.Squeeze(op.MatMul(row, counted), [0])


def _widths(op: Emitter, edges: ir.Value) -> ir.Value:
    return op.Sub(op.Slice(edges, [1], [2**63 - 1], [0]), op.Slice(edges, [0], [-1], [0]))


def _histogram(op: Emitter, elements: ir.Value, edges: ir.Value, weight: ir.Value | None, density: bool) -> ir.Value:
    counts = _totals(op, _in_interval(op, elements, edges), weight, dtype_of(elements))
    if not density:
        return counts
    return op.Div(op.Div(counts, op.ReduceSum(counts, [0], keepdims=0)), _widths(op, edges))


@lowers("aten::histogram.bin_ct")
def histogram(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    *,
    bins: int = 100,
    range: Sequence[float] | None = None,
    density: bool = False,
) -> tuple[ir.Value, ir.Value]:
    """Count the elements in intervals of equal width."""
    elements = flat(op, x)
    edges = _edges(op, *_outer_edges(op, elements, range), bins)
    return _histogram(op, elements, edges, weight, density), edges


@lowers("aten::histogram.bins_tensor")
def histogram_by_edges(
    op: Emitter, x: ir.Value, edges: ir.Value, weight: ir.Value | None = None, *, density: bool = False
) -> tuple[ir.Value, ir.Value]:
    """Count the elements in intervals of given edges."""
    return _histogram(op, flat(op, x), edges, weight, density), edges


# ---- several axes ----------------------------------------------------------------------------------------------------


def _coordinates(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    """Return one coordinate of all points."""
    points = reshape_to(op, x, [-1, op.size(x, op.rank(x) - 1)])
    return op.Gather(points, op.i64(axis), axis=1)


def _ranges(bounds: Sequence[float] | None, axes: int) -> list[Sequence[float] | None]:
    return [None if bounds is None else bounds[2 * axis : 2 * axis + 2] for axis in range(axes)]


@lowers("aten::_histogramdd_bin_edges")
def histogramdd_edges(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    *,
    bins: Sequence[int],
    range: Sequence[float] | None = None,
    density: bool = False,
) -> list[ir.Value]:
    """Return the edges of the intervals of every axis."""
    return [
        _edges(op, *_outer_edges(op, _coordinates(op, x, axis), bounds), count)
        for axis, (count, bounds) in enumerate(zip(bins, _ranges(range, len(bins)), strict=True))
    ]


def _joint(
    op: Emitter,
    x: ir.Value,
    places: Sequence[ir.Value],
    inside: Sequence[ir.Value],
    counts: Sequence[int],
    weight: ir.Value | None,
) -> ir.Value:
    """Count points by the interval that they are in along each axis."""
    place, kept = places[0], inside[0]
    for other, held, count in zip(places[1:], inside[1:], counts[1:], strict=True):
        place, kept = op.Add(op.Mul(place, op.i64(count)), other), op.And(kept, held)
    hits = op.And(op.Equal(op.Unsqueeze(place, [1]), op.i64(np.arange(math.prod(counts)))), op.Unsqueeze(kept, [1]))
    return op.Reshape(_totals(op, hits, weight, dtype_of(x)), op.i64(list(counts)))


def _as_density(op: Emitter, totals: ir.Value, edges: Sequence[ir.Value]) -> ir.Value:
    shares = op.Div(totals, op.ReduceSum(totals, None, keepdims=0))
    for axis, own in enumerate(edges):
        trailing = list(range(1, len(edges) - axis))
        widths = _widths(op, own)
        shares = op.Div(shares, op.Unsqueeze(widths, trailing) if trailing else widths)
    return shares


@lowers("aten::_histogramdd_from_bin_cts")
def histogramdd(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value | None = None,
    *,
    bins: Sequence[int],
    range: Sequence[float] | None = None,
    density: bool = False,
) -> ir.Value:
    """Count points in boxes of equal sizes."""
    places, inside, edges = [], [], []
    for axis, (count, bounds) in enumerate(zip(bins, _ranges(range, len(bins)), strict=True)):
        elements = _coordinates(op, x, axis)
        lowest, highest = _outer_edges(op, elements, bounds)
        # The position as PyTorch computes it, so that what lies on an edge goes the same way.
        scaled = op.Div(op.Mul(op.Sub(elements, lowest), op.const_like(count, x)), op.Sub(highest, lowest))
        held = op.And(op.GreaterOrEqual(elements, lowest), op.LessOrEqual(elements, highest))
        whole = op.cast(op.Where(held, scaled, op.const_like(0, x)), _INT64)
        places.append(op.Min(whole, op.i64(count - 1)))
        inside.append(held)
        edges.append(_edges(op, lowest, highest, count))
    totals = _joint(op, x, places, inside, bins, weight)
    return _as_density(op, totals, edges) if density else totals


@lowers("aten::_histogramdd_from_bin_tensors")
def histogramdd_by_edges(
    op: Emitter, x: ir.Value, bins: Sequence[ir.Value], weight: ir.Value | None = None, *, density: bool = False
) -> ir.Value:
    """Count points in boxes of given edges."""
    places, inside, counts = [], [], []
    for axis, edges in enumerate(bins):
        length = op.dim(edges, 0)
        if length is None:
            raise op.cannot("how many intervals there are is only known at run time")
        hits = op.cast(_in_interval(op, _coordinates(op, x, axis), edges), _INT64)
        inside.append(op.cast(op.ReduceMax(hits, [1], keepdims=0), ir.DataType.BOOL))
        places.append(op.ArgMax(hits, axis=1, keepdims=0))
        counts.append(length - 1)
    totals = _joint(op, x, places, inside, counts, weight)
    return _as_density(op, totals, bins) if density else totals
