# SPDX-License-Identifier: Apache-2.0
"""Quantisation: per axis since opset 13, by blocks and with a stated output dtype since 21."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from .forms import alike, dtype_of, kept

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand


@spells("QuantizeLinear", since=23)
def quantize_linear(
    op: Emitter,
    x: Operand,
    y_scale: Operand,
    y_zero_point: Operand = None,
    *,
    output_dtype: int | None = None,
    **attributes: Any,
) -> ir.Value:
    """QuantizeLinear 23; a zero point states the output's dtype too."""
    result = op.raw("QuantizeLinear", x, y_scale, y_zero_point, output_dtype=output_dtype, **attributes)
    if not isinstance(y_zero_point, ir.Value):
        result.dtype = ir.DataType(output_dtype) if output_dtype else ir.DataType.UINT8
    return result


@spells("DequantizeLinear", since=23)
def dequantize_linear(
    op: Emitter, x: Operand, x_scale: Operand, x_zero_point: Operand = None, *, output_dtype: int = 0, **attributes: Any
) -> ir.Value:
    """DequantizeLinear 23; without a stated dtype the output has the scale's."""
    result = op.raw("DequantizeLinear", x, x_scale, x_zero_point, output_dtype=output_dtype or None, **attributes)
    scale = x_scale.dtype if isinstance(x_scale, ir.Value) else ir.DataType.FLOAT
    result.dtype = ir.DataType(output_dtype) if output_dtype else scale
    return result


_EIGHT_BITS = frozenset({ir.DataType.UINT8, ir.DataType.INT8})
_FROM_10 = _EIGHT_BITS | {ir.DataType.INT32}


def _quantized(
    op: Emitter, x: Operand, y_scale: Operand, y_zero_point: Operand, output_dtype: int | None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return input, scale and zero point; the zero point states the output's dtype."""
    (value,) = alike(op, x)
    scale = y_scale if isinstance(y_scale, ir.Value) else op.const(y_scale, dtype_of(value))
    if isinstance(y_zero_point, ir.Value):
        return value, scale, y_zero_point
    dtype = ir.DataType(output_dtype) if output_dtype else ir.DataType.UINT8
    zeros = np.zeros([size for size in scale.shape or () if isinstance(size, int)])
    return value, scale, op.const(zeros if y_zero_point is None else y_zero_point, dtype)


@spells("QuantizeLinear", since=21)
def quantize_linear_21(
    op: Emitter, x: Operand, y_scale: Operand, y_zero_point: Operand = None, **attributes: Any
) -> ir.Value:
    """QuantizeLinear 21 computes in the input's precision."""
    return quantize_linear(op, x, y_scale, y_zero_point, **kept("QuantizeLinear", attributes, {"precision": 0}))


def _register_quantize(since: int, per_axis: bool, native: bool) -> None:
    @spells("QuantizeLinear", since=since)
    def older(
        op: Emitter,
        x: Operand,
        y_scale: Operand,
        y_zero_point: Operand = None,
        *,
        axis: int = 1,
        output_dtype: int | None = None,
        saturate: int = 1,
        **attributes: Any,
    ) -> ir.Value:
        kept("QuantizeLinear", attributes, {"block_size": 0, "precision": 0})
        value, scale, zero = _quantized(op, x, y_scale, y_zero_point, output_dtype)
        if not dtype_of(zero).is_integer() and since < 19:
            raise op.cannot(f"quantising to {dtype_of(zero).name.lower()} needs opset 19")
        one_scale = op.rank(scale) == 0
        has_type = dtype_of(zero) in _EIGHT_BITS or not dtype_of(zero).is_integer()
        if native and has_type and (one_scale or per_axis):
            along = {"axis": axis} if per_axis and not one_scale else {}
            if since >= 19 and not saturate:
                along["saturate"] = 0
            return op.raw("QuantizeLinear", value, scale, zero, **along)
        wide = dtype_of(value) if dtype_of(value).is_floating_point() else ir.DataType.FLOAT
        scale, centre = (_along(op, op.cast(item, wide), value, axis) for item in (scale, zero))
        steps = op.Add(op.Round(op.Div(op.cast(value, wide), scale)), centre)
        limits = np.iinfo(dtype_of(zero).numpy())
        return op.cast(op.Clip(steps, float(limits.min), float(limits.max)), dtype_of(zero))


_register_quantize(19, per_axis=True, native=True)
_register_quantize(13, per_axis=True, native=True)
_register_quantize(10, per_axis=False, native=True)
_register_quantize(7, per_axis=False, native=False)


def _along(op: Emitter, x: ir.Value, like: ir.Value, axis: int) -> ir.Value:
    """Give a vector the rank that makes it run along an axis."""
    rank = op.rank(like)
    trailing = rank - 1 - axis % rank
    if op.rank(x) == 0 or not trailing:
        return x
    return op.Unsqueeze(x, list(range(1, 1 + trailing)))


def _dequantized_by_blocks(
    op: Emitter, x: ir.Value, scale: ir.Value, zero: ir.Value | None, axis: int, block_size: int
) -> ir.Value:
    """Split an axis into blocks, each of which has a scale of its own, and join it again."""
    axis %= op.rank(x)
    lead, tail = ([op.size(x, other) for other in others] for others in (range(axis), range(axis + 1, op.rank(x))))
    blocks = op.Reshape(op.cast(x, dtype_of(scale)), op.i64(op.int_vector([*lead, -1, block_size, *tail])))
    if zero is not None:
        blocks = op.Sub(blocks, op.Unsqueeze(op.cast(zero, dtype_of(scale)), [axis + 1]))
    blocks = op.Mul(blocks, op.Unsqueeze(scale, [axis + 1]))
    return op.Reshape(blocks, op.i64(op.int_vector([*lead, -1, *tail])))


def _register_dequantize(since: int, per_axis: bool, native: bool) -> None:
    @spells("DequantizeLinear", since=since)
    def older(
        op: Emitter,
        x: Operand,
        x_scale: Operand,
        x_zero_point: Operand = None,
        *,
        axis: int = 1,
        output_dtype: int = 0,
        block_size: int = 0,
    ) -> ir.Value:
        (value,) = alike(op, x)
        scale = x_scale if isinstance(x_scale, ir.Value) else op.const(x_scale, ir.DataType.FLOAT)
        zero = x_zero_point if x_zero_point is None else alike(op, value, x_zero_point)[1]
        if block_size and since < 21:
            result = _dequantized_by_blocks(op, value, scale, zero, axis, block_size)
            return op.cast(result, ir.DataType(output_dtype)) if output_dtype else result
        one_scale = op.rank(scale) == 0
        has_type = since >= 21 or dtype_of(value) in _FROM_10 or not dtype_of(value).is_integer()
        if native and has_type and (one_scale or per_axis):
            along = {"axis": axis} if per_axis and not one_scale else {}
            if block_size:
                along["block_size"] = block_size
            result = op.raw("DequantizeLinear", value, scale, zero, **along)
            result.dtype = ir.DataType.FLOAT if since < 19 else dtype_of(scale)
        else:
            wide = dtype_of(scale)
            steps = op.cast(value, wide)
            if zero is not None:
                steps = op.Sub(steps, _along(op, op.cast(zero, wide), value, axis))
            result = op.Mul(steps, _along(op, scale, value, axis))
        return op.cast(result, ir.DataType(output_dtype)) if output_dtype else result


_register_dequantize(21, per_axis=True, native=True)
_register_dequantize(13, per_axis=True, native=True)
_register_dequantize(10, per_axis=False, native=True)
_register_dequantize(7, per_axis=False, native=False)
