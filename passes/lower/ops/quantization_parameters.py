# SPDX-License-Identifier: Apache-2.0
"""Scales and zero points that are chosen at run time from the range of what is quantized."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import onnx_ir as ir
import torch

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import constant_of
from .quantization import clipped, faked, unclamped
from .spatial import wanted

_DOUBLE = ir.DataType.DOUBLE
_UINT8, _INT8 = ir.DataType.UINT8, ir.DataType.INT8


# ---- the rule of torch.ao's Python code (torch/ao/quantization/utils.py, determine_qparams) --------------------------


def _extremes(op: Emitter, x: ir.Value, axis: int | None) -> tuple[ir.Value, ir.Value]:
    """Return least and largest number, zero taken in: of all as one element, or along an axis that is kept."""
    zero = op.const([0], x.dtype)
    axes, keep = (None, 0) if axis is None else (op.i64([axis]), 1)
    least, most = op.ReduceMin(x, axes, keepdims=keep), op.ReduceMax(x, axes, keepdims=keep)
    return op.Min(least, zero), op.Max(most, zero)


@lowers("quantized_decomposed::choose_qparams.tensor")
def choose_qparams(
    op: Emitter, x: ir.Value, *, quant_min: int, quant_max: int, eps: float, dtype: torch.dtype
) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of scale and zero point from the range of a tensor."""
    least, most = _extremes(op, x, None)
    scale = op.Max(op.Div(op.Sub(most, least), float(quant_max - quant_min)), op.const([eps], x.dtype))
    low = op.const(quant_min, x.dtype)
    point = clipped(op, op.Sub(low, op.Round(op.Div(least, scale))), quant_min, quant_max)
    return op.cast(scale, _DOUBLE), op.cast(point, ir.DataType.INT64)


# ---- one operator for the choice and the quantization by it ----------------------------------------------------------

_CHOSEN_FOR, _MADE_WITH = "lading.chosen_for", "lading.made_with"

# The operator knows no smallest scale.  Up to this one, what a smaller scale makes differs by less than float32 holds
# of numbers around one; a tensor of zeros alone comes out as zeros from both.
_LARGEST_EPS = float(np.finfo(np.float32).eps)


@attrs.frozen
class _Made:
    """What DynamicQuantizeLinear made of a tensor: unsigned bytes, their scale and their zero point."""

    y: ir.Value
    scale: ir.Value
    zero_point: ir.Value


@lowers("quantized_decomposed::choose_qparams.tensor", since=11)
def choose_qparams_for_the_operator(
    op: Emitter, x: ir.Value, *, quant_min: int, quant_max: int, eps: float, dtype: torch.dtype
) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of scale and zero point, and note what for: DynamicQuantizeLinear chooses by the same rule.

    Where they serve to quantize that tensor, they are not needed, and the nodes that choose them are dead.
    """
    scale, point = choose_qparams(op, x, quant_min=quant_min, quant_max=quant_max, eps=eps, dtype=dtype)
    if x.dtype == ir.DataType.FLOAT and eps <= _LARGEST_EPS and quant_max - quant_min == 255:
        scale.meta[_CHOSEN_FOR] = point.meta[_CHOSEN_FOR] = (x, quant_min)
    return scale, point


def quantized_by_choice(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, low: int, high: int, dtype: ir.DataType
) -> ir.Value | None:
    """Quantize a tensor in one operator, where scale and zero point were chosen from its own range; else None."""
    chosen = scale.meta.get(_CHOSEN_FOR)
    if chosen is None or chosen is not zero_point.meta.get(_CHOSEN_FOR) or chosen[0] is not x:
        return None
    if (low, dtype) not in ((0, _UINT8), (-128, _INT8)) or chosen[1] != low or high - low != 255:
        return None
    made = _Made(*op.DynamicQuantizeLinear(x))
    y = made.y
    if dtype == _INT8:
        y = op.cast(op.Sub(op.cast(y, ir.DataType.INT32), 128), _INT8)
    y.meta[_MADE_WITH] = (made, scale, zero_point)
    return y


def dequantized_from_choice(
    op: Emitter, x: ir.Value, scale: ir.Value, zero_point: ir.Value, dtype: ir.DataType
) -> ir.Value | None:
    """Undo :func:`quantized_by_choice` by the operator's own bytes; None where something else made the tensor."""
    made, *parameters = x.meta.get(_MADE_WITH, (None,))
    if made is None or parameters[0] is not scale or parameters[1] is not zero_point:
        return None
    return op.cast(op.DequantizeLinear(made.y, made.scale, made.zero_point), dtype)


