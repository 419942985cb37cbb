# SPDX-License-Identifier: Apache-2.0
"""Tensors made from nothing: filled ones, ranges, identity matrices, triangles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from ...dialect import onnx_dtype, torch_dtype
from ..emitter import Emitter, Operand
from ..registry import lowers

# A constant of up to this many elements is smaller than the nodes (and their constants) that would make it.
SMALL = 64
# Ranges of floats cannot be had exactly from ONNX's Range; up to this size they are worth storing.
_STORED_RANGE = 65536


def filled(op: Emitter, size: Sequence[Any] | ir.Value, value: Operand, dtype: ir.DataType) -> ir.Value:
    """Return a tensor of one value everywhere.

    Args:
        op: the emitter.
        size: ints and symbolic sizes, or a whole shape.
        value: a number, or a value of no dimensions.
        dtype: the dtype of the result.
    """
    shape = op.int_vector(size)
    if isinstance(value, ir.Value):
        scalar = op.cast(value if op.rank(value) == 0 else op.Reshape(value, []), dtype)
        return scalar if isinstance(shape, list) and not shape else op.Expand(scalar, shape)
    if isinstance(shape, list) and math.prod(shape) <= 1:
        return op.const(np.full(shape, value), dtype)
    element = np.asarray([value]).astype(dtype.numpy())
    return op.ConstantOfShape(shape, value=ir.Tensor(element, dtype=dtype))


# ---- filled ----------------------------------------------------------------------------------------------------------


@lowers("aten::zeros", "aten::empty.memory_format", "aten::new_zeros", "aten::new_empty", "aten::_efficientzerotensor")
def zeros(op: Emitter, x: ir.Value | None = None, *, size: Sequence[Any], dtype: Any = None) -> ir.Value:
    """Zeros; an empty tensor may hold anything, zeros too."""
    return filled(op, size, 0, op.result().dtype)


@lowers("aten::empty_strided", "aten::new_empty_strided", "prims::empty_strided")
def empty_strided(
    op: Emitter, x: ir.Value | None = None, *, size: Sequence[Any], stride: Any, dtype: Any = None
) -> ir.Value:
    """An uninitialized tensor; strides mean nothing in a file."""
    return filled(op, size, 0, op.result().dtype)


@lowers("aten::empty_permuted", "prims::empty_permuted")
def empty_permuted(op: Emitter, *, size: Sequence[Any], physical_layout: Any, dtype: Any = None) -> ir.Value:
    """An uninitialized tensor; its layout means nothing in a file."""
    return filled(op, size, 0, op.result().dtype)


@lowers("aten::ones", "aten::new_ones")
def ones(op: Emitter, x: ir.Value | None = None, *, size: Sequence[Any], dtype: Any = None) -> ir.Value:
    """Ones."""
    return filled(op, size, 1, op.result().dtype)


@lowers("aten::full", "aten::new_full")
def full(
    op: Emitter, x: ir.Value | None = None, *, size: Sequence[Any], fill_value: Operand, dtype: Any = None
) -> ir.Value:
    """One value everywhere."""
    return filled(op, size, fill_value, op.result().dtype)


@lowers("prims::full")
def prims_full(op: Emitter, *, shape: Sequence[Any], fill_value: Operand, dtype: Any = None) -> ir.Value:
    """One value everywhere."""
    return filled(op, shape, fill_value, op.result().dtype)


@lowers("aten::zeros_like", "aten::empty_like", "aten::_new_zeros_with_same_feature_meta")
def zeros_like(op: Emitter, x: ir.Value, *, dtype: torch.dtype | None = None) -> ir.Value:
    """Zeros of another tensor's shape."""
    return filled(op, op.sizes(x), 0, op.result().dtype)


@lowers("aten::ones_like")
def ones_like(op: Emitter, x: ir.Value, *, dtype: torch.dtype | None = None) -> ir.Value:
    """Ones of another tensor's shape."""
    return filled(op, op.sizes(x), 1, op.result().dtype)


