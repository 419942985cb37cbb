# SPDX-License-Identifier: Apache-2.0
"""Quantization and fake quantization, as in training that is aware of it.

PyTorch computes ``clamp(round(x / scale) + zero_point, low, high)`` with any bounds.  The ONNX operators clamp to the
range of an integer type, so narrower bounds add a Clip, and bounds that no type holds are computed in floats.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of
from .spatial import wanted

_RANGES = {
    ir.DataType.UINT8: (0, 255),
    ir.DataType.INT8: (-128, 127),
    ir.DataType.UINT16: (0, 65535),
    ir.DataType.INT16: (-32768, 32767),
}
"""The types that QuantizeLinear makes (those of 16 bits from opset 21 on, by parts before), and their ranges."""

_QUARTERS = {ir.DataType.UINT4: (0, 15), ir.DataType.INT4: (-8, 7)}


def _carrier(low: int, high: int) -> ir.DataType | None:
    """Return the narrowest type whose range holds the bounds."""
    return next((dtype for dtype, (least, most) in _RANGES.items() if least <= low and high <= most), None)


def _along(op: Emitter, parameter: ir.Value, axis: int | None, rank: int) -> ir.Value:
    """Lay a vector of one number a channel along an axis; what has the rank of the tensor is left."""
    if axis is None or axis == rank - 1 or op.rank(parameter) == rank:
        return parameter
    return op.Unsqueeze(parameter, op.i64(list(range(1, rank - axis))))


def steps_of(op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None = None) -> ir.Value:
    """Return the quantized values before they are clamped, as floats."""
    rank = op.rank(x)
    inverse = op.Reciprocal(op.cast(scale, x.dtype))
    rounded = op.Round(op.Mul(x, _along(op, inverse, axis, rank)))
    return op.Add(rounded, _along(op, op.cast(zero_point, x.dtype), axis, rank))


def clipped(op: Emitter, steps: ir.Value, low: Any, high: Any) -> ir.Value:
    """Clamp floats to bounds, numbers or values of no dimensions."""
    low, high = (op.scalar(bound, steps.dtype) for bound in (low, high))
    return op.Clip(steps, low, high)


def _from_steps(op: Emitter, steps: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None) -> ir.Value:
    rank = op.rank(steps)
    zero = _along(op, op.cast(zero_point, steps.dtype), axis, rank)
    return op.Mul(op.Sub(steps, zero), _along(op, op.cast(scale, steps.dtype), axis, rank))


def quantized(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    axis: int | None,
    low: int,
    high: int,
    dtype: ir.DataType,
) -> ir.Value:
    """Quantize by one scale, or by one a channel of an axis.

    Args:
        op: the emitter.
        x: the numbers.
        scale: of no dimensions, or a vector along the axis.
        zero_point: like the scale.
        axis: counted from the front; None for one scale.
        low: the least number that may come out.
        high: the largest.
        dtype: what to come out as.
    """
    if dtype in _RANGES and x.dtype != ir.DataType.DOUBLE:
        wide = op.cast(x, ir.DataType.FLOAT)
        factor = op.cast(scale, ir.DataType.FLOAT)
        y = op.QuantizeLinear(wide, factor, op.cast(zero_point, dtype), axis=1 if axis is None else axis)
        if (low, high) == _RANGES[dtype]:
            return y
        return op.Clip(y, op.const(low, dtype), op.const(high, dtype))
    return op.cast(clipped(op, steps_of(op, x, scale, zero_point, axis), low, high), dtype)


def _is_zero(zero_point: ir.Value | None) -> bool:
    constant = constant_of(zero_point)
    return constant is not None and not constant.any()


def dequantized(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value | None, axis: int | None, dtype: ir.DataType
) -> ir.Value:
    """Undo :func:`quantized`, to a floating dtype."""
    if x.dtype == ir.DataType.INT32 and (zero_point is None or _is_zero(zero_point)):
        # A bias: the operator takes 32 bits where nothing is to be subtracted.
        factor = op.cast(scale, ir.DataType.FLOAT)
        return op.cast(op.DequantizeLinear(x, factor, axis=1 if axis is None else axis), dtype)
    if x.dtype in _RANGES or x.dtype in _QUARTERS:
        zero = None if zero_point is None else op.cast(zero_point, x.dtype)
        factor = op.cast(scale, ir.DataType.FLOAT)
        return op.cast(op.DequantizeLinear(x, factor, zero, axis=1 if axis is None else axis), dtype)
    wide = op.cast(x, scale.dtype if scale.dtype is not None and scale.dtype.is_floating_point() else dtype)
    if zero_point is None:
        return op.cast(op.Mul(wide, _along(op, op.cast(scale, wide.dtype), axis, op.rank(x))), dtype)
    return op.cast(_from_steps(op, wide, scale, zero_point, axis), dtype)


def parameter(op: Emitter, value: Any, dtype: ir.DataType) -> ir.Value:
    """Return a scale or zero point of a whole tensor as a value without dimensions."""
    if not isinstance(value, ir.Value):
        return op.const(value, dtype)
    return value if op.rank(value) == 0 else op.Reshape(value, op.i64([]))


def parameters(op: Emitter, scale: Any, zero_point: Any) -> tuple[ir.Value, ir.Value]:
    """Return scale and zero point of a whole tensor, numbers or tensors, as values without dimensions."""
    return parameter(op, scale, ir.DataType.FLOAT), parameter(op, zero_point, ir.DataType.INT64)


# ---- fake quantization -----------------------------------------------------------------------------------------------


def faked(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None, low: int, high: int
) -> ir.Value:
    """Quantize and dequantize again."""
    carrier = _carrier(low, high)
    if carrier is None or x.dtype == ir.DataType.DOUBLE:
        steps = clipped(op, steps_of(op, x, scale, zero_point, axis), low, high)
        return _from_steps(op, steps, scale, zero_point, axis)
    y = quantized(op, x, scale, zero_point, axis, low, high, carrier)
    return dequantized(op, y, scale, zero_point, axis, x.dtype)


def unclamped(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, axis: int | None, low: int, high: int
) -> ir.Value:
    """Return which elements fell within the bounds; the gradient passes only there."""
    steps = steps_of(op, x, scale, zero_point, axis)
    above = op.Not(op.Less(steps, op.const(low, steps.dtype)))
    return op.And(above, op.Not(op.Greater(steps, op.const(high, steps.dtype))))


@lowers("aten::fake_quantize_per_tensor_affine")
def fake_quantize_per_tensor(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: Any, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by one scale."""
    factor, zero = parameters(op, scale, zero_point)
    return faked(op, x, factor, zero, None, quant_min, quant_max)


