# SPDX-License-Identifier: Apache-2.0
"""Resize before its newest form: Resize 13, 11 and 10, and Upsample 9 and 7.

What an opset cannot say is computed where the sizes are static: each axis by itself, nearest pixels by Gather, and
weighted ones by a product with a matrix of the weights.  Coordinates and weights follow the Resize page of ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import onnx_ir as ir

from ..registry import spells
from ..shapes import constant_ints, constant_of
from .axes import moved_back, moved_to_the_end
from .forms import alike, as_is, dtype_of, index_vector

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand


@attrs.frozen(kw_only=True)
class Manner:
    """How Resize chooses and weighs the pixels; the attributes of its newest form."""

    antialias: int = 0
    coordinate_transformation_mode: str = "half_pixel"
    cubic_coeff_a: float = -0.75
    exclude_outside: int = 0
    extrapolation_value: float = 0.0
    keep_aspect_ratio_policy: str = "stretch"
    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"

    @property
    def matters(self) -> dict[str, Any]:
        """The attributes of Resize 11 that make a difference here."""
        found: dict[str, Any] = {
            "mode": self.mode,
            "coordinate_transformation_mode": self.coordinate_transformation_mode,
        }
        if self.mode == "nearest":
            found["nearest_mode"] = self.nearest_mode
        if self.mode == "cubic":
            found |= {"cubic_coeff_a": self.cubic_coeff_a, "exclude_outside": self.exclude_outside}
        if self.coordinate_transformation_mode == "tf_crop_and_resize":
            found["extrapolation_value"] = self.extrapolation_value
        return found

    def origins(self, size: int, length: int, scale: float) -> np.ndarray:
        """Return the coordinate in the input of each output position along an axis, in 32 bits as runtimes do."""
        position = np.arange(length, dtype=np.float32)
        ratio = np.float32(scale)
        mode = self.coordinate_transformation_mode
        if mode == "asymmetric":
            return position / ratio
        if mode == "align_corners":
            return position * (size - 1) / (length - 1) if length > 1 else position * 0
        if mode == "pytorch_half_pixel" and length == 1:
            return position * 0
        shift = np.float32(0)
        if mode == "half_pixel_symmetric":
            shift = np.float32(size / 2) * (1 - np.float32(length) / (ratio * np.float32(size)))
        return shift + (position + 0.5) / ratio - 0.5

    def nearest(self, origins: np.ndarray, size: int) -> np.ndarray:
        """Return the nearest input position of each coordinate."""
        if self.nearest_mode == "floor":
            found = np.floor(origins)
        elif self.nearest_mode == "ceil":
            found = np.ceil(origins)
        elif self.nearest_mode == "round_prefer_ceil":
            found = np.floor(origins + 0.5)
        else:
            found = np.ceil(origins - 0.5)
        return np.clip(found, 0, size - 1).astype(np.int64)

    def _filter(self, distance: np.ndarray) -> np.ndarray:
        far = np.abs(distance)
        if self.mode == "linear":
            return np.maximum(0, 1 - far)
        a = self.cubic_coeff_a
        inner = (a + 2) * far**3 - (a + 3) * far**2 + 1
        outer = a * far**3 - 5 * a * far**2 + 8 * a * far - 4 * a
        return np.where(far < 1, inner, np.where(far < 2, outer, 0))

    def weights(self, size: int, length: int, scale: float) -> np.ndarray:
        """Return the weight of each input position (row) in each output position (column)."""
        # Shrinking with antialias widens the filter to as many pixels as one output pixel covers.
        narrow = min(scale, 1.0) if self.antialias else 1.0
        reach = math.ceil((1 if self.mode == "linear" else 2) / narrow) + 1
        exclude = bool(self.exclude_outside) and (self.mode == "cubic" or bool(self.antialias))
        matrix = np.zeros((size, length))
        for column, origin in enumerate(self.origins(size, length, scale)):
            taps = np.arange(math.floor(origin) - reach, math.floor(origin) + reach + 2)
            weight = self._filter((taps - origin) * narrow)
            if exclude:
                weight = np.where((taps >= 0) & (taps < size), weight, 0)
            if exclude or narrow < 1:
                weight = weight / weight.sum()
            np.add.at(matrix[:, column], np.clip(taps, 0, size - 1), weight)
        return matrix


@attrs.frozen
class _Axis:
    """One axis that changes: its number, how long it is and gets, and the scale that the coordinates follow."""

    number: int
    size: int | None
    length: int | None
    scale: float | None


def _changing_axes(
    op: Emitter, x: ir.Value, scales: ir.Value | None, sizes: ir.Value | None, axes: Sequence[int]
) -> list[_Axis]:
    factors, lengths = constant_of(scales), constant_ints(sizes)
    found = []
    for index, number in enumerate(axes):
        size = op.dim(x, number)
        if sizes is not None:
            length = lengths[index] if lengths is not None else None
            scale = length / size if length is not None and size else None
            changes = length is None or length != size
        else:
            scale = float(factors[index]) if factors is not None else None
            length = math.floor(size * scale) if size is not None and scale is not None else None
            changes = scale != 1
        if changes:
            found.append(_Axis(number, size, length, scale))
    return found


def _by_parts(op: Emitter, x: ir.Value, manner: Manner, axes: Sequence[_Axis]) -> ir.Value | None:
    """Resize axis by axis with constants; ``None`` where a size is not static."""
    if manner.keep_aspect_ratio_policy != "stretch" or manner.coordinate_transformation_mode == "tf_crop_and_resize":
        return None
    if any(axis.size is None or axis.length is None or axis.scale is None for axis in axes):
        return None
    for axis in axes:
        size, length, scale = axis.size or 0, axis.length or 0, axis.scale or 0.0
        if manner.mode == "nearest":
            origins = manner.origins(size, length, scale)
            x = op.Gather(x, manner.nearest(origins, size).tolist(), axis=axis.number)
            continue
        moved, order = moved_to_the_end(op, x, axis.number)
        weights = op.const(manner.weights(size, length, scale), dtype_of(x))
        x = moved_back(op, op.MatMul(moved, weights), order)
    return x


def _of_every_axis(op: Emitter, x: ir.Value, given: ir.Value, axes: Sequence[int], others: Sequence[Any]) -> ir.Value:
    """Return scales or sizes for every axis: given for some, ``others`` (one for each axis) for the rest."""
    place = {axis: index for index, axis in enumerate(axes)}
    constant = constant_of(given)
    items = [
        others[axis]
        if axis not in place
        else constant[place[axis]].item()
        if constant is not None
        else op.Gather(given, [place[axis]])
        for axis in range(op.rank(x))
    ]
    if all(not isinstance(item, ir.Value) for item in items):
        return op.const(items, dtype_of(given))
    return op.Concat(*(i if isinstance(i, ir.Value) else op.const([i], dtype_of(given)) for i in items), axis=0)


@attrs.frozen
class _Request:
    """A Resize with every axis stated."""

    x: ir.Value
    roi: Operand
    scales: ir.Value | None
    sizes: ir.Value | None
    manner: Manner
    axes: Sequence[_Axis]

    @classmethod
    def of(cls, op: Emitter, X: Operand, roi: Operand, scales: Operand, sizes: Operand, attributes: Any) -> _Request:
        (x,) = alike(op, X)
        rank = op.rank(x)
        attributes = dict(attributes)
        stated = attributes.pop("axes", None)
        axes = range(rank) if stated is None else [axis % rank for axis in stated]
        manner = Manner(**{name: value for name, value in attributes.items() if value is not None})
        factors = None if scales is None else scales if isinstance(scales, ir.Value) else _floats(op, scales)
        lengths = index_vector(op, sizes)
        changing = _changing_axes(op, x, factors, lengths, axes)
        if stated is not None and factors is not None:
            factors = _of_every_axis(op, x, factors, axes, [1.0] * rank)
        if stated is not None and lengths is not None:
            lengths = _of_every_axis(op, x, lengths, axes, [op.size(x, axis) for axis in range(rank)])
        if stated is not None and roi is not None:
            raise op.cannot("Resize of a region along some axes needs opset 18")
        return cls(x, roi, factors, lengths, manner, changing)

    @property
    def is_newer_than_13(self) -> bool:
        """Whether Resize 11 and 13 cannot say this."""
        manner = self.manner
        return bool(
            manner.antialias
            or manner.keep_aspect_ratio_policy != "stretch"
            or manner.coordinate_transformation_mode == "half_pixel_symmetric"
        )


def _floats(op: Emitter, values: Sequence[float]) -> ir.Value:
    return op.const([float(value) for value in values], ir.DataType.FLOAT)


def _by_parts_or_not(op: Emitter, request: _Request, since: int) -> ir.Value:
    result = _by_parts(op, request.x, request.manner, request.axes)
    if result is None:
        raise op.cannot(f"this Resize of an input whose size is only known at run time needs opset {since}")
    return result


as_is("Resize", since=19)


@spells("Resize", since=18)
def resize_18(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Resize 18: without half_pixel_symmetric."""
    if attributes.get("coordinate_transformation_mode") == "half_pixel_symmetric":
        return _by_parts_or_not(op, _Request.of(op, X, roi, scales, sizes, attributes), 19)
    return op.raw("Resize", X, roi, scales, index_vector(op, sizes), **attributes)