@lowers("aten::full_like", "prims::full_like")
def full_like(op: Emitter, x: ir.Value, *, fill_value: Operand, dtype: torch.dtype | None = None) -> ir.Value:
    """One value everywhere, of another tensor's shape."""
    return filled(op, op.sizes(x), fill_value, op.result().dtype)


@lowers("aten::fill.Scalar", "aten::fill.Tensor")
def fill(op: Emitter, x: ir.Value, y: ir.Value | None = None, *, value: Operand = None) -> ir.Value:
    """One value in every place of a tensor."""
    return filled(op, op.sizes(x), value if y is None else y, op.result().dtype)


@lowers("aten::zero")
def zero(op: Emitter, x: ir.Value) -> ir.Value:
    """Zero in every place of a tensor."""
    return filled(op, op.sizes(x), 0, op.result().dtype)


@lowers("aten::scalar_tensor", "prims::scalar_tensor")
def scalar_tensor(op: Emitter, *, s: Operand, dtype: torch.dtype | None = None) -> ir.Value:
    """A number as a tensor of no dimensions."""
    return op.scalar(s, op.result().dtype)


def positions(op: Emitter, size: int | ir.Value) -> ir.Value:
    """Return the indices of a dimension of a size: int64, from zero."""
    end = size if isinstance(size, int) else op.scalar(size)
    return op.call("aten::arange", end=end, dtype=torch.int64)


# ---- ranges ----------------------------------------------------------------------------------------------------------


@lowers("aten::arange", "aten::arange.start", "aten::arange.start_step", since=11)
@lowers("aten::arange", "aten::arange.start", "aten::arange.start_step")
def arange(
    op: Emitter, *, start: Operand = 0, end: Operand, step: Operand = 1, dtype: torch.dtype | None = None
) -> ir.Value:
    """The numbers from ``start`` by ``step`` to before ``end``."""
    wanted = op.result().dtype if dtype is None else onnx_dtype(dtype)
    stored = _stored_range(op, start, end, step, wanted)
    if stored is not None:
        return stored
    # ONNX counts in the dtype that it is given: floating-point ends must not be rounded before the count is taken.
    floats = [x for x in (start, end, step) if _is_floating(x)]
    dtype_of_count = wanted if wanted.is_floating_point() or not floats else ir.DataType.DOUBLE
    if dtype_of_count in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16):
        dtype_of_count = ir.DataType.FLOAT
    elif wanted.is_integer() and not floats:
        dtype_of_count = ir.DataType.INT64
    if dtype_of_count != wanted and wanted.is_integer() and floats:
        count = op.Ceil(op.Div(op.Sub(*(op.scalar(x, ir.DataType.DOUBLE) for x in (end, start))), step))
        index = op.Range(op.i64(0), op.cast(count, ir.DataType.INT64), op.i64(1))
        first, stride = (op.cast(op.scalar(x, ir.DataType.DOUBLE), ir.DataType.INT64) for x in (start, step))
        return op.Add(op.Mul(index, stride), first)
    return op.Range(*(op.scalar(x, dtype_of_count) for x in (start, end, step)))


@lowers("aten::arange", "aten::arange.start", "aten::arange.start_step", since=9)
def arange_by_counting(
    op: Emitter, *, start: Operand = 0, end: Operand, step: Operand = 1, dtype: torch.dtype | None = None
) -> ir.Value:
    """A range for opsets without Range: constants are stored, and the indices of ones are counted."""
    wanted = op.result().dtype if dtype is None else onnx_dtype(dtype)
    stored = _stored_range(op, start, end, step, wanted, limit=None)
    if stored is not None:
        return stored
    if any(_is_floating(x) for x in (start, end, step)):
        return arange(op, start=start, end=end, step=step, dtype=dtype)
    length: Any = end
    if isinstance(start, ir.Value) or start != 0:
        length = op.Sub(op.vector(end), op.vector(start))
    if isinstance(step, ir.Value) or step != 1:
        length = op.Neg(op.call("aten::floor_divide", op.Neg(op.vector(length)), op.vector(step)))
    places = op.NonZero(op.ConstantOfShape(op.vector(length), value=ir.tensor(np.asarray([1], np.int64))))
    index = op.Squeeze(places, [0])
    if isinstance(step, ir.Value) or step != 1:
        index = op.Mul(index, step)
    return op.Add(index, start) if isinstance(start, ir.Value) or start != 0 else index


