# SPDX-License-Identifier: Apache-2.0
"""The gradients of a convolution, which are convolutions themselves.

With g the gradient of the result: that of the input is the transposed convolution of g, that of the weight correlates
the input with g over the batch, stride and dilation having changed places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .spatial import per_axis, stated, static_dims, wanted
from .views import reshape_to, sizes_of, swapped


@attrs.frozen
class Geometry:
    """How the windows lie: one number an axis in each list."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.stride)


def _cropped(op: Emitter, y: ir.Value, starts: Sequence[int], like: ir.Value) -> ir.Value:
    """Cut the spatial axes to the sizes of another value."""
    axes = len(starts)
    lead = op.rank(y) - axes
    sizes = [op.size(like, axis) for axis in range(op.rank(like) - axes, op.rank(like))]
    if not any(starts) and all(op.dim(y, lead + n) == size for n, size in enumerate(sizes)):
        return y
    ends = [
        size + start if isinstance(size, int) else op.Add(op.vector(size), [start]) if start else size
        for size, start in zip(sizes, starts, strict=True)
    ]
    return op.Slice(y, op.i64(list(starts)), op.i64(op.int_vector(ends)), op.i64(list(range(lead, lead + axes))))


def _of_input(op: Emitter, g: ir.Value, x: ir.Value, weight: ir.Value, geometry: Geometry) -> ir.Value:
    """Return the gradient of the input: the windows laid back where they were taken."""
    axes, kernel = geometry.axes, static_dims(op, weight, 2)
    common = {
        "kernel_shape": kernel,
        "strides": stated(geometry.stride, 1),
        "dilations": stated(geometry.dilation, 1),
        "group": None if geometry.groups == 1 else geometry.groups,
    }
    before, after = static_dims(op, x, 2), static_dims(op, g, 2)
    if before is not None and after is not None and kernel is not None:
        # What the stride left over at the end saw no window, and is the output padding of the way back.
        rest = [
            size - ((count - 1) * step - 2 * pad + spread * (k - 1) + 1)
            for size, count, step, pad, spread, k in zip(
                before, after, geometry.stride, geometry.padding, geometry.dilation, kernel, strict=True
            )
        ]
        pads = stated(geometry.padding * 2, 0)
        return op.ConvTranspose(g, weight, None, pads=pads, output_padding=stated(rest, 0), **common)
    if geometry.stride == [1] * axes:
        return op.ConvTranspose(g, weight, None, pads=stated(geometry.padding * 2, 0), **common)
    y = op.ConvTranspose(g, weight, None, **common)
    missing = [max(step - 1 - pad, 0) for step, pad in zip(geometry.stride, geometry.padding, strict=True)]
    if any(missing):
        y = op.Pad(y, op.i64([0] * (axes + 4) + missing), op.const(0, y.dtype))
    return _cropped(op, y, geometry.padding, x)


def _batch_as_channels(op: Emitter, x: ir.Value, groups: int) -> ir.Value:
    """Turn batch x (groups x channels) to channels x (groups x batch)."""
    if groups == 1:
        return swapped(op, x, 0, 1)
    channels = op.dim(x, 1)
    if channels is None:
        raise op.cannot("the number of channels is only known at run time")
    spatial = sizes_of(op, x, 2)
    apart = reshape_to(op, x, [*sizes_of(op, x, 0, 1), groups, channels // groups, *spatial])
    turned = op.Transpose(apart, perm=[2, 1, 0, *range(3, 3 + len(spatial))])
    batch = op.dim(x, 0)
    return reshape_to(op, turned, [channels // groups, -1 if batch is None else groups * batch, *spatial])


def _of_weight(op: Emitter, g: ir.Value, x: ir.Value, weight: ir.Value, geometry: Geometry) -> ir.Value:
    """Return the gradient of the weight of a convolution from `x` to what `g` is the gradient of."""
    y = op.Conv(
        _batch_as_channels(op, x, geometry.groups),
        swapped(op, g, 0, 1),
        None,
        kernel_shape=static_dims(op, g, 2),
        strides=stated(geometry.dilation, 1),
        pads=stated(geometry.padding * 2, 0),
        dilations=stated(geometry.stride, 1),
        group=None if geometry.groups == 1 else geometry.groups,
    )
    # Input that no window reached would make for more taps than the kernel has.
    return _cropped(op, swapped(op, y, 0, 1), [0] * geometry.axes, weight)


@lowers("aten::convolution_backward", "aten::convolution_backward_overrideable")
def convolution_backward(
    op: Emitter,
    grad_output: ir.Value,
    x: ir.Value,
    weight: ir.Value,
    *,
    bias_sizes: Any = None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: Any,
    output_mask: Sequence[bool],
) -> tuple[ir.Value | None, ir.Value | None, ir.Value | None]:
    """Lower the gradients of input, weight and bias, those that are asked for."""
    axes = op.rank(weight) - 2
    geometry = Geometry(
        per_axis(op, stride, axes, "the stride"),
        per_axis(op, padding, axes, "the padding"),
        per_axis(op, dilation, axes, "the dilation"),
        int(op.static_number(groups, "the number of groups")),
    )
    of_input = of_weight = of_bias = None
    if output_mask[0] and wanted(op, 0):
        if transposed:
            forward = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            forward |= {"transposed": False, "output_padding": [0] * axes}
            of_input = _cropped(op, op.call("aten::convolution", grad_output, weight, None, **forward), [0] * axes, x)
        else:
            of_input = _of_input(op, grad_output, x, weight, geometry)
    if output_mask[1] and wanted(op, 1):
        # A transposed convolution is one the other way round: input and result change places.
        source, result = (grad_output, x) if transposed else (x, grad_output)
        of_weight = _of_weight(op, result, source, weight, geometry)
    if output_mask[2] and wanted(op, 2):
        of_bias = op.ReduceSum(grad_output, op.i64([0, *range(2, axes + 2)]), keepdims=0)
    return of_input, of_weight, of_bias