@spells("Resize", since=13)
def resize_13(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Resize 13: of every axis, without antialiasing."""
    request = _Request.of(op, X, roi, scales, sizes, attributes)
    if request.is_newer_than_13:
        return _by_parts_or_not(op, request, 18)
    return op.raw("Resize", request.x, roi, request.scales, request.sizes, **request.manner.matters)


@spells("Resize", since=11)
def resize_11(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Resize 11: every input but the sizes must be there; one that says nothing is empty."""
    request = _Request.of(op, X, roi, scales, sizes, attributes)
    if request.is_newer_than_13:
        return _by_parts_or_not(op, request, 18)
    empty = _floats(op, [])
    region = empty if roi is None else roi
    factors = request.scales if request.scales is not None else empty
    return op.raw("Resize", request.x, region, factors, request.sizes, **request.manner.matters)


def _simple_scales(op: Emitter, request: _Request) -> ir.Value | None:
    """Return the scales where Resize 10 and Upsample say the same: no shift of coordinates, nearest from below."""
    manner = request.manner
    if manner.coordinate_transformation_mode != "asymmetric" or manner.mode == "cubic" or request.is_newer_than_13:
        return None
    factors = constant_of(request.scales)
    if manner.mode == "nearest":
        # Nearest means the pixel below when enlarging, the one above when shrinking.
        shrinks = factors is None if request.scales is not None else any((axis.scale or 0) < 1 for axis in request.axes)
        if manner.nearest_mode != "floor" or shrinks or (factors is not None and (factors < 1).any()):
            return None
    if request.scales is not None:
        return request.scales
    if any(axis.scale is None for axis in request.axes):
        return None
    wanted = np.ones(op.rank(request.x), dtype=np.float32)
    for axis in request.axes:
        wanted[axis.number] = axis.scale
        # The output's size is the product rounded down, in 32 bits.
        if math.floor(np.float32(axis.size) * wanted[axis.number]) != axis.length:
            return None
    return op.const(wanted, ir.DataType.FLOAT)


def _nearest_below(op: Emitter, request: _Request) -> ir.Value | None:
    """Gather nearest pixels where a size is known only at run time: position ``i`` comes from ``i / scale``."""
    manner = request.manner
    plain = manner.mode == "nearest" and manner.nearest_mode == "floor"
    if not plain or manner.coordinate_transformation_mode != "asymmetric" or request.is_newer_than_13:
        return None
    x = request.x
    for axis in request.axes:
        size = op.vector(op.size(x, axis.number))
        if request.sizes is not None:
            length = op.Gather(request.sizes, [axis.number])
            position = op.Div(op.Mul(op.Range(0, op.scalar(length), 1), size), length)
        else:
            scale = op.Gather(request.scales, [axis.number])
            length = op.cast(op.Floor(op.Mul(op.cast(size, ir.DataType.FLOAT), scale)), ir.DataType.INT64)
            run = op.cast(op.Range(0, op.scalar(length), 1), ir.DataType.FLOAT)
            position = op.cast(op.Floor(op.Div(run, scale)), ir.DataType.INT64)
        x = op.Gather(x, position, axis=axis.number)
    return x


def _before_11(op: Emitter, request: _Request, write: Callable[[ir.Value], ir.Value | None]) -> ir.Value:
    if not request.axes:
        return op.Identity(request.x)
    scales = _simple_scales(op, request)
    result = write(scales) if scales is not None else None
    if result is None:
        result = _by_parts(op, request.x, request.manner, request.axes)
    if result is None:
        result = _nearest_below(op, request)
    if result is None:
        raise op.cannot("this Resize of an input whose size is only known at run time needs opset 11")
    return result


@spells("Resize", since=10)
def resize_10(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Resize 10: by scales, coordinates not shifted."""
    request = _Request.of(op, X, roi, scales, sizes, attributes)
    mode = request.manner.mode
    return _before_11(op, request, lambda factors: op.raw("Resize", request.x, factors, mode=mode))


def _enlarging(request: _Request, factors: ir.Value) -> list[float] | None:
    """Return the scales as numbers where Upsample takes them: none shrinks, and planes only where it interpolates."""
    found = constant_of(factors)
    if found is None or (found < 1).any():
        return None
    if request.manner.mode == "linear" and len(found) not in (2, 4):
        return None
    return [float(factor) for factor in found]


@spells("Resize", since=9)
def upsample_9(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Upsample 9: by scales of at least one."""
    request = _Request.of(op, X, roi, scales, sizes, attributes)
    mode = request.manner.mode

    def write(factors: ir.Value) -> ir.Value | None:
        return None if _enlarging(request, factors) is None else op.raw("Upsample", request.x, factors, mode=mode)

    return _before_11(op, request, write)


@spells("Resize")
def upsample_7(
    op: Emitter, X: Operand, roi: Operand = None, scales: Operand = None, sizes: Operand = None, **attributes: Any
) -> ir.Value:
    """Upsample 7: the scales are an attribute."""
    request = _Request.of(op, X, roi, scales, sizes, attributes)
    mode = request.manner.mode

    def write(factors: ir.Value) -> ir.Value | None:
        known = _enlarging(request, factors)
        return None if known is None else op.raw("Upsample", request.x, scales=known, mode=mode)

    return _before_11(op, request, write)
