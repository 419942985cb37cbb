# SPDX-License-Identifier: Apache-2.0
"""Operators that read or set shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..registry import spells
from .forms import alike, dtype_of, index_vector

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand


@spells("Shape", since=15)
def shape_between(op: Emitter, data: Operand, *, start: int = 0, end: int | None = None) -> ir.Value:
    """Shape 15: of some of the dimensions."""
    return op.raw("Shape", data, start=start or None, end=end)


@spells("Shape")
def shape_of_all(op: Emitter, data: Operand, *, start: int = 0, end: int | None = None) -> ir.Value:
    """Shape 1: of all dimensions; the wanted ones are sliced from them."""
    whole = op.raw("Shape", data)
    if not start and end is None:
        return whole
    if op.dim(whole, 0) is not None:
        wanted = range(op.rank(data))[start:end]
        if len(wanted) == op.rank(data):
            return whole
        return op.Slice(whole, [wanted.start], [max(wanted.stop, wanted.start)], [0])
    return op.Slice(whole, [start], [2**63 - 1 if end is None else end], [0])


@spells("Reshape", since=14)
def reshape(op: Emitter, data: Operand, shape: Operand, *, allowzero: int = 0) -> ir.Value:
    """Reshape 14: a zero can mean a size of zero."""
    return op.raw("Reshape", data, index_vector(op, shape), allowzero=allowzero or None)


@spells("Reshape")
def reshape_without_zeros(op: Emitter, data: Operand, shape: Operand, *, allowzero: int = 0) -> ir.Value:
    """Reshape 5: a zero always copies the input's size.

    With ``allowzero`` a constant shape with a zero makes an empty tensor, whatever the input holds.  A shape known only
    at run time is written as it is: if it then has a zero where the input has another size, the element counts differ
    and the runtime refuses it.
    """
    vector = index_vector(op, shape)
    if allowzero:
        from ..shapes import constant_ints

        wanted = constant_ints(vector)
        if wanted is not None and 0 in wanted:
            (x,) = alike(op, data)
            return op.ConstantOfShape(wanted, value=ir.tensor(np.zeros(1, dtype_of(x).numpy())))
    return op.raw("Reshape", data, vector)


@spells("Expand", since=8)
def expand(op: Emitter, input: Operand, shape: Operand) -> ir.Value:
    """Expand 8, as it is."""
    return op.raw("Expand", input, index_vector(op, shape))


@spells("Expand")
def expand_by_tiling(op: Emitter, input: Operand, shape: Operand) -> ir.Value:
    """Before Expand: tile every dimension of size one as often as the shape says."""
    from ..shapes import constant_ints

    (x,) = alike(op, input)
    target = index_vector(op, shape)
    length = op.dim(target, 0)
    if length is None:
        raise op.cannot("Expand to a shape of unknown length needs opset 8")
    rank = max(length, op.rank(x))
    if rank > op.rank(x):
        x = op.Unsqueeze(x, list(range(rank - op.rank(x))))
    if rank > length:
        target = op.Concat(op.i64([1] * (rank - length)), target, axis=0)
    wanted = constant_ints(target)
    dims = [op.dim(x, axis) for axis in range(rank)]
    if wanted is not None and all(dim is not None or size == 1 for dim, size in zip(dims, wanted, strict=True)):
        times = [size if dim == 1 else 1 for dim, size in zip(dims, wanted, strict=True)]
        return op.Identity(x) if set(times) <= {1} else op.Tile(x, times)
    ones = op.cast(op.Equal(op.raw("Shape", x), op.i64([1])), ir.DataType.INT64)
    return op.Tile(x, op.Add(op.Mul(target, ones), op.Sub(op.i64([1]), ones)))


def _filling(value: Any) -> tuple[Any, ir.DataType]:
    if value is None:
        return 0.0, ir.DataType.FLOAT
    tensor = value if isinstance(value, ir.TensorProtocol) else ir.tensor(value)
    return tensor.numpy().reshape(()), tensor.dtype


@spells("ConstantOfShape", since=9)
def constant_of_shape(op: Emitter, input: Operand, *, value: Any = None) -> ir.Value:
    """ConstantOfShape 9, as it is."""
    return op.raw("ConstantOfShape", index_vector(op, input), value=value)


@spells("ConstantOfShape")
def constant_by_expanding(op: Emitter, input: Operand, *, value: Any = None) -> ir.Value:
    """Before ConstantOfShape: the number, expanded."""
    number, dtype = _filling(value)
    return op.Expand(op.const(number, dtype), input)


@spells("EyeLike", since=9)
def eye_like(op: Emitter, input: Operand, *, dtype: int | None = None, k: int = 0) -> ir.Value:
    """EyeLike 9, its dtype stated."""
    (x,) = alike(op, input)
    return op.raw("EyeLike", x, dtype=int(dtype_of(x)) if dtype is None else dtype, k=k)


@spells("EyeLike")
def eye_by_comparing(op: Emitter, input: Operand, *, dtype: int | None = None, k: int = 0) -> ir.Value:
    """Before EyeLike: ones where the column number is the row number plus ``k``."""
    (x,) = alike(op, input)
    rows = op.Unsqueeze(op.Range(0, op.scalar(op.size(x, 0)), 1), [1])
    columns = op.Range(0, op.scalar(op.size(x, 1)), 1)
    return op.cast(op.Equal(columns, op.Add(rows, k)), ir.DataType(dtype) if dtype is not None else dtype_of(x))
