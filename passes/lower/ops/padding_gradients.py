# SPDX-License-Identifier: Apache-2.0
"""The gradients of padding by the edge: what was copied is added back to where it came from.

Those of reflecting padding are left to PyTorch's definition.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_INT64_MAX = 2**63 - 1


def _folded_back(op: Emitter, g: ir.Value, axis: int, before: int, after: int) -> ir.Value:
    """Add the copies before and after an axis to its first and last element; a negative amount had cut elements off.

    One end after the other, since an axis of one element has copies of the same element at both.
    """

    def part(start: int, end: int) -> ir.Value:
        return op.Slice(g, op.i64([start]), op.i64([end]), op.i64([axis]))

    def summed(start: int, end: int) -> ir.Value:
        return op.ReduceSum(part(start, end), op.i64([axis]), keepdims=1)

    place = op.rank(g) + axis
    if before > 0:
        g = op.Concat(summed(0, before + 1), part(before + 1, _INT64_MAX), axis=place)
    if after > 0:
        g = op.Concat(part(0, -after - 1), summed(-after - 1, _INT64_MAX), axis=place)
    if before < 0 or after < 0:
        pads = [0] * (2 * op.rank(g))
        pads[place], pads[op.rank(g) + place] = max(-before, 0), max(-after, 0)
        g = op.Pad(g, op.i64(pads), op.const_like(0, g))
    return g


@lowers("aten::replication_pad1d_backward", "aten::replication_pad2d_backward", "aten::replication_pad3d_backward")
def replication_pad_backward(op: Emitter, grad_output: ir.Value, x: ir.Value, *, padding: Sequence[int]) -> ir.Value:
    """Lower the gradient of padding by repeating the edge element."""
    amounts = op.static_ints(padding, "the padding")
    for index, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        axis = -1 - index
        if before or after:
            grad_output = _folded_back(op, grad_output, axis, before, after)
    return grad_output
