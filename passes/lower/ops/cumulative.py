# SPDX-License-Identifier: Apache-2.0
"""Running sums, products and extremes along a dimension."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch

from ...dialect import onnx_dtype
from ..emitter import Emitter
from ..registry import lowers
from .arithmetic import is_bool, is_float


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


@lowers("aten::logcumsumexp", "aten::_logcumsumexp")
def logcumsumexp(op: Emitter, x: ir.Value, *, dim: int) -> ir.Value:
    """The logarithm of the sum of exponentials up to each place."""
    if op.rank(x) == 0:
        return x
    return scanned(op, x, dim, lambda body, total, item: body.call("aten::logaddexp", total, item))


@lowers("aten::cummax")
def cummax(op: Emitter, x: ir.Value, *, dim: int) -> tuple[ir.Value, ir.Value]:
    """The largest element up to each place, and the last index that it has there."""
    return _extreme(op, x, dim, "GreaterOrEqual")


@lowers("aten::cummin")
def cummin(op: Emitter, x: ir.Value, *, dim: int) -> tuple[ir.Value, ir.Value]:
    """The smallest element up to each place, and the last index that it has there."""
    return _extreme(op, x, dim, "LessOrEqual")


def _slice_shape(op: Emitter, x: ir.Value, dim: int) -> list[Any]:
    op.rank(x)
    dims = list(x.shape)  # type: ignore[arg-type]
    del dims[dim]
    return dims


def _first(op: Emitter, x: ir.Value, dim: int) -> ir.Value:
    """The slice at index zero of a dimension, without the dimension."""
    return op.Gather(x, op.i64(0), axis=dim)


def scanned(op: Emitter, x: ir.Value, dim: int, combine: Callable[[Emitter, ir.Value, ir.Value], ir.Value]) -> ir.Value:
    """Combine each slice along a dimension with the result before it; the first slice is its own result.

    The scan runs over what follows the first slice, so that no neutral element is needed.
    """
    axis = dim % op.rank(x)
    if op.dim(x, axis) == 0:
        return x
    start = _first(op, x, axis)
    rest = op.Slice(x, op.i64([1]), op.i64([2**63 - 1]), op.i64([axis]))
    shape = _slice_shape(op, x, axis)
    dtype = x.dtype or ir.DataType.FLOAT
    body = op.body(("before", dtype, shape), ("item", dtype, shape))
    total = combine(body, *body.inputs)
    _, following = op.Scan(
        start,
        rest,
        body=body.graph([total, body.Identity(total)]),
        num_scan_inputs=1,
        scan_input_axes=[axis],
        scan_output_axes=[axis],
        outputs=2,
    )
    following.type, following.shape = ir.TensorType(dtype), rest.shape
    return op.Concat(op.Unsqueeze(start, [axis]), following, axis=axis)


def _extreme(op: Emitter, x: ir.Value, dim: int, better: str) -> tuple[ir.Value, ir.Value]:
    if op.rank(x) == 0:
        return x, op.i64(0)
    axis = dim % op.rank(x)
    value = op.cast(x, ir.DataType.INT32) if is_bool(x) else x
    if op.dim(x, axis) == 0:
        return x, op.cast(x, ir.DataType.INT64)
    dtype = value.dtype or ir.DataType.FLOAT
    shape = _slice_shape(op, x, axis)
    start = _first(op, value, axis)
    first_index = op.cast(op.Mul(start, 0), ir.DataType.INT64) if not is_float(value) else _zeros(op, start)
    size = op.size(x, axis)
    length = op.scalar(size)
    positions = op.call("aten::arange", end=length) if isinstance(size, ir.Value) else op.i64(list(range(size)))
    body = op.body(
        ("before", dtype, shape),
        ("index_before", ir.DataType.INT64, shape),
        ("item", dtype, shape),
        ("position", ir.DataType.INT64, []),
    )
    before, index_before, item, position = body.inputs
    wins = getattr(body, better)(item, before)
    if is_float(value):
        # NaN wins over every number, and stays.
        wins = body.Or(wins, body.IsNaN(item))
    best = body.Where(wins, item, before)
    index = body.Where(wins, position, index_before)
    outputs = op.Scan(
        start,
        first_index,
        value,
        positions,
        body=body.graph([best, index, body.Identity(best), body.Identity(index)]),
        num_scan_inputs=2,
        scan_input_axes=[axis, 0],
        scan_output_axes=[axis, axis],
        outputs=4,
    )
    kinds = (dtype, ir.DataType.INT64)
    for output, kind, dims in zip(outputs, kinds * 2, (shape, shape, x.shape, x.shape), strict=True):
        output.type, output.shape = ir.TensorType(kind), ir.Shape(dims or ())
    return outputs[2], outputs[3]


def _zeros(op: Emitter, like: ir.Value) -> ir.Value:
    return op.cast(op.Less(like, like), ir.DataType.INT64)