def _is_floating(x: Operand) -> bool:
    if isinstance(x, ir.Value):
        return x.dtype is not None and x.dtype.is_floating_point()
    return isinstance(x, float)


def _stored_range(
    op: Emitter, start: Operand, end: Operand, step: Operand, wanted: ir.DataType, limit: int | None = SMALL
) -> Any:
    if any(isinstance(x, ir.Value) for x in (start, end, step)):
        return None
    whole = wanted.is_integer() and not any(_is_floating(x) for x in (start, end, step))
    if limit is not None and abs((end - start) / step) > (limit if whole else _STORED_RANGE):
        return None
    return op.const(torch.arange(start, end, step, dtype=torch_dtype(wanted)).numpy(), wanted)


@lowers("prims::iota")
def iota(op: Emitter, *, length: Operand, start: Operand, step: Operand, dtype: Any = None) -> ir.Value:
    """``length`` numbers from ``start`` by ``step``."""
    index = positions(op, length)
    if isinstance(step, ir.Value) or step != 1:
        index = op.Mul(index, op.scalar(step))
    return op.Add(index, op.scalar(start)) if isinstance(start, ir.Value) or start != 0 else index


@lowers(
    "aten::linspace",
    "aten::linspace.Tensor_Tensor",
    "aten::linspace.Tensor_Scalar",
    "aten::linspace.Scalar_Tensor",
)
def linspace(
    op: Emitter,
    x: ir.Value | None = None,
    y: ir.Value | None = None,
    *,
    start: Operand = None,
    end: Operand = None,
    steps: Operand,
    dtype: Any = None,
) -> ir.Value:
    """``steps`` numbers at equal distances from ``start`` to ``end``, both included."""
    return _spaced(op, x, y, start, end, steps, None)


@lowers(
    "aten::logspace",
    "aten::logspace.Tensor_Tensor",
    "aten::logspace.Tensor_Scalar",
    "aten::logspace.Scalar_Tensor",
)
def logspace(
    op: Emitter,
    x: ir.Value | None = None,
    y: ir.Value | None = None,
    *,
    start: Operand = None,
    end: Operand = None,
    steps: Operand,
    base: float = 10.0,
    dtype: Any = None,
) -> ir.Value:
    """``base`` to the power of ``steps`` numbers at equal distances."""
    return _spaced(op, x, y, start, end, steps, base)


def _spaced(op: Emitter, x: Any, y: Any, start: Operand, end: Operand, steps: Operand, base: float | None) -> ir.Value:
    first = x if start is None else start
    last = (y if y is not None else x) if end is None else end
    wanted = op.result().dtype
    if not any(isinstance(value, ir.Value) for value in (first, last, steps)):
        dtype = torch_dtype(wanted)
        points = (
            torch.linspace(first, last, steps, dtype=dtype)
            if base is None
            else torch.logspace(first, last, steps, base, dtype=dtype)
        )
        return op.const(points.numpy(), wanted)
    if isinstance(steps, ir.Value):
        raise op.cannot("a number of steps that is only known at run time has no counterpart")
    compute = wanted if wanted == ir.DataType.DOUBLE else ir.DataType.FLOAT
    a, b = (op.scalar(value, compute) for value in (first, last))
    if steps <= 1:
        points = op.Expand(a, [steps])
    else:
        # Counted from both ends, as PyTorch does, so that the last point is exact.
        stride = op.Div(op.Sub(b, a), steps - 1)
        index = np.arange(steps)
        half = steps // 2
        if wanted.is_integer() and base is None:
            a, b, stride = (op.cast(value, ir.DataType.DOUBLE) for value in (a, b, stride))
            stride = op.Div(op.Sub(b, a), steps - 1)
        front = op.Add(op.Mul(stride, op.const_like(index[:half], stride)), a)
        back = op.Sub(b, op.Mul(stride, op.const_like(steps - 1 - index[half:], stride)))
        points = op.Concat(front, back, axis=0)
    return points if base is None else op.Pow(op.const_like(base, points), points)


