# SPDX-License-Identifier: Apache-2.0
"""Logic of truth values, and selection by them."""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Emitter, Operand
from ..registry import lowers

_BOOL = ir.DataType.BOOL


@lowers("aten::logical_and")
def logical_and(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where both are not zero."""
    return op.And(op.cast(x, _BOOL), op.cast(y, _BOOL))


@lowers("aten::logical_or")
def logical_or(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where either is not zero."""
    return op.Or(op.cast(x, _BOOL), op.cast(y, _BOOL))


@lowers("aten::logical_xor")
def logical_xor(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """Where just one is not zero."""
    return op.Xor(op.cast(x, _BOOL), op.cast(y, _BOOL))


@lowers("aten::logical_not")
def logical_not(op: Emitter, x: ir.Value) -> ir.Value:
    """Where ``x`` is zero."""
    return op.Not(op.cast(x, _BOOL))


@lowers("aten::where.self", "aten::where.ScalarOther", "aten::where.ScalarSelf", "aten::where.Scalar", "prims::where")
def where(
    op: Emitter,
    condition: ir.Value,
    x: ir.Value | None = None,
    y: ir.Value | None = None,
    *,
    self: Operand = None,
    other: Operand = None,
) -> ir.Value:
    """``x`` where the condition holds and ``y`` elsewhere."""
    if self is not None and other is None:
        # The one tensor that the overload takes stands for ``other``.
        chosen: Operand = self
        otherwise: Operand = x
    else:
        chosen = x if self is None else self
        otherwise = y if other is None else other
    a, b = op.promote(chosen, otherwise)
    return op.Where(op.cast(condition, _BOOL), a, b)


@lowers("aten::masked_fill.Scalar", "aten::masked_fill.Tensor")
def masked_fill(
    op: Emitter, x: ir.Value, mask: ir.Value, v: ir.Value | None = None, *, value: Operand = None
) -> ir.Value:
    """``value`` where the mask holds, ``x`` elsewhere, at the dtype of ``x``."""
    replacement = op.cast(value if v is None else v, op.result().dtype)
    return op.Where(op.cast(mask, _BOOL), replacement, x)
