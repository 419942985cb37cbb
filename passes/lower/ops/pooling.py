# SPDX-License-Identifier: Apache-2.0
"""Pooling over windows of a given size: maxima with and without their positions, averages, p-norms, and unpooling.

PyTorch and ONNX agree on how many windows ``ceil_mode`` gives: a window that would start in the right padding is
dropped (https://pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html).  Where the input's size is static the
extra windows are written as padding at the end, which every opset has and every runtime gets right.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .patches import window_maxima, window_sums
from .spatial import per_axis, product, stated, static_dims, wanted, with_batch, without_batch

_INT64 = ir.DataType.INT64


@attrs.frozen
class Windows:
    """Where the windows of a pooling lie: one number an axis in each list."""

    kernel: list[int]
    stride: list[int]
    before: list[int]
    after: list[int]
    dilation: list[int]
    ceil_mode: bool
    overhang: bool
    """Whether some window may reach beyond the padding that was asked for."""

    @property
    def attributes(self) -> dict[str, Any]:
        """The attributes of an ONNX pooling operator, those at their default left out."""
        return {
            "kernel_shape": self.kernel,
            "strides": stated(self.stride, 1),
            "pads": stated([*self.before, *self.after], 0),
            "dilations": stated(self.dilation, 1),
            "ceil_mode": 1 if self.ceil_mode else None,
        }


def _count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """Return how many windows PyTorch lays along an axis."""
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def _windows(
    op: Emitter, x: ir.Value, axes: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Windows:
    kernel = per_axis(op, kernel_size, axes, "the kernel size")
    strides = per_axis(op, stride, axes, "the stride") if stride else kernel
    before = per_axis(op, padding, axes, "the padding")
    dilations = per_axis(op, dilation, axes, "the dilation")
    if not ceil_mode or strides == [1] * axes:
        return Windows(kernel, strides, before, before, dilations, False, False)
    sizes = static_dims(op, x, op.rank(x) - axes)
    if sizes is None:
        return Windows(kernel, strides, before, before, dilations, True, True)
    after: list[int] = []
    for size, k, step, pad, spread in zip(sizes, kernel, strides, before, dilations, strict=True):
        count = _count(size, k, step, pad, spread, True)
        if count == _count(size, k, step, pad, spread, False):
            after.append(pad)
        else:
            after.append((count - 1) * step + spread * (k - 1) + 1 - size - pad)
    if after == before:
        return Windows(kernel, strides, before, before, dilations, False, False)
    if any(pad >= k for pad, k in zip(after, kernel, strict=True)):
        # ONNX wants a padding to be smaller than the kernel, which a dilated window may outgrow.
        return Windows(kernel, strides, before, before, dilations, True, True)
    return Windows(kernel, strides, before, after, dilations, False, True)


# ---- maxima ----------------------------------------------------------------------------------------------------------


def _max_pool(op: Emitter, x: ir.Value, axes: int, **arguments: Any) -> ir.Value:
    windows = _windows(op, x, axes, **arguments)
    x, added = with_batch(op, x, axes)
    return without_batch(op, op.MaxPool(x, **windows.attributes), added)


@lowers("aten::max_pool1d")
def max_pool1d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower one-dimensional maxima over windows."""
    return _max_pool(op, x, 1, **arguments)


@lowers("aten::max_pool2d", "aten::mkldnn_max_pool2d")
def max_pool2d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower two-dimensional maxima over windows."""
    return _max_pool(op, x, 2, **arguments)


@lowers("aten::max_pool3d")
def max_pool3d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower three-dimensional maxima over windows."""
    return _max_pool(op, x, 3, **arguments)


def _max_pool_with_indices(op: Emitter, x: ir.Value, axes: int, **arguments: Any) -> tuple[ir.Value, ir.Value | None]:
    if not wanted(op, 1):
        return _max_pool(op, x, axes, **arguments), None
    windows = _windows(op, x, axes, **arguments)
    plane = product(op, [op.size(x, axis) for axis in range(-axes, 0)])
    x, added = with_batch(op, x, axes)
    y, positions = op.MaxPool(x, outputs=2, **windows.attributes)
    # ONNX counts positions through the whole tensor, PyTorch through each plane.
    positions = op.Mod(positions, plane if isinstance(plane, ir.Value) else op.i64(plane))
    return without_batch(op, y, added), without_batch(op, positions, added)


