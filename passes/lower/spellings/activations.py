# SPDX-License-Identifier: Apache-2.0
"""Activations that older opsets lack, by the formula on their ONNX page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is, but_in_doubles

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Mish", since=18)
as_is("HardSwish", since=14)
as_is("Celu", since=12)
as_is("ThresholdedRelu", since=10)
as_is("Shrink", since=9)


@spells("Gelu")
def gelu(op: Emitter, X: Operand, *, approximate: str = "none") -> ir.Value:
    """Before Gelu: by Erf, or by Tanh where approximated."""
    (x,) = alike(op, X)
    if approximate == "tanh":
        cube = op.Mul(op.Mul(x, x), x)
        inner = op.Mul(op.Add(x, op.Mul(cube, 0.044715)), math.sqrt(2 / math.pi))
        factor = op.Add(op.Tanh(inner), 1.0)
    else:
        # onnxruntime fuses this form, with a division, to its own Gelu.
        factor = op.Add(op.Erf(op.Div(x, math.sqrt(2))), 1.0)
    return op.Mul(op.Mul(x, 0.5), factor)


but_in_doubles("Gelu", gelu, since=20)


@spells("Mish")
def mish(op: Emitter, X: Operand) -> ir.Value:
    """Before Mish: ``x * tanh(softplus(x))``."""
    (x,) = alike(op, X)
    return op.Mul(x, op.Tanh(op.Softplus(x)))


@spells("HardSwish")
def hard_swish(op: Emitter, X: Operand) -> ir.Value:
    """Before HardSwish: ``x * hard_sigmoid(x)`` with a slope of a sixth."""
    (x,) = alike(op, X)
    return op.Mul(x, op.HardSigmoid(x, alpha=1 / 6, beta=0.5))


@spells("Celu")
def celu(op: Emitter, X: Operand, *, alpha: float = 1.0) -> ir.Value:
    """Before Celu: ``max(0, x) + alpha * elu(min(0, x) / alpha)``."""
    (x,) = alike(op, X)
    if alpha == 1:
        return op.Elu(x, alpha=1.0)
    below = op.Neg(op.Relu(op.Neg(x)))
    return op.Add(op.Relu(x), op.Mul(op.Elu(op.Div(below, alpha), alpha=1.0), alpha))


@spells("ThresholdedRelu")
def thresholded_relu(op: Emitter, X: Operand, *, alpha: float = 1.0) -> ir.Value:
    """Before ThresholdedRelu: x where above the threshold, else zero."""
    (x,) = alike(op, X)
    return op.Where(op.Greater(x, op.const_like(alpha, x)), x, op.const_like(0, x))


@spells("Swish", since=24)
def swish(op: Emitter, X: Operand, *, alpha: float = 1.0) -> ir.Value:
    """Swish 24, but for onnxruntime: 1.32 has no kernel, and expands it at 24 alone."""
    return op.raw("Swish", *alike(op, X), alpha=alpha) if op.whole("Swish") else swish_by_sigmoid(op, X, alpha=alpha)


@spells("Swish")
def swish_by_sigmoid(op: Emitter, X: Operand, *, alpha: float = 1.0) -> ir.Value:
    """Before Swish: ``x * sigmoid(alpha * x)``."""
    (x,) = alike(op, X)
    return op.Mul(x, op.Sigmoid(x if alpha == 1 else op.Mul(x, alpha)))


@spells("Shrink")
def shrink(op: Emitter, input: Operand, *, bias: float = 0.0, lambd: float = 0.5) -> ir.Value:
    """Before Shrink: what lies beyond the threshold moves towards zero by the bias, the rest is zero."""
    (x,) = alike(op, input)
    zero = op.const_like(0, x)
    up = op.Where(op.Less(x, op.const_like(-lambd, x)), op.Add(x, bias), zero)
    return op.Where(op.Greater(x, op.const_like(lambd, x)), op.Sub(x, bias), up)
