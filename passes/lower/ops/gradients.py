# SPDX-License-Identifier: Apache-2.0
"""Gradients of pointwise and small operators for which PyTorch has no definition of its own.

Those that it defines (of most activations, losses and normalizations) are expanded by that definition.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers


@lowers("aten::hardshrink_backward", "aten::softshrink_backward")
def shrink_backward(op: Emitter, grad: ir.Value, x: ir.Value, *, lambd: Any = 0.5) -> ir.Value:
    """Lower the gradients of hard and soft shrinking: none within the bounds."""
    bound = op.scalar(lambd, x.dtype)
    inside = op.Not(op.Greater(op.Abs(x), bound))
    return op.Where(inside, op.const_like(0, grad), grad)


@lowers("aten::_weight_norm_interface_backward")
def weight_norm_backward(
    op: Emitter, grad_w: ir.Value, saved_v: ir.Value, saved_g: ir.Value, saved_norms: ir.Value, *, dim: int
) -> tuple[ir.Value, ir.Value]:
    """Lower the gradients of direction and size of a normed weight, ``w = g * v / |v|`` (Salimans and Kingma 2016)."""
    rank = op.rank(saved_v)
    axes = op.i64([axis for axis in range(rank) if axis != dim % rank])
    norms = op.cast(saved_norms, grad_w.dtype)
    of_size = op.Div(op.ReduceSum(op.Mul(grad_w, saved_v), axes, keepdims=1), norms)
    along = op.Div(op.Mul(saved_v, of_size), norms)
    return op.Mul(op.Div(saved_g, norms), op.Sub(grad_w, along)), of_size


@lowers("aten::_cdist_backward")
def cdist_backward(op: Emitter, grad: ir.Value, x1: ir.Value, x2: ir.Value, cdist: ir.Value, *, p: float) -> ir.Value:
    """Lower the gradient of the first rows of a matrix of p-norm distances; where a distance is zero it is zero."""
    difference = op.Sub(op.Unsqueeze(x1, [op.rank(x1) - 1]), op.Unsqueeze(x2, [op.rank(x2) - 2]))
    far, grad = op.Unsqueeze(cdist, [op.rank(cdist)]), op.Unsqueeze(grad, [op.rank(grad)])
    zero = op.const_like(0, far)
    nowhere = op.Equal(far, zero)
    if p == 0:
        return op.Mul(x1, op.const_like(0, x1))
    if p == float("inf"):
        slope = op.Mul(op.Sign(difference), op.cast(op.Equal(op.Abs(difference), far), x1.dtype))
    else:
        # d/dx |x|_p = sign(x) * (|x| / |x|_p)^(p - 1)
        share = op.Div(op.Abs(difference), op.Where(nowhere, op.const_like(1, far), far))
        slope = op.Sign(difference) if p == 1 else op.Mul(op.Sign(difference), op.Pow(share, op.const_like(p - 1, x1)))
    slope = op.Where(nowhere, zero, slope)
    return op.ReduceSum(op.Mul(grad, slope), op.i64([-2]), keepdims=0)
