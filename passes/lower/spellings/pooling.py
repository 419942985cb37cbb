# SPDX-License-Identifier: Apache-2.0
"""Pooling: rounding up came in opset 10, dilations in 10 (MaxPool), 18 (LpPool) and 19 (AveragePool)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is, kept

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("MaxPool", since=10)
as_is("AveragePool", since=19)
as_is("LpPool", since=18)


@attrs.frozen
class _Windows:
    """The windows of a pooling, axis by axis."""

    kernel: Sequence[int]
    strides: Sequence[int]
    before: Sequence[int]
    after: Sequence[int]
    dilations: Sequence[int]

    @classmethod
    def of(
        cls,
        kernel_shape: Sequence[int],
        strides: Sequence[int] | None,
        pads: Sequence[int] | None,
        dilations: Sequence[int] | None,
    ) -> _Windows:
        count = len(kernel_shape)
        ends = list(pads) if pads else [0] * (2 * count)
        ones = [1] * count
        return cls(kernel_shape, strides or ones, ends[:count], ends[count:], dilations or ones)

    @property
    def pads(self) -> list[int]:
        return [*self.before, *self.after]

    def lengths(self, sizes: Sequence[int], ceil_mode: int) -> list[int]:
        """Return how many windows there are; one that would start beyond the input and its left padding is none."""
        lengths = []
        for axis, size in enumerate(sizes):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            room = size + self.before[axis] + self.after[axis] - reach
            stride = self.strides[axis]
            length = (-(-room // stride) if ceil_mode else room // stride) + 1
            if ceil_mode and (length - 1) * stride >= size + self.before[axis]:
                length -= 1
            lengths.append(length)
        return lengths

    def rounded_up(self, sizes: Sequence[int]) -> _Windows:
        """Return windows that rounding down gives the number that rounding up gave: padded more at the end."""
        after = []
        for axis, length in enumerate(self.lengths(sizes, 1)):
            reach = (self.kernel[axis] - 1) * self.dilations[axis] + 1
            needed = (length - 1) * self.strides[axis] + reach - sizes[axis] - self.before[axis]
            after.append(max(self.after[axis], needed))
        return attrs.evolve(self, after=after)


def _spatial_sizes(op: Emitter, x: ir.Value, what: str) -> list[int]:
    sizes = [op.dim(x, axis) for axis in range(2, op.rank(x))]
    if any(size is None for size in sizes):
        raise op.cannot(f"{what} of an input whose size is only known at run time needs a newer opset")
    return [size for size in sizes if size is not None]


def _padding_fits(windows: _Windows) -> bool:
    return all(pad < size for pad, size in zip(windows.pads, [*windows.kernel] * 2, strict=True))


def _padded(op: Emitter, x: ir.Value, windows: _Windows, value: float) -> ir.Value:
    if not any(windows.pads):
        return x
    return op.Pad(x, [0, 0, *windows.before, 0, 0, *windows.after], op.const_like(value, x))


@spells("MaxPool")
def max_pool_of_values(op: Emitter, X: Operand, *, outputs: int | None = None, **attributes: Any) -> ir.Value:
    """MaxPool 1 does not tell the positions of the maxima."""
    if outputs not in (None, 1):
        raise op.cannot("the positions of maxima need opset 8")
    return max_pool_before_10(op, X, **attributes)


@spells("MaxPool", since=8)
def max_pool_before_10(
    op: Emitter,
    X: Operand,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str | None = None,
    outputs: int | None = None,
    **attributes: Any,
) -> Any:
    """MaxPool 1 and 8: rounding up is padding at the end, a dilated window the maximum of strided slices."""
    (x,) = alike(op, X)
    attributes = kept("MaxPool", attributes, {"storage_order": 0})
    if auto_pad not in (None, "NOTSET"):
        attributes |= kept("MaxPool", {"dilations": dilations, "ceil_mode": ceil_mode}, {"dilations": None})
        attributes = kept("MaxPool", attributes, {"ceil_mode": 0})
        return op.raw(
            "MaxPool", x, kernel_shape=kernel_shape, strides=strides, auto_pad=auto_pad, outputs=outputs, **attributes
        )
    windows = _Windows.of(kernel_shape, strides, pads, dilations)
    if ceil_mode:
        windows = windows.rounded_up(_spatial_sizes(op, x, "MaxPool with ceil_mode"))
    if all(step == 1 for step in windows.dilations) and _padding_fits(windows):
        return op.raw(
            "MaxPool", x, kernel_shape=kernel_shape, strides=strides, pads=windows.pads, outputs=outputs, **attributes
        )
    if outputs not in (None, 1):
        raise op.cannot("the positions of maxima in such windows need opset 10")
    sizes = _spatial_sizes(op, x, "MaxPool with dilations")
    lengths = windows.lengths(sizes, 0)
    source = _padded(op, x, windows, -np.inf)
    axes = list(range(2, op.rank(x)))
    result: ir.Value | None = None
    for corner in itertools.product(*(range(size) for size in windows.kernel)):
        starts = [place * step for place, step in zip(corner, windows.dilations, strict=True)]
        ends = [
            start + (length - 1) * stride + 1
            for start, length, stride in zip(starts, lengths, windows.strides, strict=True)
        ]
        part = op.Slice(source, starts, ends, axes, list(windows.strides))
        result = part if result is None else op.Max(result, part)
    return result


def _register_average(since: int) -> None:
    native_rounding = since >= 10

    @spells("AveragePool", since=since)
    def average_pool(
        op: Emitter,
        X: Operand,
        *,
        kernel_shape: Sequence[int],
        strides: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        dilations: Sequence[int] | None = None,
        ceil_mode: int = 0,
        count_include_pad: int = 0,
        auto_pad: str | None = None,
    ) -> ir.Value:
        (x,) = alike(op, X)
        kept("AveragePool", {"dilations": dilations}, {"dilations": None})
        common: dict[str, Any] = {"kernel_shape": kernel_shape, "strides": strides}
        if auto_pad not in (None, "NOTSET"):
            common |= {"auto_pad": auto_pad, "count_include_pad": count_include_pad}
            if ceil_mode and not native_rounding:
                raise op.cannot("AveragePool with auto_pad and ceil_mode needs opset 10")
            return op.raw("AveragePool", x, ceil_mode=ceil_mode or None, **common)
        windows = _Windows.of(kernel_shape, strides, pads, None)
        sizes = [op.dim(x, axis) for axis in range(2, op.rank(x))]
        if not ceil_mode:
            return op.raw("AveragePool", x, pads=pads, count_include_pad=count_include_pad, **common)
        if native_rounding and any(size is None for size in sizes):
            return op.raw(
                "AveragePool", x, pads=pads, count_include_pad=count_include_pad, ceil_mode=ceil_mode, **common
            )
        grown = windows.rounded_up(_spatial_sizes(op, x, "AveragePool with ceil_mode"))
        # What rounding up adds counts in no mean.  Where the stated padding counts, it becomes part of the input.
        if count_include_pad and any(windows.pads):
            x = _padded(op, x, windows, 0.0)
            added = [more - some for more, some in zip(grown.after, windows.after, strict=True)]
            grown = attrs.evolve(grown, before=[0] * len(added), after=added)
        if not _padding_fits(grown):
            raise op.cannot("AveragePool with ceil_mode and such windows needs opset 19")
        return op.raw("AveragePool", x, pads=grown.pads if any(grown.pads) else None, **common)


_register_average(10)
_register_average(7)


@spells("LpPool")
def lp_pool_before_18(
    op: Emitter,
    X: Operand,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    ceil_mode: int = 0,
    auto_pad: str | None = None,
    p: int = 2,
) -> ir.Value:
    """LpPool 2 and 11: padding adds nothing to a norm, so rounding up is padding at the end."""
    (x,) = alike(op, X)
    kept("LpPool", {"dilations": dilations}, {"dilations": None})
    if ceil_mode:
        if auto_pad not in (None, "NOTSET"):
            raise op.cannot("LpPool with auto_pad and ceil_mode needs opset 18")
        windows = _Windows.of(kernel_shape, strides, pads, None)
        pads = windows.rounded_up(_spatial_sizes(op, x, "LpPool with ceil_mode")).pads
    return op.raw("LpPool", x, kernel_shape=kernel_shape, strides=strides, pads=pads, auto_pad=auto_pad, p=p)


as_is("RoiAlign", since=16)


@spells("RoiAlign", since=10)
def roi_align_of_whole_pixels(
    op: Emitter,
    X: Operand,
    rois: Operand,
    batch_indices: Operand,
    *,
    coordinate_transformation_mode: str = "half_pixel",
    **attributes: Any,
) -> ir.Value:
    """RoiAlign 10 does not shift the regions by half a pixel."""
    if coordinate_transformation_mode != "output_half_pixel":
        raise op.cannot("RoiAlign that shifts by half a pixel needs opset 16")
    return op.raw("RoiAlign", X, rois, batch_indices, **attributes)
