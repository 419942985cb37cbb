# SPDX-License-Identifier: Apache-2.0
"""Convolutions, transposed ones included, and the patches they are made of (unfold and fold)."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .patches import convolved, convolved_transposed
from .spatial import per_axis, stated, static_dims, with_batch, without_batch


def _lacks_doubles(op: Emitter, op_type: str, x: ir.Value) -> bool:
    return x.dtype == ir.DataType.DOUBLE and not op.runs(op_type, ir.DataType.DOUBLE)


def _convolve(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> ir.Value:
    """Write a Conv; ``padding`` is one number an axis, or ``"same"`` or ``"valid"``."""
    spatial = op.rank(weight) - 2
    dilations = per_axis(op, dilation, spatial, "the dilation")
    kernel = static_dims(op, weight, 2)
    if padding == "valid":
        pads = [0] * (2 * spatial)
    elif padding == "same":
        # https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html: an odd total pads one more at the end.
        if kernel is None:
            raise op.cannot("padding='same' depends on a kernel size that is only known at run time")
        totals = [step * (size - 1) for step, size in zip(dilations, kernel, strict=True)]
        pads = [total // 2 for total in totals] + [total - total // 2 for total in totals]
    else:
        pads = per_axis(op, padding, spatial, "the padding") * 2
    strides = per_axis(op, stride, spatial, "the stride")
    count = op.static_number(groups, "the number of groups")
    x, added = with_batch(op, x, spatial)
    if _lacks_doubles(op, "Conv", x) and kernel is not None:
        y = convolved(op, x, weight, bias, kernel, strides, pads, dilations, count)
        return without_batch(op, y, added)
    y = op.Conv(
        x,
        weight,
        bias,
        kernel_shape=kernel,
        strides=stated(strides, 1),
        pads=stated(pads, 0),
        dilations=stated(dilations, 1),
        group=None if count == 1 else count,
    )
    return without_batch(op, y, added)


def _convolve_transposed(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
    groups: Any,
) -> ir.Value:
    spatial = op.rank(weight) - 2
    strides = per_axis(op, stride, spatial, "the stride")
    pads = per_axis(op, padding, spatial, "the padding")
    dilations = per_axis(op, dilation, spatial, "the dilation")
    given = list(output_padding) if isinstance(output_padding, (list, tuple)) else [output_padding]
    if any(isinstance(one, ir.Value) for one in given):
        # As far as PyTorch allows; then the end is cut to what it is in this run.
        given = given * (spatial // len(given))
        most = [max(pair) - 1 for pair in zip(strides, dilations, strict=True)]
        widest = [more if isinstance(one, ir.Value) else one for one, more in zip(given, most, strict=True)]
        y = _convolve_transposed(op, x, weight, bias, stride, padding, dilation, widest, groups)
        for axis, (one, more) in enumerate(zip(given, most, strict=True), start=op.rank(y) - spatial):
            if isinstance(one, ir.Value):
                end = op.Add(op.vector(op.size(y, axis)), op.Sub(op.vector(one), op.i64([more])))
                y = op.Slice(y, op.i64([0]), end, op.i64([axis]))
        return y
    extra = per_axis(op, output_padding, spatial, "the output padding")
    kernel = static_dims(op, weight, 2)
    count = op.static_number(groups, "the number of groups")
    if _lacks_doubles(op, "ConvTranspose", x) and kernel is not None:
        x, added = with_batch(op, x, spatial)
        y = convolved_transposed(op, x, weight, bias, kernel, strides, [*pads, *pads], dilations, extra, count)
        return without_batch(op, y, added)
    after, missing = list(pads), [0] * spatial
    if any(more >= step for more, step in zip(extra, strides, strict=True)):
        # PyTorch allows an output padding up to the dilation; onnxruntime only up to the stride.  It takes away from
        # the padding at the end, and what that does not cover sees no input at all.
        after = [max(pad - more, 0) for pad, more in zip(pads, extra, strict=True)]
        missing = [max(more - pad, 0) for pad, more in zip(pads, extra, strict=True)]
        extra = [0] * spatial
    x, added = with_batch(op, x, spatial)
    y = op.ConvTranspose(
        x,
        weight,
        None if any(missing) else bias,
        kernel_shape=kernel,
        strides=stated(strides, 1),
        pads=stated([*pads, *after], 0),
        dilations=stated(dilations, 1),
        output_padding=stated(extra, 0),
        group=None if count == 1 else count,
    )
    if any(missing):
        y = op.Pad(y, op.i64([0] * (spatial + 4) + missing), op.const(0, y.dtype))
        if bias is not None:
            y = op.Add(y, op.Unsqueeze(bias, op.i64(list(range(1, spatial + 1)))))
    return without_batch(op, y, added)


@lowers("aten::conv1d", "aten::conv2d", "aten::conv3d")
def convolution_of_a_dimension(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> ir.Value:
    """Lower ``conv1d``, ``conv2d`` and ``conv3d``, their string paddings included."""
    return _convolve(op, x, weight, bias, stride, padding, dilation, groups)


@lowers("aten::_convolution_mode", "aten::mkldnn_convolution")
def convolution_by_mode(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
) -> ir.Value:
    """Lower the core of the string paddings, and the one that oneDNN is asked for."""
    return _convolve(op, x, weight, bias, stride, padding, dilation, groups)


@lowers(
    "aten::_conv_depthwise2d",
    "aten::conv_depthwise3d",
    "aten::slow_conv_dilated2d",
    "aten::slow_conv3d",
    "aten::_slow_conv2d_forward",
)
def convolution_with_kernel_size(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    *,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
) -> ir.Value:
    """Lower the backend forms that repeat the kernel's size; only the depthwise ones have groups, one a channel."""
    channels = op.dim(weight, 1)
    groups: int | None = 1
    if channels == 1:
        groups = op.dim(x, -len(kernel_size) - 1)
        if groups is None:
            raise op.cannot("the number of channels is only known at run time")
    return _convolve(op, x, weight, bias, stride, padding, dilation, groups)


