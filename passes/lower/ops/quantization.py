# SPDX-License-Identifier: Apache-2.0
"""Quantization: fake, as in quantization-aware training, and real, as ``torch.ao``'s decomposed operators.

PyTorch computes ``clamp(round(x / scale) + zero_point, low, high)`` with any bounds.  The ONNX operators clamp to the
range of an integer type, so narrower bounds add a Clip, and bounds that no type holds are computed in floats.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter
from ..registry import lowers
from .spatial import wanted

_RANGES = {ir.DataType.UINT8: (0, 255), ir.DataType.INT8: (-128, 127)}


def _carrier(low: int, high: int) -> ir.DataType | None:
    """Return the 8-bit type whose range holds the bounds."""
    return next((dtype for dtype, (least, most) in _RANGES.items() if least <= low and high <= most), None)


def _along(op: Emitter, parameter: ir.Value, axis: int | None, rank: int) -> ir.Value:
    """Lay a vector of one number a channel along an axis."""
    if axis is None or axis == rank - 1:
        return parameter
    return op.Unsqueeze(parameter, op.i64(list(range(1, rank - axis))))


def _steps(op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None) -> ir.Value:
    """Return the quantized values before they are clamped, as floats."""
    rank = op.rank(x)
    inverse = op.Reciprocal(op.cast(scale, x.dtype))
    rounded = op.Round(op.Mul(x, _along(op, inverse, axis, rank)))
    return op.Add(rounded, _along(op, op.cast(zero_point, x.dtype), axis, rank))


def _from_steps(op: Emitter, steps: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None) -> ir.Value:
    rank = op.rank(steps)
    zero = _along(op, op.cast(zero_point, steps.dtype), axis, rank)
    return op.Mul(op.Sub(steps, zero), _along(op, op.cast(scale, steps.dtype), axis, rank))


def _quantized(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    axis: int | None,
    low: int,
    high: int,
    dtype: ir.DataType,
) -> ir.Value:
    if dtype in _RANGES and x.dtype != ir.DataType.DOUBLE:
        wide = op.cast(x, ir.DataType.FLOAT)
        factor = op.cast(scale, ir.DataType.FLOAT)
        y = op.QuantizeLinear(wide, factor, op.cast(zero_point, dtype), axis=1 if axis is None else axis)
        if (low, high) == _RANGES[dtype]:
            return y
        return op.Clip(y, op.const(low, dtype), op.const(high, dtype))
    steps = _steps(op, x, scale, zero_point, axis)
    return op.cast(op.Clip(steps, op.const(low, steps.dtype), op.const(high, steps.dtype)), dtype)


def _dequantized(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value | None, axis: int | None, dtype: ir.DataType
) -> ir.Value:
    if x.dtype in _RANGES:
        zero = None if zero_point is None else op.cast(zero_point, x.dtype)
        factor = op.cast(scale, ir.DataType.FLOAT)
        return op.cast(op.DequantizeLinear(x, factor, zero, axis=1 if axis is None else axis), dtype)
    wide = op.cast(x, scale.dtype if scale.dtype is not None and scale.dtype.is_floating_point() else dtype)
    if zero_point is None:
        return op.cast(op.Mul(wide, _along(op, op.cast(scale, wide.dtype), axis, op.rank(x))), dtype)
    return op.cast(_from_steps(op, wide, scale, zero_point, axis), dtype)


def _number(op: Emitter, value: Any, dtype: ir.DataType) -> ir.Value:
    """Return a scale or zero point as a value without dimensions."""
    if not isinstance(value, ir.Value):
        return op.const(value, dtype)
    return value if op.rank(value) == 0 else op.Reshape(value, op.i64([]))


# ---- fake quantization -----------------------------------------------------------------------------------------------


def _faked(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None, low: int, high: int
) -> ir.Value:
    """Quantize and dequantize again."""
    carrier = _carrier(low, high)
    if carrier is None or x.dtype == ir.DataType.DOUBLE:
        steps = _steps(op, x, scale, zero_point, axis)
        steps = op.Clip(steps, op.const(low, steps.dtype), op.const(high, steps.dtype))
        return _from_steps(op, steps, scale, zero_point, axis)
    y = _quantized(op, x, scale, zero_point, axis, low, high, carrier)
    return _dequantized(op, y, scale, zero_point, axis, x.dtype)


def _unclamped(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None, low: int, high: int
) -> ir.Value:
    """Return which elements fell within the bounds; the gradient passes only there."""
    steps = _steps(op, x, scale, zero_point, axis)
    above = op.Not(op.Less(steps, op.const(low, steps.dtype)))
    return op.And(above, op.Not(op.Greater(steps, op.const(high, steps.dtype))))


@lowers("aten::fake_quantize_per_tensor_affine")
def fake_quantize_per_tensor(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: Any, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by one scale."""
    factor = _number(op, scale, ir.DataType.FLOAT)
    return _faked(op, x, factor, _number(op, zero_point, ir.DataType.INT64), None, quant_min, quant_max)


