# SPDX-License-Identifier: Apache-2.0
"""The gradients of scaled dot-product attention, from its weights computed anew.

With P the weights, O the result and G its gradient: V' = P^T G, D = rowsum(G * O), S' = P * (G V^T - D), Q' = S' K c,
K' = S'^T Q c, where c is the scale (Dao et al. 2022, appendix B.2).
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .attention import attend_by_parts, last_two_swapped, scale_of


@lowers("aten::_scaled_dot_product_flash_attention_for_cpu_backward")
def flash_attention_for_cpu_backward(
    op: Emitter,
    grad_out: ir.Value,
    query: ir.Value,
    key: ir.Value,
    value: ir.Value,
    out: ir.Value,
    logsumexp: ir.Value,
    attn_mask: ir.Value | None = None,
    *,
    dropout_p: float,
    is_causal: bool,
    scale: Any = None,
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Lower the gradients of query, key and value, as PyTorch takes them on a CPU."""
    if dropout_p:
        raise op.cannot("the gradient of attention with dropout would need the mask that was drawn")
    weights = attend_by_parts(op, query, key, value, attn_mask, is_causal=is_causal, scale=scale).weights
    of_value = op.MatMul(last_two_swapped(op, weights), grad_out)
    row = op.ReduceSum(op.Mul(grad_out, out), op.i64([-1]), keepdims=1)
    of_scores = op.Mul(weights, op.Sub(op.MatMul(grad_out, last_two_swapped(op, value)), row))
    of_scores = op.Mul(of_scores, scale_of(op, query, scale))
    return op.MatMul(of_scores, key), op.MatMul(last_two_swapped(op, of_scores), query), of_value