# ---- matrices --------------------------------------------------------------------------------------------------------


@lowers("aten::eye", "aten::eye.m")
def eye(op: Emitter, *, n: Operand, m: Operand = None, dtype: Any = None) -> ir.Value:
    """Ones on the diagonal."""
    wanted = op.result().dtype
    shape = op.int_vector([n, n if m is None else m])
    if isinstance(shape, list) and math.prod(shape) <= 4 * SMALL:
        return op.const(np.eye(shape[0], shape[1]), wanted)
    numbers = filled(op, shape, 0, ir.DataType.FLOAT)
    return op.EyeLike(numbers, dtype=wanted)


@lowers("aten::tril")
def tril(op: Emitter, x: ir.Value, *, diagonal: Operand = 0) -> ir.Value:
    """The lower triangle, zero above a diagonal."""
    return op.Trilu(x, _offset(op, diagonal), upper=0)


@lowers("aten::triu")
def triu(op: Emitter, x: ir.Value, *, diagonal: Operand = 0) -> ir.Value:
    """The upper triangle, zero below a diagonal."""
    return op.Trilu(x, _offset(op, diagonal), upper=1)


def _offset(op: Emitter, diagonal: Operand) -> ir.Value | None:
    if isinstance(diagonal, ir.Value):
        return op.scalar(diagonal)
    return None if diagonal == 0 else op.i64(diagonal)


@lowers("aten::tril_indices")
def tril_indices(op: Emitter, *, row: Operand, col: Operand, offset: Operand = 0, dtype: Any = None) -> ir.Value:
    """Rows and columns of a lower triangle."""
    return _triangle_indices(op, torch.tril_indices, row, col, offset)


@lowers("aten::triu_indices")
def triu_indices(op: Emitter, *, row: Operand, col: Operand, offset: Operand = 0, dtype: Any = None) -> ir.Value:
    """Rows and columns of an upper triangle."""
    return _triangle_indices(op, torch.triu_indices, row, col, offset)


def _triangle_indices(op: Emitter, make: Any, row: Operand, col: Operand, offset: Operand) -> ir.Value:
    if any(isinstance(value, ir.Value) for value in (row, col, offset)):
        triangle = op.call(
            "aten::tril" if make is torch.tril_indices else "aten::triu",
            filled(op, [row, col], 1, ir.DataType.FLOAT),
            diagonal=offset,
        )
        return op.NonZero(triangle)
    return op.const(make(row, col, offset).numpy(), op.result().dtype)


@lowers("aten::one_hot")
def one_hot(op: Emitter, x: ir.Value, *, num_classes: Operand = -1) -> ir.Value:
    """One at the place that each index names."""
    if isinstance(num_classes, int) and num_classes == -1:
        depth = op.Add(op.Reshape(op.ReduceMax(x, None, keepdims=0), [1]), 1)
    else:
        depth = op.vector(num_classes)
    if op.rank(x) == 0:
        # The operator wants at least one axis.
        return op.Squeeze(op.OneHot(op.Unsqueeze(x, [0]), depth, op.i64([0, 1])), [0])
    return op.OneHot(x, depth, op.i64([0, 1]))


@lowers("aten::resize", "aten::resize_as")
def resize(op: Emitter, x: ir.Value, template: ir.Value | None = None, *, size: Sequence[Any] = ()) -> ir.Value:
    """Lay the memory of a tensor out anew; capture writes it as strides wherever no element is added."""
    raise op.cannot("a tensor that grows in place has elements that nothing has written")
