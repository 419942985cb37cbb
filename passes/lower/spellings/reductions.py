# SPDX-License-Identifier: Apache-2.0
"""Reductions: the axes became an input in opset 13 (ReduceSum) and 18 (the others)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is, index_vector, non_negative

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

REDUCTIONS = {
    "ReduceSum": 13,
    "ReduceL1": 18,
    "ReduceL2": 18,
    "ReduceLogSum": 18,
    "ReduceLogSumExp": 18,
    "ReduceMax": 18,
    "ReduceMean": 18,
    "ReduceMin": 18,
    "ReduceProd": 18,
    "ReduceSumSquare": 18,
}

# What is left of each where there are no axes and noop_with_empty_axes says to reduce nothing.
_ELEMENTWISE = {"ReduceL1": "Abs", "ReduceL2": "Abs", "ReduceLogSum": "Log"}


def _unreduced(op: Emitter, op_type: str, x: ir.Value) -> ir.Value:
    if op_type == "ReduceSumSquare":
        return op.Mul(x, x)
    return getattr(op, _ELEMENTWISE.get(op_type, "Identity"))(x)


def _register(op_type: str, by_input_since: int) -> None:
    @spells(op_type, since=by_input_since)
    def by_input(
        op: Emitter, data: Operand, axes: Operand = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> ir.Value:
        noop = noop_with_empty_axes or None
        return op.raw(op_type, data, index_vector(op, axes), keepdims=keepdims, noop_with_empty_axes=noop)

    def by_attribute(
        op: Emitter, data: Operand, axes: Operand = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> ir.Value:
        (x,) = alike(op, data)
        wanted = [] if axes is None else op.static_ints(axes, f"{op_type}'s axes")
        if not wanted and noop_with_empty_axes:
            return _unreduced(op, op_type, x)
        return op.raw(op_type, x, axes=wanted or None, keepdims=keepdims)

    def from_the_front(
        op: Emitter, data: Operand, axes: Operand = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> ir.Value:
        (x,) = alike(op, data)
        wanted = None if axes is None else op.static_ints(axes, f"{op_type}'s axes")
        front = None if wanted is None else sorted(non_negative(op, x, axis) for axis in wanted)
        return by_attribute(op, x, front, keepdims=keepdims, noop_with_empty_axes=noop_with_empty_axes)

    spells(op_type, since=11)(by_attribute)
    spells(op_type, since=7)(from_the_front)


for _op_type, _since in REDUCTIONS.items():
    _register(_op_type, _since)


def _register_position(op_type: str) -> None:
    as_is(op_type, since=12)

    @spells(op_type, since=7)
    def older(op: Emitter, data: Operand, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> ir.Value:
        (x,) = alike(op, data)
        axis = non_negative(op, x, axis)
        if not select_last_index:
            return op.raw(op_type, x, axis=axis, keepdims=keepdims)
        # The last of equal extrema is the first one seen from the other end.
        reverse = op.Slice(x, [-1], [-(2**63)], [axis], [-1])
        first = op.raw(op_type, reverse, axis=axis, keepdims=keepdims)
        size = op.size(x, axis)
        last = size - 1 if isinstance(size, int) else op.Sub(size, 1)
        return op.Sub(last, first)


_register_position("ArgMax")
_register_position("ArgMin")

__all__ = ["REDUCTIONS"]