@lowers("quantized_decomposed::choose_qparams_symmetric.tensor")
def choose_qparams_symmetric(
    op: Emitter, x: ir.Value, *, quant_min: int, quant_max: int, eps: float, dtype: torch.dtype
) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of a scale whose zero point is the middle of the type."""
    least, most = _extremes(op, x, None)
    reach = op.Div(op.Max(op.Neg(least), most), float(quant_max - quant_min) / 2)
    scale = op.Max(reach, op.const([eps], x.dtype))
    return op.cast(scale, _DOUBLE), op.i64([128 if dtype == torch.uint8 else 0])


@lowers("quantized_decomposed::choose_qparams_per_token")
def choose_qparams_per_token(op: Emitter, x: ir.Value, *, dtype: torch.dtype) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of one scale for each row, whose zero point is zero."""
    reach = op.ReduceMax(op.Abs(x), op.i64([-1]), keepdims=1)
    if reach.dtype == ir.DataType.FLOAT16:
        reach = op.cast(reach, ir.DataType.FLOAT)
    scales = op.Div(op.Max(reach, op.const_like(1e-5, reach)), op.const_like(127, reach))
    return scales, op.Mul(scales, op.const_like(0, scales))


@lowers(
    "quantized_decomposed::choose_qparams_per_token_asymmetric",
    "quantized_decomposed::_choose_qparams_per_token_asymmetric_impl",
)
def choose_qparams_per_token_asymmetric(op: Emitter, x: ir.Value, *, dtype: torch.dtype) -> tuple[ir.Value, ir.Value]:
    """Lower the choice of one scale and zero point for each row, of 8 bits with a sign."""
    low, high = -128.0, 127.0
    least, most = _extremes(op, x, -1)
    eps = float(np.finfo(np.float32).eps)
    scale = op.Max(op.Div(op.Sub(most, least), high - low), op.const_like(eps, x))
    below, above = op.Div(least, scale), op.Div(most, scale)
    nearer_low = op.Greater(op.Add(op.Add(below, low), op.Add(above, high)), 0.0)
    point = op.Where(nearer_low, op.Sub(op.const_like(low, x), below), op.Sub(op.const_like(high, x), above))
    point = op.Round(clipped(op, point, low, high))
    return op.cast(scale, _DOUBLE), op.cast(point, ir.DataType.INT64)


# ---- the rule of the kernels (aten/src/ATen/native/quantized/cpu/QuantUtils.h, ChooseQuantizationParams) -------------

_SMALLEST_SCALE = 6.1e-5
# One over a smaller scale is no float any more.
_USELESS_SCALE = 1 / float(np.finfo(np.float32).max)


def chosen_by_kernels(
    op: Emitter, least: ir.Value, most: ir.Value, low: int, high: int, symmetric: bool
) -> tuple[ir.Value, ir.Value]:
    """Return scale (float32) and zero point (int64) for a range, as PyTorch's kernels choose them.

    A scale below the smallest is raised; the kernels then widen the range in proportion, which leaves the zero point
    where it was.

    Args:
        op: the emitter.
        least: the least number of what is quantized, or one for each channel.
        most: the largest.
        low: the least quantized number.
        high: the largest.
        symmetric: whether a range with zero within it gets the middle as zero point.
    """
    zero = op.const(0, _DOUBLE)
    least, most = op.cast(least, _DOUBLE), op.cast(most, _DOUBLE)
    from_zero, to_zero = op.Min(least, zero), op.Max(most, zero)
    scale = op.Div(op.Sub(to_zero, from_zero), float(high - low))
    both: ir.Value | None = None
    if symmetric:
        both = op.And(op.Less(least, zero), op.Greater(most, zero))
        half = (high - low) // 2
        reach = op.Max(op.Div(least, float(-half - 1)), op.Div(most, float(half)))
        scale = op.Where(both, op.Mul(reach, (2 * half + 1) / (high - low)), scale)
    scale = op.Where(op.Less(scale, _USELESS_SCALE), op.const(0.1, _DOUBLE), scale)
    point = op.Sub(op.const(float(low), _DOUBLE), op.Div(from_zero, scale))
    if both is not None:
        point = op.Where(both, op.const((low + high) / 2, _DOUBLE), point)
    point = clipped(op, op.Round(point), low, high)
    scale = op.Max(scale, op.const(_SMALLEST_SCALE, _DOUBLE))
    return op.cast(scale, ir.DataType.FLOAT), op.cast(point, ir.DataType.INT64)