@lowers("aten::conv_transpose1d", "aten::conv_transpose2d", "aten::conv_transpose3d")
def transposed_convolution(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None = None,
    *,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: Any,
    dilation: Any,
) -> ir.Value:
    """Lower ``conv_transpose1d`` to ``conv_transpose3d``."""
    return _convolve_transposed(op, x, weight, bias, stride, padding, dilation, output_padding, groups)


@lowers("aten::convolution", "aten::convolution_overrideable")
def convolution(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: Any,
) -> ir.Value:
    """Lower the core convolution, which serves every number of axes, forward and transposed."""
    if transposed:
        return _convolve_transposed(op, x, weight, bias, stride, padding, dilation, output_padding, groups)
    return _convolve(op, x, weight, bias, stride, padding, dilation, groups)


@lowers("aten::_convolution")
def convolution_with_backend_flags(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    bias: ir.Value | None,
    *,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: Any,
    benchmark: bool,
    deterministic: bool,
    cudnn_enabled: bool,
    allow_tf32: bool = True,
) -> ir.Value:
    """Lower the form that TorchScript records; its last flags choose a CUDA algorithm and change no value."""
    return convolution(
        op,
        x,
        weight,
        bias,
        stride=stride,
        padding=padding,
        dilation=dilation,
        transposed=transposed,
        output_padding=output_padding,
        groups=groups,
    )


@lowers("aten::conv_tbc")
def convolution_over_time(op: Emitter, x: ir.Value, weight: ir.Value, bias: ir.Value, *, pad: int = 0) -> ir.Value:
    """Lower a convolution of time x batch x channels, its weight kernel x in x out."""
    y = op.Conv(
        op.Transpose(x, perm=[1, 2, 0]),
        op.Transpose(weight, perm=[2, 1, 0]),
        bias,
        pads=stated([pad, pad], 0),
    )
    return op.Transpose(y, perm=[2, 0, 1])
