# SPDX-License-Identifier: Apache-2.0
"""Resampling to another size: nearest, linear and cubic, with and without antialiasing.

PyTorch takes the source coordinate from the scale factor where one is given and from the sizes where not
(aten/src/ATen/native/UpSample.h), which is what Resize does with its inputs ``scales`` and ``sizes``.
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
from .axis_products import product_along


@attrs.frozen
class Target:
    """What the last axes are resized to: sizes, or factors of theirs; ``lengths`` has what is static of the sizes."""

    axes: int
    sizes: list[Any] | None
    factors: list[float] | None
    lengths: list[int | None]
    stated: Sequence[float | None]
    """The factors as the caller gave them, in 64 bits."""

    def inputs(self, op: Emitter) -> dict[str, ir.Value]:
        """The inputs of Resize that say so, for the last axes."""
        if self.factors is not None:
            return {"scales": op.const(np.asarray(self.factors, dtype=np.float32), ir.DataType.FLOAT)}
        return {"sizes": op.i64(op.int_vector(self.sizes or []))}


def _representable(size: int | None, length: int | None, factor: float) -> float | None:
    """Return the factor in 32 bits that makes Resize come out at the same length, or None where none does."""
    if size is None or length is None:
        return factor
    single = np.float32(factor)
    for candidate in (single, np.nextafter(single, np.float32(np.inf)), np.nextafter(single, np.float32(0))):
        if math.floor(np.float32(size) * candidate) == length:
            return float(candidate)
    return None


def _target(op: Emitter, x: ir.Value, output_size: Any, scales: Sequence[Any] | None) -> Target:
    axes = op.rank(x) - 2
    sizes = None if output_size is None else [op.vector(n) if isinstance(n, ir.Value) else int(n) for n in output_size]
    lengths: list[int | None] = [None] * axes
    if sizes is not None:
        lengths = [size if isinstance(size, int) else None for size in sizes]
    shape = op.result().shape
    if shape is not None and len(shape) == axes + 2:
        known = [dim if isinstance(dim, int) else None for dim in list(shape)[2:]]
        lengths = [a if a is not None else b for a, b in zip(lengths, known, strict=True)]
    if scales is None or all(scale is None for scale in scales):
        if sizes is None:
            raise op.cannot("neither a size nor a scale factor is given")
        return Target(axes, sizes, None, lengths, [None] * axes)
    factors: list[float] = []
    for axis, scale in enumerate(scales):
        size, length = op.dim(x, axis + 2), lengths[axis]
        if isinstance(scale, ir.Value):
            raise op.cannot("a scale factor is only known at run time")
        if scale is None:
            if size is None or length is None:
                raise op.cannot("some axes have a scale factor and others a size that is only known at run time")
            scale = length / size
        factor = _representable(size, length, scale)
        if factor is None:
            # The size was rounded otherwise than the factor says; the coordinates then follow the sizes.
            return Target(axes, sizes if sizes is not None else lengths, None, lengths, scales)
        factors.append(factor)
    return Target(axes, sizes, factors, lengths, scales)


def _resize(op: Emitter, x: ir.Value, target: Target, **attributes: Any) -> ir.Value:
    rank = op.rank(x)
    dims = [op.dim(x, axis) for axis in range(2, rank)]
    if None not in dims and dims == target.lengths and (target.factors is None or set(target.factors) == {1.0}):
        return x
    inputs = target.inputs(op)
    return op.Resize(
        x,
        None,
        inputs.get("scales"),
        inputs.get("sizes"),
        axes=list(range(2, rank)),
        **attributes,
    )


# ---- nearest ---------------------------------------------------------------------------------------------------------


def nearest_places(size: int, length: int, factor: float | None, shift: float) -> np.ndarray:
    """Return the source position of each output position, computed in 32 bits as PyTorch does."""
    place = np.arange(length)
    if shift == 0.0 and length in (size, 2 * size):
        return place * size // length
    scale = np.float32(1.0 / factor) if factor is not None else np.float32(size) / np.float32(length)
    return np.minimum(np.floor((place.astype(np.float32) + np.float32(shift)) * scale), size - 1).astype(np.int64)


def _places_of_resize(size: int, length: int, factor: float | None, shift: float, kind: type) -> np.ndarray:
    scale = kind(np.float32(factor)) if factor is not None else kind(length) / kind(size)
    origin = (np.arange(length, dtype=kind) + kind(shift)) / scale - kind(shift)
    return np.minimum(np.floor(origin + kind(shift)), size - 1).astype(np.int64)


def _is_a_matter_of_rounding(size: int, length: int, factor: float | None, shift: float) -> bool:
    """Whether Resize may choose other pixels than PyTorch: a ratio that 32 or 64 bits round across a pixel's edge."""
    wanted = nearest_places(size, length, factor, shift)
    kinds = (np.float32, np.float64)
    return any((wanted != _places_of_resize(size, length, factor, shift, kind)).any() for kind in kinds)