def _switch(op: Emitter, value: ir.Value) -> bool | ir.Value:
    """Return a switch: a bool where it is a constant of the model, else a truth value of no dimensions."""
    constant = constant_of(value)
    if constant is not None and constant.size == 1:
        return bool(constant.reshape(()))
    return op.cast(op.Reshape(value, op.i64([])), ir.DataType.BOOL)


def _either(op: Emitter, switch: bool | ir.Value, on: Any, off: ir.Value) -> ir.Value:
    if isinstance(switch, bool):
        return on() if switch else off
    return op.Where(switch, on(), off)


def _seen_range(op: Emitter, x: ir.Value, axis: int | None) -> tuple[ir.Value, ir.Value]:
    if axis is None:
        return op.ReduceMin(x, keepdims=0), op.ReduceMax(x, keepdims=0)
    others = op.i64([other for other in range(op.rank(x)) if other != axis % op.rank(x)])
    return op.ReduceMin(x, others, keepdims=0), op.ReduceMax(x, others, keepdims=0)


def _moved(op: Emitter, running: ir.Value, now: ir.Value, share: float) -> ir.Value:
    """Move what has been seen by a share towards what is seen now; what has seen nothing is infinite."""
    constant = constant_of(running)
    if constant is not None and np.isinf(constant).all():
        return op.Reshape(now, op.i64(op.sizes(running))) if op.rank(now) != op.rank(running) else now
    moved = op.Add(running, op.Mul(op.Sub(now, running), op.const_like(share, running)))
    return op.Where(op.IsInf(running), now, moved)


@lowers("aten::_fused_moving_avg_obs_fq_helper_functional", "aten::_fused_moving_avg_obs_fq_helper")
def observed_fake_quantization(
    op: Emitter,
    x: ir.Value,
    observer_on: ir.Value,
    fake_quant_on: ir.Value,
    running_min: ir.Value,
    running_max: ir.Value,
    scale: ir.Value,
    zero_point: ir.Value,
    *,
    averaging_const: float,
    quant_min: int,
    quant_max: int,
    ch_axis: int,
    per_row_fake_quant: bool = False,
    symmetric_quant: bool = False,
) -> tuple[ir.Value, ...]:
    """Lower fake quantization that follows the range of what it sees, which also returns the new range and parameters.

    An exported file keeps no state: each run starts from the range and parameters of the model.
    """
    axis = ch_axis % op.rank(x) if per_row_fake_quant else None
    observes, quantizes = _switch(op, observer_on), _switch(op, fake_quant_on)
    ranges: list[ir.Value] = [running_min, running_max]
    if observes is not False:
        if any(op.dim(value, 0) == 0 for value in ranges if op.rank(value)):
            raise op.cannot("an observer that has not seen anything yet has no range for each channel")
        seen = _seen_range(op, x, axis)
        for index, (running, now) in enumerate(zip(ranges, seen, strict=True)):
            first = _moved(op, running, now, averaging_const)
            ranges[index] = _either(op, observes, lambda value=first: value, running)
    factor, point = scale, zero_point
    if quantizes is not False:
        low, high = ranges
        chosen = chosen_by_kernels(op, low, high, quant_min, quant_max, symmetric_quant)
        shape = op.i64(op.sizes(scale))
        laid_out = [op.Reshape(item, shape) if op.rank(item) != op.rank(scale) else item for item in chosen]
        factor = _either(op, quantizes, lambda: op.cast(laid_out[0], scale.dtype), scale)
        point = _either(op, quantizes, lambda: op.cast(laid_out[1], zero_point.dtype), zero_point)
    flat = op.i64([])
    step, origin = (factor, point) if axis is not None else (op.Reshape(factor, flat), op.Reshape(point, flat))
    y = _either(op, quantizes, lambda: faked(op, x, step, origin, axis, quant_min, quant_max), x)
    mask: ir.Value | None = None
    if wanted(op, 1):
        everything = op.Expand(op.const(True, ir.DataType.BOOL), op.i64(op.sizes(x)))
        mask = _either(op, quantizes, lambda: unclamped(op, x, step, origin, axis, quant_min, quant_max), everything)
    return (y, mask, *ranges, factor, point)
