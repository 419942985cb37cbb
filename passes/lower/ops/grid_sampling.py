# SPDX-License-Identifier: Apache-2.0
"""Sampling at points of one's own: grid_sample, and the grids that affine maps make."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import product

_MODES = ("linear", "nearest", "cubic")
_PADDINGS = ("zeros", "border", "reflection")


@lowers("aten::grid_sampler_2d", since=16)
def grid_sampler_2d(
    op: Emitter, x: ir.Value, grid: ir.Value, *, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> ir.Value:
    """Lower the sampling of images to GridSample, or by parts in 64 bits where the runtime has it in 32 only."""
    if x.dtype == ir.DataType.DOUBLE and not op.runs("GridSample", x.dtype):
        return grid_sampler_by_parts(
            op,
            x,
            grid,
            interpolation_mode=interpolation_mode,
            padding_mode=padding_mode,
            align_corners=align_corners,
        )
    return op.GridSample(
        x,
        grid,
        mode=_MODES[interpolation_mode],
        padding_mode=_PADDINGS[padding_mode],
        align_corners=int(align_corners),
    )


@lowers("aten::grid_sampler", since=20)
@lowers("aten::grid_sampler_3d", since=20)
def grid_sampler_3d(
    op: Emitter, x: ir.Value, grid: ir.Value, *, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> ir.Value:
    """Lower the sampling of images and volumes to GridSample, which takes volumes from 20 on."""
    return grid_sampler_2d(
        op,
        x,
        grid,
        interpolation_mode=interpolation_mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
    )


@lowers("aten::grid_sampler", since=16)
def grid_sampler_16(
    op: Emitter, x: ir.Value, grid: ir.Value, *, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> ir.Value:
    """Lower the sampling of images to GridSample, and that of volumes to gathered neighbours."""
    sample = grid_sampler_2d if op.rank(x) == 4 else grid_sampler_by_parts
    return sample(
        op,
        x,
        grid,
        interpolation_mode=interpolation_mode,
        padding_mode=padding_mode,
        align_corners=align_corners,
    )


@attrs.frozen
class Tap:
    """A neighbour of the sampled points along one axis: where it is (a whole number, as float) and its weight."""

    place: ir.Value
    weight: ir.Value | None


@attrs.frozen
class _Axis:
    """One axis of the sampled image: its size as a float of the grid's type."""

    size: ir.Value
    align_corners: bool

    def source(self, op: Emitter, point: ir.Value) -> ir.Value:
        """Turn a coordinate in -1..1 into one in pixels."""
        if self.align_corners:
            return op.Mul(op.Add(point, 1.0), op.Mul(op.Sub(self.size, 1.0), 0.5))
        return op.Mul(op.Sub(op.Mul(op.Add(point, 1.0), self.size), 1.0), 0.5)

    def last(self, op: Emitter) -> ir.Value:
        return op.Sub(self.size, 1.0)

    def clipped(self, op: Emitter, place: ir.Value) -> ir.Value:
        return op.Min(op.Max(place, op.const(0, place.dtype)), self.last(op))

    def reflected(self, op: Emitter, place: ir.Value) -> ir.Value:
        """Mirror a coordinate at the borders: pixel centres with align_corners, else pixel edges."""
        low = op.const(0.0 if self.align_corners else -0.5, place.dtype)
        span = self.last(op) if self.align_corners else self.size
        distance = op.Abs(op.Sub(place, low))
        safe = op.Max(span, op.const(1e-6, place.dtype))
        turns = op.Floor(op.Div(distance, safe))
        rest = op.Sub(distance, op.Mul(turns, safe))
        odd = op.Sub(turns, op.Mul(op.Floor(op.Div(turns, 2.0)), 2.0))
        folded = op.Where(op.Equal(op.cast(odd, ir.DataType.INT64), op.i64(1)), op.Sub(safe, rest), rest)
        return self.clipped(op, op.Add(folded, low))

    def inside(self, op: Emitter, place: ir.Value) -> ir.Value:
        above = op.Not(op.Less(place, op.const(0, place.dtype)))
        return op.And(above, op.Less(place, self.size))


def _padded(op: Emitter, axis: _Axis, place: ir.Value, padding: str) -> ir.Value:
    if padding == "border":
        return axis.clipped(op, place)
    return axis.reflected(op, place) if padding == "reflection" else place


def _cubic_weights(op: Emitter, t: ir.Value) -> list[ir.Value]:
    """Return the four weights of the cubic filter with a = -0.75 (aten/src/ATen/native/UpSample.h)."""
    a = -0.75

    def near(distance: ir.Value) -> ir.Value:
        inner = op.Sub(op.Mul(distance, a + 2.0), a + 3.0)
        return op.Add(op.Mul(op.Mul(inner, distance), distance), 1.0)

    def far(distance: ir.Value) -> ir.Value:
        inner = op.Add(op.Mul(op.Sub(op.Mul(distance, a), 5.0 * a), distance), 8.0 * a)
        return op.Sub(op.Mul(inner, distance), 4.0 * a)

    rest = op.Sub(op.const(1.0, t.dtype), t)
    return [far(op.Add(t, 1.0)), near(t), near(rest), far(op.Add(rest, 1.0))]


def _taps(op: Emitter, axis: _Axis, point: ir.Value, mode: str, padding: str) -> list[Tap]:
    source = axis.source(op, point)
    if mode != "cubic":
        source = _padded(op, axis, source, padding)
    if mode == "nearest":
        return [Tap(op.Round(source), None)]
    low = op.Floor(source)
    fraction = op.Sub(source, low)
    if mode == "linear":
        return [Tap(low, op.Sub(op.const(1.0, fraction.dtype), fraction)), Tap(op.Add(low, 1.0), fraction)]
    places = [op.Add(low, float(step)) if step else low for step in (-1, 0, 1, 2)]
    return [
        Tap(_padded(op, axis, place, padding), weight)
        for place, weight in zip(places, _cubic_weights(op, fraction), strict=True)
    ]


