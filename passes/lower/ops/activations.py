# SPDX-License-Identifier: Apache-2.0
"""Activation functions."""

from __future__ import annotations

import math

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter, Operand
from ..registry import lowers
from .random import uniform_like


@lowers("aten::relu")
def relu(op: Emitter, x: ir.Value) -> ir.Value:
    """``max(x, 0)``."""
    return op.Relu(x)


@lowers("aten::relu6")
def relu6(op: Emitter, x: ir.Value) -> ir.Value:
    """``min(max(x, 0), 6)``."""
    return op.Clip(x, 0, 6)


@lowers("aten::leaky_relu")
def leaky_relu(op: Emitter, x: ir.Value, *, negative_slope: float = 0.01) -> ir.Value:
    """``x`` above zero and ``negative_slope * x`` below."""
    return op.LeakyRelu(x, alpha=op.static_number(negative_slope, "the slope"))


@lowers("aten::prelu", "aten::_prelu_kernel")
def prelu(op: Emitter, x: ir.Value, weight: ir.Value) -> ir.Value:
    """A leaky ReLU with a learnt slope, one for each channel (dimension 1) or one for all."""
    rank = op.rank(x)
    if op.rank(weight) == 1 and op.dim(weight, 0) == 1:
        slope = weight if rank > 0 else op.Squeeze(weight, [0])
    elif op.rank(weight) == 1 and rank > 2:
        slope = op.Unsqueeze(weight, list(range(1, rank - 1)))
    else:
        slope = weight
    return op.PRelu(x, slope)


@lowers("aten::rrelu", "aten::rrelu_with_noise", "aten::rrelu_with_noise_functional")
def rrelu(
    op: Emitter,
    x: ir.Value,
    noise: ir.Value | None = None,
    *,
    lower: float = 0.125,
    upper: float = 1 / 3,
    training: bool = False,
) -> list[ir.Value | None]:
    """A leaky ReLU with a random slope, which outside training is the mean slope."""
    if training:
        slope = uniform_like(op, x, float(lower), float(upper))
        return [op.Where(op.Less(x, 0), op.Mul(x, slope), x)]
    return [op.LeakyRelu(x, alpha=(lower + upper) / 2), noise]


@lowers("aten::elu")
def elu(op: Emitter, x: ir.Value, *, alpha: float = 1, scale: float = 1, input_scale: float = 1) -> ir.Value:
    """``scale * (x if x > 0 else alpha * (exp(x * input_scale) - 1))``."""
    if input_scale == 1:
        result = op.Elu(x, alpha=float(alpha))
    else:
        below = op.Mul(op.Sub(op.Exp(op.Mul(x, input_scale)), 1), alpha)
        result = op.Where(op.Greater(x, 0), x, below)
    return result if scale == 1 else op.Mul(result, scale)


@lowers("aten::selu")
def selu(op: Emitter, x: ir.Value) -> ir.Value:
    """The self-normalising ELU, whose constants are ONNX's defaults too."""
    return op.Selu(x)


@lowers("aten::celu")
def celu(op: Emitter, x: ir.Value, *, alpha: float = 1.0) -> ir.Value:
    """``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``."""
    return op.Celu(x, alpha=float(alpha))


# ---- smooth ones -----------------------------------------------------------------------------------------------------


@lowers("aten::sigmoid", "aten::special_expit")
def sigmoid(op: Emitter, x: ir.Value) -> ir.Value:
    """``1 / (1 + exp(-x))``."""
    return op.Sigmoid(*op.promote_float(x))


@lowers("aten::tanh", "prims::tanh")
def tanh(op: Emitter, x: ir.Value) -> ir.Value:
    """The hyperbolic tangent."""
    return op.Tanh(*op.promote_float(x))


@lowers("aten::gelu")
def gelu(op: Emitter, x: ir.Value, *, approximate: str = "none") -> ir.Value:
    """``x`` times the normal distribution function, or its approximation by tanh."""
    return op.Gelu(x, approximate=None if approximate == "none" else approximate)


@lowers("aten::silu")
def silu(op: Emitter, x: ir.Value) -> ir.Value:
    """``x * sigmoid(x)``."""
    return op.Swish(x)


@lowers("aten::mish")
def mish(op: Emitter, x: ir.Value) -> ir.Value:
    """``x * tanh(softplus(x))``."""
    return op.Mish(x)


@lowers("aten::hardsigmoid")
def hardsigmoid(op: Emitter, x: ir.Value) -> ir.Value:
    """``clip(x / 6 + 1 / 2, 0, 1)``."""
    return op.HardSigmoid(x, alpha=1 / 6, beta=0.5)


@lowers("aten::hardswish")
def hardswish(op: Emitter, x: ir.Value) -> ir.Value:
    """``x * hardsigmoid(x)``."""
    return op.HardSwish(x)


@lowers("aten::softplus")
def softplus(op: Emitter, x: ir.Value, *, beta: float = 1, threshold: float = 20) -> ir.Value:
    """``log(1 + exp(beta * x)) / beta``.

    From the threshold on PyTorch returns ``x``; at the default threshold that is the same number in every precision
    up to single, and a threshold this high or higher is left out.
    """
    scaled = x if beta == 1 else op.Mul(x, beta)
    smooth = op.Softplus(scaled)
    if beta != 1:
        smooth = op.Div(smooth, beta)
    if threshold >= 20:
        return smooth
    return op.Where(op.Greater(scaled, threshold), x, smooth)


