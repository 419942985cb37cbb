# SPDX-License-Identifier: Apache-2.0
"""The operators of ``quantized_decomposed``, which models quantized by PyTorch's export flow consist of."""

from __future__ import annotations

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter
from ..registry import lowers
from .quantization import clipped, dequantized, faked, parameter, parameters, quantized, steps_of
from .quantization_parameters import dequantized_from_choice, quantized_by_choice


@lowers("quantized_decomposed::quantize_per_tensor")
def quantize_per_tensor(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: torch.dtype
) -> ir.Value:
    """Lower quantization by one scale."""
    factor, zero = parameters(op, scale, zero_point)
    return quantized(op, x, factor, zero, None, quant_min, quant_max, onnx_dtype(dtype))


@lowers("quantized_decomposed::quantize_per_tensor.tensor")
def quantize_per_tensor_by_tensors(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
) -> ir.Value:
    """Lower quantization by a scale that is a tensor."""
    whole = quantized_by_choice(op, x, scale, zero_point, quant_min, quant_max, onnx_dtype(dtype))
    if whole is not None:
        return whole
    factor, zero = parameters(op, scale, zero_point)
    return quantized(op, x, factor, zero, None, quant_min, quant_max, onnx_dtype(dtype))


@lowers("quantized_decomposed::dequantize_per_tensor")
def dequantize_per_tensor(
    op: Emitter,
    x: ir.Value,
    *,
    scale: float,
    zero_point: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> ir.Value:
    """Lower dequantization by one scale; the bounds say nothing any more."""
    factor, zero = parameters(op, scale, zero_point)
    return dequantized(op, x, factor, zero, None, onnx_dtype(out_dtype or torch.float32))


@lowers("quantized_decomposed::dequantize_per_tensor.tensor")
def dequantize_per_tensor_by_tensors(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> ir.Value:
    """Lower dequantization by a scale that is a tensor."""
    whole = dequantized_from_choice(op, x, scale, zero_point, onnx_dtype(out_dtype or torch.float32))
    if whole is not None:
        return whole
    factor, zero = parameters(op, scale, zero_point)
    return dequantized(op, x, factor, zero, None, onnx_dtype(out_dtype or torch.float32))


@lowers("quantized_decomposed::quantize_per_channel")
def quantize_per_channel(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value,
    *,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
) -> ir.Value:
    """Lower quantization by one scale a channel."""
    return quantized(op, x, scales, zero_points, axis % op.rank(x), quant_min, quant_max, onnx_dtype(dtype))


@lowers("quantized_decomposed::dequantize_per_channel")
def dequantize_per_channel(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value | None,
    *,
    axis: int,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> ir.Value:
    """Lower dequantization by one scale a channel."""
    return dequantized(op, x, scales, zero_points, axis % op.rank(x), onnx_dtype(out_dtype or torch.float32))


@lowers("quantized_decomposed::quantize_per_tensor.tensor2")
def quantize_per_tensor_between_tensors(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    quant_min: ir.Value,
    quant_max: ir.Value,
    *,
    dtype: torch.dtype,
) -> ir.Value:
    """Lower quantization by one scale between bounds that are tensors too."""
    factor, zero = parameters(op, scale, zero_point)
    low, high = (parameter(op, bound, ir.DataType.INT64) for bound in (quant_min, quant_max))
    steps = steps_of(op, op.cast(x, ir.DataType.FLOAT), factor, zero)
    return op.cast(clipped(op, steps, low, high), onnx_dtype(dtype))


@lowers("quantized_decomposed::dequantize_per_tensor.tensor2")
def dequantize_per_tensor_between_tensors(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    quant_min: ir.Value,
    quant_max: ir.Value,
    *,
    dtype: torch.dtype,
    out_dtype: torch.dtype | None = None,
) -> ir.Value:
    """Lower dequantization by one scale; the bounds say nothing any more."""
    factor, zero = parameters(op, scale, zero_point)
    return dequantized(op, x, factor, zero, None, onnx_dtype(out_dtype or torch.float32))


@lowers("quantized_decomposed::fake_quant_per_channel")
def fake_quant_per_channel(
    op: Emitter, x: ir.Value, scales: ir.Value, zero_points: ir.Value, *, axis: int, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by one scale a channel."""
    return faked(op, x, scales, zero_points, axis % op.rank(x), quant_min, quant_max)


@lowers("quantized_decomposed::convert_element_type.no_fuse")
def convert_element_type(op: Emitter, x: ir.Value, *, dtype: torch.dtype) -> ir.Value:
    """Lower a conversion that compilers are asked to leave alone."""
    return op.cast(x, onnx_dtype(dtype))


# ---- by rows and by groups -------------------------------------------------------------------------------------------


@lowers("quantized_decomposed::quantize_per_token")
def quantize_per_token(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
) -> ir.Value:
    """Lower quantization by one scale for each row; the zero point is added before rounding."""
    shifted = op.Add(*op.promote(op.Mul(*op.promote(x, op.Reciprocal(scales))), zero_points))
    return op.cast(clipped(op, op.Round(shifted), quant_min, quant_max), onnx_dtype(dtype))


@lowers("quantized_decomposed::dequantize_per_token")
def dequantize_per_token(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    output_dtype: torch.dtype,
) -> ir.Value:
    """Lower dequantization by one scale for each row."""
    zero = op.cast(zero_points, scales.dtype)
    return op.cast(op.Mul(op.Sub(op.cast(x, scales.dtype), zero), scales), onnx_dtype(output_dtype))


def _group_size(op: Emitter, x: ir.Value, scales: ir.Value, group_size: int) -> int:
    length = op.dim(x, -1)
    if length is None:
        raise op.cannot("the length of rows that are quantized by groups is only known at run time")
    return length if group_size > length and op.dim(scales, -1) == 1 else group_size


@lowers("quantized_decomposed::quantize_per_channel_group")
def quantize_per_channel_group(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    group_size: int,
) -> ir.Value:
    """Lower the quantization of rows by groups of neighbours."""
    size = _group_size(op, x, scales, group_size)
    grouped = op.Reshape(op.cast(x, ir.DataType.FLOAT), op.i64([-1, size]))
    scale, zero = (op.cast(op.Reshape(item, op.i64([-1, 1])), ir.DataType.FLOAT) for item in (scales, zero_points))
    steps = op.Round(op.Add(op.Mul(grouped, op.Reciprocal(scale)), zero))
    return op.Reshape(op.cast(clipped(op, steps, quant_min, quant_max), onnx_dtype(dtype)), op.i64([-1, op.dim(x, -1)]))


@lowers("quantized_decomposed::dequantize_per_channel_group")
def dequantize_per_channel_group(
    op: Emitter,
    x: ir.Value,
    scales: ir.Value,
    zero_points: ir.Value | None,
    *,
    quant_min: int,
    quant_max: int,
    dtype: torch.dtype,
    group_size: int,
    output_dtype: torch.dtype,
) -> ir.Value:
    """Lower the dequantization of rows by groups of neighbours."""
    size = _group_size(op, x, scales, group_size)
    groups = op.i64([-1, op.dim(x, -1) // size])
    factor = op.Reshape(op.cast(scales, ir.DataType.FLOAT), groups)
    zero = None if zero_points is None else op.Reshape(op.cast(zero_points, x.dtype), groups)
    return op.cast(op.DequantizeLinear(x, factor, zero, axis=1, block_size=size), onnx_dtype(output_dtype))
