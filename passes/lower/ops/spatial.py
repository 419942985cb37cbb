# SPDX-License-Identifier: Apache-2.0
"""What the windowed and resampling lowerings share: lists of one number per axis, batches, and plane sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter


def per_axis(op: Emitter, values: Any, axes: int, what: str = "a window argument") -> list[int]:
    """Return one number for each spatial axis; a single one stands for all of them.

    Raises:
        Inexpressible: a number is only known at run time, where ONNX has an attribute.
    """
    items = list(values) if isinstance(values, (list, tuple)) else [values]
    numbers = [op.static_number(item, what) for item in items]
    return [int(number) for number in (numbers * axes if len(numbers) == 1 else numbers)]


def stated(values: Sequence[int], default: int) -> list[int] | None:
    """Return an attribute's value, or None where every number is the default and the attribute can be left out."""
    return None if all(value == default for value in values) else list(values)


def with_batch(op: Emitter, x: ir.Value, spatial: int) -> tuple[ir.Value, bool]:
    """Return the input with a batch axis, and whether that axis was put there."""
    if op.rank(x) == spatial + 1:
        return op.Unsqueeze(x, [0]), True
    return x, False


def without_batch(op: Emitter, x: ir.Value, added: bool) -> ir.Value:
    """Take a batch axis that :func:`with_batch` put there away again."""
    return op.Squeeze(x, [0]) if added else x


def static_dims(op: Emitter, x: ir.Value, first: int) -> list[int] | None:
    """Return the sizes of the axes from one on where all of them are static, else None."""
    dims = [op.dim(x, axis) for axis in range(first, op.rank(x))]
    return None if any(dim is None for dim in dims) else [int(dim) for dim in dims if dim is not None]


def product(op: Emitter, items: Sequence[int | ir.Value]) -> int | ir.Value:
    """Multiply sizes: an int where all are static, else an int64 vector of one element."""
    known = 1
    symbolic: list[ir.Value] = []
    for item in items:
        if isinstance(item, ir.Value):
            symbolic.append(op.vector(item))
        else:
            known *= int(item)
    if not symbolic:
        return known
    result = symbolic[0]
    for item in symbolic[1:]:
        result = op.Mul(result, item)
    return result if known == 1 else op.Mul(result, [known])


def wanted(op: Emitter, index: int) -> bool:
    """Whether the operator being lowered has an output of that index that something uses."""
    return index < op.result_count and op.result(index).used