def _nearest(op: Emitter, x: ir.Value, output_size: Any, scales: Sequence[Any] | None, exact: bool = False) -> ir.Value:
    """Take the pixel at floor(i * scale), or with ``exact`` at floor((i + 0.5) * scale)."""
    target = _target(op, x, output_size, scales)
    sizes = [op.dim(x, axis + 2) for axis in range(target.axes)]
    if None not in (*sizes, *target.lengths):
        shift = 0.5 if exact else 0.0
        numbers = [(*each, shift) for each in zip(sizes, target.lengths, target.stated, strict=True)]
        if any(_is_a_matter_of_rounding(*each) for each in numbers):
            for axis, each in enumerate(numbers):
                x = op.Gather(x, op.i64(nearest_places(*each)), axis=axis + 2)
            return x
    return _resize(
        op,
        x,
        target,
        mode="nearest",
        # Halves up, (i + 0.5) * scale - 0.5 is rounded to floor((i + 0.5) * scale).
        coordinate_transformation_mode="half_pixel" if exact else "asymmetric",
        nearest_mode="round_prefer_ceil" if exact else "floor",
    )


@lowers("aten::upsample_nearest1d.vec", "aten::upsample_nearest2d.vec", "aten::upsample_nearest3d.vec")
def upsample_nearest_vec(op: Emitter, x: ir.Value, *, output_size: Any, scale_factors: Any) -> ir.Value:
    """Lower nearest resampling to a size or by factors."""
    return _nearest(op, x, output_size, scale_factors)


@lowers("aten::upsample_nearest1d")
def upsample_nearest1d(op: Emitter, x: ir.Value, *, output_size: Any, scales: Any = None) -> ir.Value:
    """Lower nearest resampling of one axis."""
    return _nearest(op, x, output_size, [scales])