@lowers("aten::fake_quantize_per_tensor_affine.tensor_qparams")
def fake_quantize_per_tensor_by_tensors(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by a scale that is a tensor."""
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    return _faked(op, x, factor, zero, None, quant_min, quant_max)


@lowers("aten::_fake_quantize_learnable_per_tensor_affine")
def fake_quantize_learnable_per_tensor(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
    grad_factor: float = 1.0,
) -> ir.Value:
    """Lower fake quantization by a learned scale; a learned zero point is rounded and kept within the bounds."""
    zero = op.Clip(op.Round(zero_point), op.const_like(quant_min, zero_point), op.const_like(quant_max, zero_point))
    factor = _number(op, scale, ir.DataType.FLOAT)
    return _faked(op, x, factor, _number(op, zero, ir.DataType.INT64), None, quant_min, quant_max)


@lowers("aten::fake_quantize_per_tensor_affine_cachemask")
def fake_quantize_per_tensor_with_mask(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: Any, quant_min: int, quant_max: int
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form, which also returns where nothing was clamped."""
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    mask = _unclamped(op, x, factor, zero, None, quant_min, quant_max) if wanted(op, 1) else None
    return _faked(op, x, factor, zero, None, quant_min, quant_max), mask


@lowers("aten::_fake_quantize_per_tensor_affine_cachemask_tensor_qparams")
def fake_quantize_per_tensor_switched(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    fake_quant_enabled: ir.Value,
    *,
    quant_min: int,
    quant_max: int,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form of a module whose fake quantization can be switched off."""
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    enabled = op.cast(fake_quant_enabled, ir.DataType.BOOL)
    mask = None
    if wanted(op, 1):
        mask = op.Or(_unclamped(op, x, factor, zero, None, quant_min, quant_max), op.Not(enabled))
    return op.Where(enabled, _faked(op, x, factor, zero, None, quant_min, quant_max), x), mask


@lowers("aten::fake_quantize_per_channel_affine")
def fake_quantize_per_channel(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, axis: int, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by one scale a channel."""
    return _faked(op, x, scale, zero_point, axis % op.rank(x), quant_min, quant_max)


@lowers("aten::fake_quantize_per_channel_affine_cachemask")
def fake_quantize_per_channel_with_mask(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, axis: int, quant_min: int, quant_max: int
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form by channel, which also returns where nothing was clamped."""
    axis = axis % op.rank(x)
    mask = _unclamped(op, x, scale, zero_point, axis, quant_min, quant_max) if wanted(op, 1) else None
    return _faked(op, x, scale, zero_point, axis, quant_min, quant_max), mask


# ---- the decomposed operators of torch.ao ----------------------------------------------------------------------------


@lowers("quantized_decomposed::quantize_per_tensor")
def quantize_per_tensor(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: int, quant_min: int, quant_max: int, dtype: torch.dtype
) -> ir.Value:
    """Lower quantization by one scale."""
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    return _quantized(op, x, factor, zero, None, quant_min, quant_max, onnx_dtype(dtype))


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
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    return _quantized(op, x, factor, zero, None, quant_min, quant_max, onnx_dtype(dtype))


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
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    return _dequantized(op, x, factor, zero, None, onnx_dtype(out_dtype or torch.float32))


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
    factor, zero = _number(op, scale, ir.DataType.FLOAT), _number(op, zero_point, ir.DataType.INT64)
    return _dequantized(op, x, factor, zero, None, onnx_dtype(out_dtype or torch.float32))


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
    return _quantized(op, x, scales, zero_points, axis % op.rank(x), quant_min, quant_max, onnx_dtype(dtype))


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
    return _dequantized(op, x, scales, zero_points, axis % op.rank(x), onnx_dtype(out_dtype or torch.float32))


@lowers("quantized_decomposed::choose_qparams.tensor")
def choose_qparams(
    op: Emitter, x: ir.Value, *, quant_min: int, quant_max: int, eps: float, dtype: torch.dtype
) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of scale and zero point from the range of a tensor, which always takes in zero."""
    zero = op.const([0], x.dtype)
    least = op.Min(op.ReduceMin(x, keepdims=0), zero)
    most = op.Max(op.ReduceMax(x, keepdims=0), zero)
    scale = op.Max(op.Div(op.Sub(most, least), float(quant_max - quant_min)), op.const(eps, x.dtype))
    low, high = op.const(quant_min, x.dtype), op.const(quant_max, x.dtype)
    point = op.Clip(op.Sub(low, op.Round(op.Div(least, scale))), low, high)
    return op.cast(scale, ir.DataType.DOUBLE), op.cast(point, ir.DataType.INT64)