def _gathered(op: Emitter, flat: ir.Value, taps: Sequence[Tap], axes: Sequence[_Axis], zeros: bool) -> ir.Value:
    """Take one neighbour of every point (batch x channels x points), weighted; outside the image it is zero."""
    place: ir.Value | None = None
    weight: ir.Value | None = None
    for tap, axis in zip(taps, axes, strict=True):
        index = op.cast(axis.clipped(op, tap.place), ir.DataType.INT64)
        place = index if place is None else op.Add(op.Mul(place, op.cast(axis.size, ir.DataType.INT64)), index)
        factors = [] if tap.weight is None else [tap.weight]
        if zeros:
            factors.append(op.cast(axis.inside(op, tap.place), flat.dtype))
        for factor in factors:
            weight = factor if weight is None else op.Mul(weight, factor)
    assert place is not None
    channels = op.int_vector([1, op.size(flat, 1), 1])
    index = op.Expand(op.Unsqueeze(place, [1]), op.i64(channels))
    values = op.GatherElements(flat, index, axis=2)
    return values if weight is None else op.Mul(values, op.Unsqueeze(weight, [1]))


@lowers("aten::grid_sampler", "aten::grid_sampler_2d", "aten::grid_sampler_3d")
def grid_sampler_by_parts(
    op: Emitter, x: ir.Value, grid: ir.Value, *, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> ir.Value:
    """Lower sampling to the weighted neighbours of each point, for the opsets that lack GridSample."""
    mode, padding = _MODES[interpolation_mode], _PADDINGS[padding_mode]
    spatial = op.rank(x) - 2
    dtype = x.dtype
    sizes = [op.size(x, axis) for axis in range(2, spatial + 2)]
    axes = [_Axis(op.const(n, dtype) if isinstance(n, int) else op.cast(n, dtype), align_corners) for n in sizes]
    flat = op.Reshape(x, op.i64([0, 0, -1]))
    points = op.Reshape(op.cast(grid, dtype), op.i64([0, -1, spatial]))
    # The grid names the last axis first.
    along = [
        _taps(op, axis, op.Gather(points, op.i64(spatial - 1 - number), axis=2), mode, padding)
        for number, axis in enumerate(axes)
    ]
    total: ir.Value | None = None
    for chosen in itertools.product(*along):
        value = _gathered(op, flat, chosen, axes, padding == "zeros")
        total = value if total is None else op.Add(total, value)
    outer = [op.size(grid, axis) for axis in range(1, spatial + 1)]
    return op.Reshape(total, op.i64(op.int_vector([op.size(x, 0), op.size(x, 1), *outer])))


# ---- grids -----------------------------------------------------------------------------------------------------------


@lowers("aten::affine_grid_generator", since=20)
def affine_grid(op: Emitter, theta: ir.Value, *, size: Any, align_corners: bool) -> ir.Value:
    """Lower the grid of an affine map to AffineGrid."""
    if align_corners and not all(isinstance(n, int) and n > 1 for n in list(size)[2:]):
        # A single pixel lies in the middle for PyTorch, at the edge for the operator.
        return affine_grid_by_product(op, theta, size=size, align_corners=align_corners)
    return op.AffineGrid(theta, op.i64(op.int_vector(size)), align_corners=int(align_corners))


def _centres(op: Emitter, count: Any, align_corners: bool, dtype: ir.DataType) -> ir.Value:
    """Return the coordinates in -1..1 of the pixels along an axis."""
    if isinstance(count, int):
        index = np.arange(count)
        if not align_corners:
            return op.const((2 * index + 1) / count - 1, dtype)
        return op.const(2 * index / (count - 1) - 1 if count > 1 else index * 0.0, dtype)
    place = op.cast(op.Range(op.i64(0), op.scalar(count), op.i64(1)), dtype)
    length = op.cast(op.scalar(count), dtype)
    if not align_corners:
        return op.Sub(op.Div(op.Add(op.Mul(place, 2.0), 1.0), length), 1.0)
    whole = op.Max(op.Sub(length, 1.0), op.const(1.0, dtype))
    return op.Sub(op.Div(op.Mul(place, 2.0), whole), op.cast(op.Greater(length, 1.0), dtype))


@lowers("aten::affine_grid_generator")
def affine_grid_by_product(op: Emitter, theta: ir.Value, *, size: Any, align_corners: bool) -> ir.Value:
    """Lower the grid of an affine map to the product of all pixel centres with the map."""
    outer = [op.vector(n) if isinstance(n, ir.Value) else n for n in list(size)[2:]]
    spatial = len(outer)
    dtype = theta.dtype
    shape = op.i64(op.int_vector([*outer, 1]))
    columns = []
    for axis in reversed(range(spatial)):
        lay = [1] * (spatial + 1)
        lay[axis] = -1
        column = op.Reshape(_centres(op, outer[axis], align_corners, dtype), op.i64(lay))
        columns.append(op.Expand(column, shape))
    columns.append(op.Expand(op.const(1.0, dtype), shape))
    base = op.Reshape(op.Concat(*columns, axis=spatial), op.i64(op.int_vector([product(op, outer), spatial + 1])))
    moved = op.MatMul(base, op.Transpose(theta, perm=[0, 2, 1]))
    return op.Reshape(moved, op.i64(op.int_vector([op.size(theta, 0), *outer, spatial])))