@lowers("aten::upsample_nearest2d")
def upsample_nearest2d(
    op: Emitter, x: ir.Value, *, output_size: Any, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower nearest resampling of two axes."""
    return _nearest(op, x, output_size, [scales_h, scales_w])


@lowers("aten::upsample_nearest3d")
def upsample_nearest3d(
    op: Emitter, x: ir.Value, *, output_size: Any, scales_d: Any = None, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower nearest resampling of three axes."""
    return _nearest(op, x, output_size, [scales_d, scales_h, scales_w])


@lowers(
    "aten::_upsample_nearest_exact1d.vec", "aten::_upsample_nearest_exact2d.vec", "aten::_upsample_nearest_exact3d.vec"
)
def upsample_nearest_exact_vec(op: Emitter, x: ir.Value, *, output_size: Any, scale_factors: Any) -> ir.Value:
    """Lower nearest resampling by pixel centres, to a size or by factors."""
    return _nearest(op, x, output_size, scale_factors, exact=True)


@lowers("aten::_upsample_nearest_exact1d")
def upsample_nearest_exact1d(op: Emitter, x: ir.Value, *, output_size: Any, scales: Any = None) -> ir.Value:
    """Lower nearest resampling by pixel centres of one axis."""
    return _nearest(op, x, output_size, [scales], exact=True)


@lowers("aten::_upsample_nearest_exact2d")
def upsample_nearest_exact2d(
    op: Emitter, x: ir.Value, *, output_size: Any, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower nearest resampling by pixel centres of two axes."""
    return _nearest(op, x, output_size, [scales_h, scales_w], exact=True)


@lowers("aten::_upsample_nearest_exact3d")
def upsample_nearest_exact3d(
    op: Emitter, x: ir.Value, *, output_size: Any, scales_d: Any = None, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower nearest resampling by pixel centres of three axes."""
    return _nearest(op, x, output_size, [scales_d, scales_h, scales_w], exact=True)


# ---- linear and cubic ------------------------------------------------------------------------------------------------


def _interpolated(
    op: Emitter, x: ir.Value, output_size: Any, scales: Sequence[Any] | None, align_corners: bool, mode: str
) -> ir.Value:
    target = _target(op, x, output_size, scales)
    return _resize(
        op,
        x,
        target,
        mode=mode,
        coordinate_transformation_mode="align_corners" if align_corners else "half_pixel",
        cubic_coeff_a=-0.75 if mode == "cubic" else None,
    )


@lowers("aten::upsample_linear1d.vec", "aten::upsample_bilinear2d.vec", "aten::upsample_trilinear3d.vec")
def upsample_linear_vec(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scale_factors: Any
) -> ir.Value:
    """Lower linear resampling to a size or by factors."""
    return _interpolated(op, x, output_size, scale_factors, align_corners, "linear")


@lowers("aten::upsample_linear1d")
def upsample_linear1d(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales: Any = None
) -> ir.Value:
    """Lower linear resampling of one axis."""
    return _interpolated(op, x, output_size, [scales], align_corners, "linear")


@lowers("aten::upsample_bilinear2d")
def upsample_bilinear2d(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower linear resampling of two axes."""
    return _interpolated(op, x, output_size, [scales_h, scales_w], align_corners, "linear")


@lowers("aten::upsample_trilinear3d")
def upsample_trilinear3d(
    op: Emitter,
    x: ir.Value,
    *,
    output_size: Any,
    align_corners: bool,
    scales_d: Any = None,
    scales_h: Any = None,
    scales_w: Any = None,
) -> ir.Value:
    """Lower linear resampling of three axes."""
    return _interpolated(op, x, output_size, [scales_d, scales_h, scales_w], align_corners, "linear")


@lowers("aten::upsample_bicubic2d.vec")
def upsample_bicubic2d_vec(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scale_factors: Any
) -> ir.Value:
    """Lower cubic resampling to a size or by factors."""
    return _interpolated(op, x, output_size, scale_factors, align_corners, "cubic")


@lowers("aten::upsample_bicubic2d")
def upsample_bicubic2d(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower cubic resampling of two axes."""
    return _interpolated(op, x, output_size, [scales_h, scales_w], align_corners, "cubic")


# ---- antialiased -----------------------------------------------------------------------------------------------------


@attrs.frozen
class Filter:
    """A resampling filter: how many pixels it spans at scale one, and its weight at a distance."""

    span: int
    weigh: Any


def _triangle(distance: np.ndarray) -> np.ndarray:
    return np.maximum(1.0 - np.abs(distance), 0.0)


def _cubic(distance: np.ndarray) -> np.ndarray:
    # With antialiasing PyTorch takes a = -0.5, as Pillow does, not the -0.75 of the plain filter.
    a, far = -0.5, np.abs(distance)
    near = ((a + 2.0) * far - (a + 3.0)) * far * far + 1.0
    return np.where(far < 1.0, near, np.where(far < 2.0, (((far - 5.0) * far + 8.0) * far - 4.0) * a, 0.0))


def _lanczos(distance: np.ndarray) -> np.ndarray:
    return np.where(np.abs(distance) < 3.0, np.sinc(distance) * np.sinc(distance / 3.0), 0.0)


LINEAR, CUBIC, LANCZOS = Filter(2, _triangle), Filter(4, _cubic), Filter(6, _lanczos)


def antialiasing_matrix(size: int, length: int, factor: float | None, align_corners: bool, kind: Filter) -> np.ndarray:
    """Return the weights (length x size) of aten/src/ATen/native/cpu/UpSampleKernel.cpp."""
    if align_corners:
        scale = (size - 1) / (length - 1) if length > 1 else 0.0
    else:
        scale = 1.0 / factor if factor is not None else size / length
    stretch = max(scale, 1.0)
    reach = kind.span * 0.5 * stretch
    centre = scale * (np.arange(length) + 0.5)
    first = np.maximum((centre - reach + 0.5).astype(np.int64), 0)[:, None]
    last = np.minimum((centre + reach + 0.5).astype(np.int64), size)[:, None]
    place = np.arange(size)[None, :]
    weights = kind.weigh((place - centre[:, None] + 0.5) / stretch)
    weights = np.where((place >= first) & (place < last), weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def _antialiased(
    op: Emitter, x: ir.Value, output_size: Any, scales: Sequence[Any] | None, align_corners: bool, kind: Filter
) -> ir.Value:
    """Multiply each axis by its weights where the sizes are static; else ask Resize, which knows no Lanczos filter."""
    target = _target(op, x, output_size, scales)
    sizes = [op.dim(x, axis + 2) for axis in range(target.axes)]
    if None not in (*sizes, *target.lengths):
        for axis, (size, length, factor) in enumerate(zip(sizes, target.lengths, target.stated, strict=True)):
            matrix = antialiasing_matrix(size, length, factor, align_corners, kind)
            x = product_along(op, x, axis - target.axes, matrix)
        return x
    if kind is LANCZOS or align_corners:
        raise op.cannot("antialiasing with this filter needs sizes that are static")
    return _resize(
        op,
        x,
        target,
        mode="linear" if kind is LINEAR else "cubic",
        coordinate_transformation_mode="half_pixel",
        antialias=1,
        cubic_coeff_a=-0.5 if kind is CUBIC else None,
        exclude_outside=1,
    )


@lowers("aten::_upsample_bilinear2d_aa.vec")
def upsample_bilinear2d_aa_vec(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scale_factors: Any
) -> ir.Value:
    """Lower antialiased linear resampling to a size or by factors."""
    return _antialiased(op, x, output_size, scale_factors, align_corners, LINEAR)


@lowers("aten::_upsample_bilinear2d_aa")
def upsample_bilinear2d_aa(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower antialiased linear resampling."""
    return _antialiased(op, x, output_size, [scales_h, scales_w], align_corners, LINEAR)


@lowers("aten::_upsample_bicubic2d_aa.vec")
def upsample_bicubic2d_aa_vec(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scale_factors: Any
) -> ir.Value:
    """Lower antialiased cubic resampling to a size or by factors."""
    return _antialiased(op, x, output_size, scale_factors, align_corners, CUBIC)


@lowers("aten::_upsample_bicubic2d_aa")
def upsample_bicubic2d_aa(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower antialiased cubic resampling."""
    return _antialiased(op, x, output_size, [scales_h, scales_w], align_corners, CUBIC)


@lowers("aten::_upsample_lanczos2d_aa.vec")
def upsample_lanczos2d_aa_vec(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scale_factors: Any
) -> ir.Value:
    """Lower antialiased Lanczos resampling to a size or by factors."""
    return _antialiased(op, x, output_size, scale_factors, align_corners, LANCZOS)


@lowers("aten::_upsample_lanczos2d_aa")
def upsample_lanczos2d_aa(
    op: Emitter, x: ir.Value, *, output_size: Any, align_corners: bool, scales_h: Any = None, scales_w: Any = None
) -> ir.Value:
    """Lower antialiased Lanczos resampling."""
    return _antialiased(op, x, output_size, [scales_h, scales_w], align_corners, LANCZOS)
