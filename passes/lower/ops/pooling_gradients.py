# SPDX-License-Identifier: Apache-2.0
"""The gradients of pooling: averages go back by the transposed products, maxima to where they came from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .adaptive_pooling import averaging_matrix
from .axis_products import product_along
from .creation import positions
from .spatial import per_axis, product, static_dims
from .views import reshape_to, sizes_of

Size = Any
"""An int, or an int64 vector of one element."""


# ---- averages --------------------------------------------------------------------------------------------------------


def _static_shares(
    size: int, count: int, kernel: int, stride: int, padding: int, count_include_pad: bool, fixed: bool
) -> np.ndarray:
    """Return what each window (column) gives back to each element (row)."""
    starts = np.arange(count) * stride - padding
    ends = np.minimum(starts + kernel, size + padding)
    first, last = np.maximum(starts, 0), np.minimum(ends, size)
    place = np.arange(size)[:, None]
    member = (place >= first) & (place < last)
    if fixed:
        return member.astype(np.float64)
    counted = ends - starts if count_include_pad else last - first
    return member / counted


def _shares(
    op: Emitter,
    size: Size,
    count: Size,
    kernel: int,
    stride: int,
    padding: int,
    count_include_pad: bool,
    fixed: bool,
    dtype: ir.DataType,
) -> np.ndarray | ir.Value:
    if isinstance(size, int) and isinstance(count, int):
        return _static_shares(size, count, kernel, stride, padding, count_include_pad, fixed)
    extent = op.vector(size)
    starts = op.Sub(op.Mul(positions(op, count), op.i64(stride)), op.i64(padding))
    ends = op.Min(op.Add(starts, op.i64(kernel)), op.Add(extent, op.i64(padding)))
    first, last = op.Max(starts, op.i64(0)), op.Min(ends, extent)
    place = op.Unsqueeze(positions(op, size), [1])
    member = op.cast(op.And(op.GreaterOrEqual(place, first), op.Less(place, last)), dtype)
    if fixed:
        return member
    counted = op.Sub(ends, starts) if count_include_pad else op.Sub(last, first)
    return op.Div(member, op.cast(counted, dtype))


def _of_averages(
    op: Emitter,
    g: ir.Value,
    x: ir.Value,
    axes: int,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> ir.Value:
    """Return the gradient; the result's own size says how many windows there are, whatever ``ceil_mode``."""
    kernel = per_axis(op, kernel_size, axes, "the kernel size")
    strides = per_axis(op, stride, axes, "the stride") if stride else kernel
    paddings = per_axis(op, padding, axes, "the padding")
    if divisor_override is not None:
        g = op.Mul(g, op.const_like(1 / divisor_override, g))
    windows = zip(range(-axes, 0), kernel, strides, paddings, strict=True)
    for axis, length, step, pad in windows:
        fixed = divisor_override is not None
        size, count = op.size(x, axis), op.size(g, axis)
        g = product_along(op, g, axis, _shares(op, size, count, length, step, pad, count_include_pad, fixed, g.dtype))
    return g


@lowers("aten::avg_pool2d_backward")
def avg_pool2d_backward(op: Emitter, grad_output: ir.Value, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower the gradient of averages over windows of two axes."""
    return _of_averages(op, grad_output, x, 2, **arguments)


@lowers("aten::avg_pool3d_backward")
def avg_pool3d_backward(op: Emitter, grad_output: ir.Value, x: ir.Value, **arguments: Any) -> ir.Value:
    """Lower the gradient of averages over windows of three axes."""
    return _of_averages(op, grad_output, x, 3, **arguments)


def _of_adaptive_averages(op: Emitter, g: ir.Value, x: ir.Value, axes: int) -> ir.Value:
    for axis in range(-axes, 0):
        matrix = averaging_matrix(op, op.size(x, axis), op.size(g, axis), g.dtype)
        turned = matrix.T if isinstance(matrix, np.ndarray) else op.Transpose(matrix, perm=[1, 0])
        g = product_along(op, g, axis, turned)
    return g


@lowers("aten::_adaptive_avg_pool2d_backward")
def adaptive_avg_pool2d_backward(op: Emitter, grad_output: ir.Value, x: ir.Value) -> ir.Value:
    """Lower the gradient of adaptive averages of two axes."""
    return _of_adaptive_averages(op, grad_output, x, 2)


@lowers("aten::_adaptive_avg_pool3d_backward")
def adaptive_avg_pool3d_backward(op: Emitter, grad_output: ir.Value, x: ir.Value) -> ir.Value:
    """Lower the gradient of adaptive averages of three axes."""
    return _of_adaptive_averages(op, grad_output, x, 3)


# ---- maxima ----------------------------------------------------------------------------------------------------------


def _of_maxima(op: Emitter, g: ir.Value, x: ir.Value, indices: ir.Value, axes: int) -> ir.Value:
    """Add each gradient to where its maximum was; the positions count through one plane."""
    lead = sizes_of(op, x, 0, op.rank(x) - axes)
    plane = product(op, [op.size(x, axis) for axis in range(-axes, 0)])
    sizes = [op.size(x, axis) for axis in range(len(lead))]
    zeros = op.Expand(op.const_like(0, g), op.i64(op.int_vector([*sizes, plane])))
    count = static_dims(op, g, op.rank(g) - axes)
    flat = [*lead, -1 if count is None else math.prod(count)]
    added = op.call("aten::scatter_add", zeros, reshape_to(op, indices, flat), reshape_to(op, g, flat), dim=len(lead))
    return reshape_to(op, added, [*lead, *sizes_of(op, x, len(lead))], x.shape)


@lowers("aten::max_pool2d_with_indices_backward")
def max_pool2d_with_indices_backward(
    op: Emitter, grad_output: ir.Value, x: ir.Value, indices: ir.Value, **windows: Any
) -> ir.Value:
    """Lower the gradient of maxima over windows of two axes; the positions say all about the windows."""
    return _of_maxima(op, grad_output, x, indices, 2)


@lowers("aten::max_pool3d_with_indices_backward")
def max_pool3d_with_indices_backward(
    op: Emitter, grad_output: ir.Value, x: ir.Value, indices: ir.Value, **windows: Any
) -> ir.Value:
    """Lower the gradient of maxima over windows of three axes."""
    return _of_maxima(op, grad_output, x, indices, 3)


@lowers("aten::adaptive_max_pool2d_backward", "aten::fractional_max_pool2d_backward")
def adaptive_max_pool2d_backward(
    op: Emitter, grad_output: ir.Value, x: ir.Value, indices: ir.Value, **windows: Any
) -> ir.Value:
    """Lower the gradient of adaptive maxima of two axes."""
    return _of_maxima(op, grad_output, x, indices, 2)


@lowers("aten::adaptive_max_pool3d_backward", "aten::fractional_max_pool3d_backward")
def adaptive_max_pool3d_backward(
    op: Emitter, grad_output: ir.Value, x: ir.Value, indices: ir.Value, **windows: Any
) -> ir.Value:
    """Lower the gradient of adaptive maxima of three axes."""
    return _of_maxima(op, grad_output, x, indices, 3)