def _max_pool_by_parts(op: Emitter, x: ir.Value, axes: int, **arguments: Any) -> tuple[ir.Value, ir.Value | None]:
    """Find maxima and their positions among gathered patches."""
    if not wanted(op, 1):
        return _max_pool(op, x, axes, **arguments), None
    windows = _windows(op, x, axes, **arguments)
    if windows.ceil_mode:
        raise op.cannot("the positions of maxima in windows whose number is rounded up at run time need opset 10")
    x, added = with_batch(op, x, axes)
    pads = [*windows.before, *windows.after]
    found = window_maxima(op, x, windows.kernel, windows.stride, pads, windows.dilation)
    y, positions = (without_batch(op, value, added) for value in found)
    return y, positions


def _max_pool_of_dense_windows(
    op: Emitter, x: ir.Value, axes: int, **arguments: Any
) -> tuple[ir.Value, ir.Value | None]:
    """MaxPool 8 tells positions, and knows neither dilations nor rounding up."""
    windows = _windows(op, x, axes, **arguments)
    dense = not windows.ceil_mode and windows.dilation == [1] * axes
    return (_max_pool_with_indices if dense else _max_pool_by_parts)(op, x, axes, **arguments)


def _register_positions(axes: int) -> None:
    ways = {7: _max_pool_by_parts, 8: _max_pool_of_dense_windows, 10: _max_pool_with_indices}
    for since, way in ways.items():

        @lowers(f"aten::max_pool{axes}d_with_indices", since=since)
        def with_indices(
            op: Emitter, x: ir.Value, *, way: Any = way, **arguments: Any
        ) -> tuple[ir.Value, ir.Value | None]:
            found: tuple[ir.Value, ir.Value | None] = way(op, x, axes, **arguments)
            return found


for _axes in (1, 2, 3):
    _register_positions(_axes)


def _max_unpool(op: Emitter, x: ir.Value, positions: ir.Value, axes: int, output_size: Any) -> ir.Value:
    """Put values at flat positions of planes of zeros."""
    lead = [op.size(x, axis) for axis in range(op.rank(x) - axes)]
    plane = product(op, output_size)
    zeros = op.Expand(op.const(0, x.dtype), op.i64(op.int_vector([*lead, plane])))
    flat = [0] * len(lead) + [-1]
    filled = op.ScatterElements(zeros, op.Reshape(positions, op.i64(flat)), op.Reshape(x, op.i64(flat)), axis=len(lead))
    return op.Reshape(filled, op.i64(op.int_vector([*([0] * len(lead)), *output_size])))


@lowers("aten::max_unpool2d")
def max_unpool2d(op: Emitter, x: ir.Value, indices: ir.Value, *, output_size: Any) -> ir.Value:
    """Lower the partial inverse of two-dimensional max pooling."""
    return _max_unpool(op, x, indices, 2, output_size)


@lowers("aten::max_unpool3d")
def max_unpool3d(
    op: Emitter, x: ir.Value, indices: ir.Value, *, output_size: Any, stride: Any, padding: Any
) -> ir.Value:
    """Lower the partial inverse of three-dimensional max pooling; the positions alone say where values go."""
    return _max_unpool(op, x, indices, 3, output_size)


# ---- averages --------------------------------------------------------------------------------------------------------