@lowers("aten::log_sigmoid")
def log_sigmoid(op: Emitter, x: ir.Value) -> ir.Value:
    """``-softplus(-x)``, which does not overflow."""
    return op.Neg(op.Softplus(op.Neg(x)))


@lowers("aten::log_sigmoid_forward")
def log_sigmoid_forward(op: Emitter, x: ir.Value) -> list[ir.Value | None]:
    """``log_sigmoid`` with a buffer that only the backward pass reads."""
    return [log_sigmoid(op, x), op.Exp(op.Neg(op.Abs(x)))]


@lowers("aten::softsign")
def softsign(op: Emitter, x: ir.Value) -> ir.Value:
    """``x / (1 + |x|)``."""
    return op.Softsign(x)


@lowers("aten::softshrink")
def softshrink(op: Emitter, x: ir.Value, *, lambd: float = 0.5) -> ir.Value:
    """Move towards zero by ``lambd``; ONNX's Shrink would lose NaN."""
    return op.Sub(x, op.Clip(x, -lambd, lambd))


@lowers("aten::hardshrink")
def hardshrink(op: Emitter, x: ir.Value, *, lambd: float = 0.5) -> ir.Value:
    """Zero within ``lambd`` of zero; ONNX's Shrink would lose NaN."""
    return op.Where(op.LessOrEqual(op.Abs(x), lambd), 0.0, x)


@lowers("aten::glu")
def glu(op: Emitter, x: ir.Value, *, dim: int = -1) -> ir.Value:
    """The first half along a dimension times the sigmoid of the second."""
    first, second = op.Split(x, axis=dim, num_outputs=2, outputs=2)
    return op.Mul(first, op.Sigmoid(second))


# ---- hard limits -----------------------------------------------------------------------------------------------------


@lowers("aten::hardtanh")
def hardtanh(op: Emitter, x: ir.Value, *, min_val: Operand = -1, max_val: Operand = 1) -> ir.Value:
    """Bound by two numbers of the input's own dtype."""
    return op.Clip(x, min_val, max_val)


@lowers("aten::threshold")
def threshold(op: Emitter, x: ir.Value, *, threshold: Operand, value: Operand) -> ir.Value:
    """``x`` above a threshold, a value elsewhere."""
    if threshold == 0 and value == 0:
        return op.Relu(x)
    return op.Where(op.LessOrEqual(x, threshold), value, x)


# ---- softmax ---------------------------------------------------------------------------------------------------------


def _softmax_operand(op: Emitter, x: ir.Value, dtype: torch.dtype | None) -> ir.Value:
    wanted = op.result().dtype if dtype is None else onnx_dtype(dtype)
    return op.cast(x, wanted)


@lowers("aten::softmax.int", "aten::special_softmax")
def softmax(op: Emitter, x: ir.Value, *, dim: int, dtype: torch.dtype | None = None) -> ir.Value:
    """``exp(x)`` over its sum along a dimension."""
    operand = _softmax_operand(op, x, dtype)
    if op.rank(x) == 0:
        return op.Add(op.Mul(operand, 0), 1)
    return op.Softmax(operand, axis=dim)


@lowers("aten::log_softmax.int", "aten::special_log_softmax")
def log_softmax(op: Emitter, x: ir.Value, *, dim: int, dtype: torch.dtype | None = None) -> ir.Value:
    """The logarithm of softmax."""
    operand = _softmax_operand(op, x, dtype)
    if op.rank(x) == 0:
        return op.Mul(operand, 0)
    return op.LogSoftmax(operand, axis=dim)


@lowers("aten::_softmax")
def softmax_core(op: Emitter, x: ir.Value, *, dim: int, half_to_float: bool = False) -> ir.Value:
    """Softmax as the dispatcher sees it."""
    return softmax(op, x, dim=dim)


@lowers("aten::_log_softmax")
def log_softmax_core(op: Emitter, x: ir.Value, *, dim: int, half_to_float: bool = False) -> ir.Value:
    """Log-softmax as the dispatcher sees it."""
    return log_softmax(op, x, dim=dim)


@lowers("aten::_safe_softmax")
def safe_softmax(op: Emitter, x: ir.Value, *, dim: int, dtype: torch.dtype | None = None) -> ir.Value:
    """Softmax that is zero, not NaN, where a whole row is minus infinity."""
    weights = softmax(op, x, dim=dim, dtype=dtype)
    masked = op.Equal(op.ReduceMax(x, [dim], keepdims=1), -math.inf)
    return op.Where(masked, 0.0, weights)


@lowers("aten::_masked_softmax")
def masked_softmax(
    op: Emitter, x: ir.Value, mask: ir.Value, *, dim: int | None = None, mask_type: int | None = None
) -> ir.Value:
    """Softmax with the places of a boolean mask left out."""
    if mask_type != 2:
        raise op.cannot("only a mask of the input's own shape has a counterpart")
    axis = op.rank(x) - 1 if dim is None else dim
    return op.Softmax(op.Where(mask, -math.inf, x), axis=axis)