@lowers("aten::fake_quantize_per_tensor_affine.tensor_qparams")
def fake_quantize_per_tensor_by_tensors(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by a scale that is a tensor."""
    factor, zero = parameters(op, scale, zero_point)
    return faked(op, x, factor, zero, None, quant_min, quant_max)


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
    factor, zero = parameters(op, scale, clipped(op, op.Round(zero_point), quant_min, quant_max))
    return faked(op, x, factor, zero, None, quant_min, quant_max)


@lowers("aten::_fake_quantize_learnable_per_channel_affine")
def fake_quantize_learnable_per_channel(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    *,
    axis: int,
    quant_min: int,
    quant_max: int,
    grad_factor: float = 1.0,
) -> ir.Value:
    """Lower fake quantization by learned scales, one a channel."""
    zero = clipped(op, op.Round(zero_point), quant_min, quant_max)
    return faked(op, x, scale, op.cast(zero, ir.DataType.INT64), axis % op.rank(x), quant_min, quant_max)


@lowers("aten::fake_quantize_per_tensor_affine_cachemask")
def fake_quantize_per_tensor_with_mask(
    op: Emitter, x: ir.Value, *, scale: float, zero_point: Any, quant_min: int, quant_max: int
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form, which also returns where nothing was clamped."""
    factor, zero = parameters(op, scale, zero_point)
    mask = unclamped(op, x, factor, zero, None, quant_min, quant_max) if wanted(op, 1) else None
    return faked(op, x, factor, zero, None, quant_min, quant_max), mask


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
    factor, zero = parameters(op, scale, zero_point)
    enabled = op.cast(fake_quant_enabled, ir.DataType.BOOL)
    mask = None
    if wanted(op, 1):
        mask = op.Or(unclamped(op, x, factor, zero, None, quant_min, quant_max), op.Not(enabled))
    return op.Where(enabled, faked(op, x, factor, zero, None, quant_min, quant_max), x), mask


@lowers("aten::fake_quantize_per_channel_affine")
def fake_quantize_per_channel(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, axis: int, quant_min: int, quant_max: int
) -> ir.Value:
    """Lower fake quantization by one scale a channel."""
    return faked(op, x, scale, zero_point, axis % op.rank(x), quant_min, quant_max)


@lowers("aten::fake_quantize_per_channel_affine_cachemask")
def fake_quantize_per_channel_with_mask(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, *, axis: int, quant_min: int, quant_max: int
) -> tuple[ir.Value, ir.Value | None]:
    """Lower the core form by channel, which also returns where nothing was clamped."""
    axis = axis % op.rank(x)
    mask = unclamped(op, x, scale, zero_point, axis, quant_min, quant_max) if wanted(op, 1) else None
    return faked(op, x, scale, zero_point, axis, quant_min, quant_max), mask
