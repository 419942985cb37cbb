# SPDX-License-Identifier: Apache-2.0
"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter
from ..registry import lowers
from .arithmetic import is_bool, is_float
from .creation import positions

Step = Callable[[Emitter, Sequence[ir.Value], Sequence[ir.Value]], Sequence[ir.Value]]
"""Writes one step into a body: carried values and the items of the sequences in, new carried values out."""

_INT64 = ir.DataType.INT64


def _operand(op: Emitter, x: ir.Value, dtype: torch.dtype | None) -> ir.Value:
    return op.cast(x, op.result().dtype if dtype is None else onnx_dtype(dtype))


@lowers("aten::cumsum")
def cumsum(op: Emitter, x: ir.Value, *, dim: int, dtype: torch.dtype | None = None) -> ir.Value:
    """The sum up to each place, of integers and booleans in int64."""
    value = _operand(op, x, dtype)
    return value if op.rank(x) == 0 else op.CumSum(value, op.i64(dim))


@lowers("aten::cumprod")
def cumprod(op: Emitter, x: ir.Value, *, dim: int, dtype: torch.dtype | None = None) -> ir.Value:
    """The product up to each place, of integers and booleans in int64."""
    value = _operand(op, x, dtype)
    return value if op.rank(x) == 0 else op.CumProd(value, op.i64(dim))


# ---- walks along a dimension -----------------------------------------------------------------------------------------


def _kind(x: ir.Value) -> ir.DataType:
    return x.dtype or ir.DataType.FLOAT


def _dims(x: ir.Value, without: int | None = None) -> list[Any]:
    return [dim for axis, dim in enumerate(x.shape or ()) if axis != without]


def _describe(outputs: Sequence[ir.Value], carried: Sequence[ir.Value], length: Any, axis: int) -> list[ir.Value]:
    """Say what a control-flow operator returns: the last carried values, then all of them stacked."""
    count = len(carried)
    for output, value in zip(outputs, carried, strict=False):
        output.type, output.shape = ir.TensorType(_kind(value)), ir.Shape(_dims(value))
    for output, value in zip(outputs[count:], carried, strict=True):
        dims = _dims(value)
        output.type, output.shape = ir.TensorType(_kind(value)), ir.Shape([*dims[:axis], length, *dims[axis:]])
    return list(outputs[count:])


def _scanned(
    op: Emitter, axis: int, carried: Sequence[ir.Value], sequences: Sequence[tuple[ir.Value, int]], step: Step
) -> list[ir.Value]:
    count = len(carried)
    body = op.body(
        *((f"before_{index}", _kind(value), _dims(value)) for index, value in enumerate(carried)),
        *((f"item_{index}", _kind(value), _dims(value, along)) for index, (value, along) in enumerate(sequences)),
    )
    after = step(body, body.inputs[:count], body.inputs[count:])
    outputs = op.Scan(
        *carried,
        *(value for value, _ in sequences),
        body=body.graph([*after, *(body.Identity(value) for value in after)]),
        num_scan_inputs=len(sequences),
        scan_input_axes=[along for _, along in sequences],
        scan_output_axes=[axis] * count,
        outputs=2 * count,
    )
    first, along = sequences[0]
    return _describe(outputs, carried, (first.shape or ())[along], axis)


def _first(op: Emitter, x: ir.Value, axis: int) -> ir.Value:
    return op.Gather(x, op.i64(0), axis=axis)


# ---- sums of exponentials --------------------------------------------------------------------------------------------


@lowers("aten::logcumsumexp", "aten::_logcumsumexp")
def logcumsumexp(op: Emitter, x: ir.Value, *, dim: int) -> ir.Value:
    """The logarithm of the sum of exponentials up to each place."""
    if op.rank(x) == 0:
        return x
    axis = dim % op.rank(x)
    if op.dim(x, axis) == 0:
        return x
    # The first slice is its own result, so that the walk over the others needs no neutral element.
    start = _first(op, x, axis)
    rest = op.Slice(x, op.i64([1]), op.i64([2**63 - 1]), op.i64([axis]))

    def add(body: Emitter, before: Sequence[ir.Value], items: Sequence[ir.Value]) -> list[ir.Value]:
        return [body.call("aten::logaddexp", before[0], items[0])]

    (following,) = _scanned(op, axis, [start], [(rest, axis)], add)
    return op.Concat(op.Unsqueeze(start, [axis]), following, axis=axis)


# ---- extremes --------------------------------------------------------------------------------------------------------


def _extreme(op: Emitter, x: ir.Value, dim: int, better: str) -> tuple[ir.Value, ir.Value]:
    if op.rank(x) == 0:
        return x, op.i64(0)
    axis = dim % op.rank(x)
    size = op.dim(x, axis)
    if size == 0:
        return x, op.cast(x, _INT64)
    value = op.cast(x, ir.DataType.INT32) if is_bool(x) else x
    start = _first(op, value, axis)
    first_index = op.cast(op.Less(start, start), _INT64)
    places = positions(op, op.size(x, axis))

    def choose(body: Emitter, before: Sequence[ir.Value], items: Sequence[ir.Value]) -> list[ir.Value]:
        wins = getattr(body, better)(items[0], before[0])
        if is_float(value):
            # NaN wins over every number, and stays.
            wins = body.Or(wins, body.IsNaN(items[0]))
        return [body.Where(wins, item, old) for item, old in zip(items, before, strict=True)]

    best, index = _scanned(op, axis, [start, first_index], [(value, axis), (places, 0)], choose)
    return best, index


@lowers("aten::cummax")
def cummax(op: Emitter, x: ir.Value, *, dim: int) -> tuple[ir.Value, ir.Value]:
    """The largest element up to each place, and the last index that it has there."""
    return _extreme(op, x, dim, "GreaterOrEqual")


@lowers("aten::cummin")
def cummin(op: Emitter, x: ir.Value, *, dim: int) -> tuple[ir.Value, ir.Value]:
    """The smallest element up to each place, and the last index that it has there."""
    return _extreme(op, x, dim, "LessOrEqual")
