# SPDX-License-Identifier: Apache-2.0
"""Products of groups of rows, each with a matrix of its own: how mixtures of experts are computed.

Rows come sorted by group, and `offs` says where each group ends. A Loop over the groups slices and multiplies, so that
no row's matrix is gathered: that would take memory for every row as for every weight.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .elimination import dtype_of, loop

_INT64 = ir.DataType.INT64
_BOOL = ir.DataType.BOOL


@lowers("transformers::grouped_mm_fallback", "aten::_grouped_mm")
def grouped_product(
    op: Emitter,
    x: ir.Value,
    weight: ir.Value,
    offs: ir.Value | None = None,
    bias: ir.Value | None = None,
    *,
    out_dtype: Any = None,
) -> ir.Value:
    """Multiply rows (rows, K) by group with matrices (groups, K, N); what lies behind the last group is zero."""
    del out_dtype  # what capture saw of the result
    if op.rank(x) == 3 and op.rank(weight) == 3 and offs is None:
        return _with_bias(op, op.MatMul(x, weight), bias)
    if offs is None or op.rank(x) != 2 or op.rank(weight) != 3:
        raise op.cannot("groups of columns, or in both operands, have no counterpart")
    ends = op.cast(offs, _INT64)
    starts = op.Concat(op.i64([0]), op.Slice(ends, [0], [-1], [0]), axis=0)
    dtype = dtype_of(x)
    columns = op.vector(op.size(weight, 2))
    empty = op.Expand(op.const([[0]], dtype), op.Concat(op.i64([0]), columns, axis=0))
    width = op.dim(weight, 2)
    body = op.body(("group", _INT64, []), ("going", _BOOL, []), ("products", dtype, [None, width]))
    group, _, products = body.inputs
    at = body.Unsqueeze(group, [0])
    rows = body.Slice(x, body.Gather(starts, at, axis=0), body.Gather(ends, at, axis=0), [0])
    product = body.MatMul(rows, body.Gather(weight, group, axis=0))
    grown = body.Concat(products, product, axis=0)
    (made,) = loop(op, op.scalar(op.size(weight, 0)), [empty], body, [grown])
    made.shape = ir.Shape([None, width])
    left = op.Sub(op.vector(op.size(x, 0)), op.Slice(ends, [-1], [2**63 - 1], [0]))
    nothing = op.Expand(op.const([[0]], dtype), op.Concat(left, columns, axis=0))
    return _with_bias(op, op.Concat(made, nothing, axis=0), bias)


def _with_bias(op: Emitter, product: ir.Value, bias: ir.Value | None) -> ir.Value:
    if bias is not None:
        raise op.cannot("a bias by group has no counterpart")
    return product
