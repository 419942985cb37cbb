# SPDX-License-Identifier: Apache-2.0
"""What spellings share: forms that need no change, and operands brought to one dtype."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ..inexpressible import Inexpressible
from ..registry import spells

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand


def as_is(*op_types: str, since: int) -> None:
    """Register that operators have their newest form from an opset on."""

    def register(op_type: str) -> None:
        @spells(op_type, since=since)
        def newest(op: Emitter, *inputs: Operand, **attributes: Any) -> Any:
            return op.raw(op_type, *inputs, **attributes)

    for op_type in op_types:
        register(op_type)


def but_in_doubles(op_type: str, parts: Callable[..., ir.Value], since: int) -> None:
    """Register that an operator has its newest form from an opset on, but for 64-bit floats that the runtime lacks.

    A cast to the kernel's 32 bits would cost digits; those go by the parts that older opsets have for it.
    """

    @spells(op_type, since=since)
    def newest(op: Emitter, X: Operand, **attributes: Any) -> ir.Value:
        (x,) = alike(op, X)
        if dtype_of(x) == ir.DataType.DOUBLE and not op.runs(op_type, ir.DataType.DOUBLE):
            return parts(op, x, **attributes)
        return op.raw(op_type, x, **attributes)


def without(*op_types: str, since: int = 7, **defaults: Any) -> None:
    """Register that opsets before some attributes mean those attributes' defaults.

    Args:
        op_types: the operators.
        since: the first opset of the older form.
        defaults: the newer attributes, each with the value that the older form always has.
    """

    def register(op_type: str) -> None:
        @spells(op_type, since=since)
        def older(op: Emitter, *inputs: Operand, **attributes: Any) -> Any:
            return op.raw(op_type, *inputs, **kept(op_type, attributes, defaults))

    for op_type in op_types:
        register(op_type)


def kept(op_type: str, attributes: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes without those of ``defaults``.

    Raises:
        Inexpressible: one of them is not at its default.
    """
    for name, default in defaults.items():
        value = attributes.get(name)
        if value is None or value == default:
            continue
        if default is None and isinstance(value, Sequence) and all(item == 1 for item in value):
            continue
        raise Inexpressible(f"{op_type} with {name}={value!r} needs a newer opset")
    return {name: value for name, value in attributes.items() if name not in defaults}


def alike(op: Emitter, *operands: Operand) -> list[ir.Value]:
    """Return operands as values, numbers in the dtype of the first value among them."""
    dtype = next((x.dtype for x in operands if isinstance(x, ir.Value)), None)
    if dtype is None:
        kind = np.result_type(*[np.asarray(x) for x in operands]).kind
        dtype = {"b": ir.DataType.BOOL, "i": ir.DataType.INT64, "u": ir.DataType.INT64}.get(kind, ir.DataType.FLOAT)
    return [x if isinstance(x, ir.Value) else op.const(x, dtype) for x in operands]


def dtype_of(x: ir.Value) -> ir.DataType:
    """Return the dtype of a value.

    Raises:
        Inexpressible: it is not known.
    """
    if x.dtype is None:
        raise Inexpressible(f"the dtype of {x.name or 'an input'} is not known")
    return x.dtype


def is_float(x: ir.Value) -> bool:
    """Whether a value holds floating-point numbers, NaN among them."""
    return dtype_of(x).is_floating_point()


def index_vector(op: Emitter, value: Operand) -> ir.Value | None:
    """Return ints, one int or a value as an int64 vector; ``None`` stays."""
    if value is None:
        return None
    if isinstance(value, ir.Value):
        return value if value.shape is None or len(value.shape) == 1 else op.vector(value)
    return op.i64([int(item) for item in np.atleast_1d(value)])


def non_negative(op: Emitter, x: ir.Value, axis: int, extra: int = 0) -> int:
    """Return an axis counted from the front, as opsets before 11 want it.

    Args:
        op: the emitter.
        x: the value that the axis belongs to.
        axis: the axis, counted from the end if negative.
        extra: by how many dimensions the counted rank exceeds that of ``x``.

    Raises:
        Inexpressible: the axis is negative and the rank of ``x`` is not known.
    """
    return axis if axis >= 0 else axis + op.rank(x) + extra