def _avg_pool(
    op: Emitter,
    x: ir.Value,
    axes: int,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> ir.Value:
    windows = _windows(op, x, axes, kernel_size, stride, padding, 1, ceil_mode)
    x, added = with_batch(op, x, axes)
    of_doubles = x.dtype == ir.DataType.DOUBLE and not op.runs("AveragePool", x.dtype) and not windows.ceil_mode
    if of_doubles or (x.dtype is not None and x.dtype.is_integer()):
        y = _averages_by_sums(op, x, windows, count_include_pad, divisor_override)
        return without_batch(op, y, added)
    include = any(windows.before) and (count_include_pad or divisor_override is not None)
    if divisor_override is not None and windows.overhang:
        # The divisor is fixed, so every element of a window counts, the missing ones as zeros.
        if windows.ceil_mode:
            return _sum_pool_ceil(op, x, axes, windows, divisor_override, added)
        include = True
    elif include and windows.overhang:
        # Padding that was asked for counts, what ceil_mode's last windows reach beyond it does not.
        x = op.Pad(x, op.i64([0, 0, *windows.before, 0, 0, *windows.before]), op.const(0, x.dtype))
        after = [max(end - pad, 0) for end, pad in zip(windows.after, windows.before, strict=True)]
        windows = attrs.evolve(windows, before=[0] * axes, after=after if not windows.ceil_mode else [0] * axes)
        include = False
    y = op.AveragePool(x, count_include_pad=1 if include else None, **windows.attributes)
    if divisor_override is not None:
        y = op.Mul(y, math.prod(windows.kernel) / divisor_override)
    return without_batch(op, y, added)


def _averages_by_sums(
    op: Emitter, x: ir.Value, windows: Windows, count_include_pad: bool, divisor: int | None
) -> ir.Value:
    """Sum windows, and divide by the number of their elements: integers towards zero, as PyTorch does.

    AveragePool takes 32-bit floats alone: sums of integers are its means times their number, doubles are gathered.
    """
    if windows.ceil_mode:
        raise op.cannot("ceil_mode of integers may drop a window that is only known at run time")
    axes = len(windows.kernel)
    beyond = [max(end - start, 0) for start, end in zip(windows.before, windows.after, strict=True)]

    def sums(values: ir.Value, padding: int) -> ir.Value:
        """Sum windows; the padding that was asked for is of one number, what a window reaches beyond it is zero."""
        for before, after, number in ((windows.before, windows.before, padding), ([0] * axes, beyond, 0)):
            if any(after):
                values = op.Pad(values, op.i64([0, 0, *before, 0, 0, *after]), op.const_like(number, values))
        if values.dtype == ir.DataType.DOUBLE:
            return window_sums(op, values, windows.kernel, windows.stride, [0] * (2 * axes))
        mean = op.AveragePool(values, kernel_shape=windows.kernel, strides=stated(windows.stride, 1))
        return op.cast(op.Round(op.Mul(mean, float(math.prod(windows.kernel)))), x.dtype or _INT64)

    wide = x.dtype if x.dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
    total = sums(op.cast(x, wide), 0)
    if divisor is None and (count_include_pad or not any(windows.before)) and not any(beyond):
        divisor = math.prod(windows.kernel)
    if divisor is not None:
        return op.Div(total, divisor)
    ones = op.Expand(op.const(1, wide), op.Shape(x))
    return op.Div(total, sums(ones, int(count_include_pad)))


def _sum_pool_ceil(op: Emitter, x: ir.Value, axes: int, windows: Windows, divisor: int, added: bool) -> ir.Value:
    """Sum windows whose number is only known at run time, and divide by a number of one's own.

    Pads by what one more window could need; a window that PyTorch would drop then only arises where the stride
    outgrows the kernel and the padding.
    """
    if any(step - 1 + pad >= k for step, pad, k in zip(windows.stride, windows.before, windows.kernel, strict=True)):
        raise op.cannot("ceil_mode with a divisor of its own may drop a window that is only known at run time")
    after = [pad + step - 1 for pad, step in zip(windows.before, windows.stride, strict=True)]
    x = op.Pad(x, op.i64([0, 0, *windows.before, 0, 0, *after]), op.const(0, x.dtype))
    y = op.AveragePool(x, kernel_shape=windows.kernel, strides=stated(windows.stride, 1))
    return without_batch(op, op.Mul(y, math.prod(windows.kernel) / divisor), added)


@lowers("aten::avg_pool1d")
def avg_pool1d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower one-dimensional averages over windows."""
    return _avg_pool(op, x, 1, **arguments)


@lowers("aten::avg_pool2d")
def avg_pool2d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower two-dimensional averages over windows."""
    return _avg_pool(op, x, 2, **arguments)


@lowers("aten::avg_pool3d")
def avg_pool3d(op: Emitter, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower three-dimensional averages over windows."""
    return _avg_pool(op, x, 3, **arguments)
