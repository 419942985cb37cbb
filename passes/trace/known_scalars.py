# SPDX-License-Identifier: Apache-2.0
"""Integers that a model computes from sizes by tensors without dimensions: the sizes that they are.

`torch.div(x.shape[1], 16, rounding_mode="floor")` is a tensor, and its value would be a number that only the run knows.
It is an expression over sizes, under which a shape made of it agrees with the shapes of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lading.passes.torch_private import FakeTensor

if TYPE_CHECKING:
    from lading.passes.trace.symbols import Axes

_aten = torch.ops.aten
_Number = Any
"""An int or a SymInt."""


def _divided(left: _Number, right: _Number, *, rounding_mode: str | None = None) -> _Number | None:
    return left // right if rounding_mode == "floor" else None


def _added(left: _Number, right: _Number, *, alpha: _Number = 1) -> _Number:
    return left + right * alpha


def _subtracted(left: _Number, right: _Number, *, alpha: _Number = 1) -> _Number:
    return left - right * alpha


_COMPUTES: Mapping[Any, Callable[..., _Number | None]] = {
    _aten.add.Tensor: _added,
    _aten.add.Scalar: _added,
    _aten.sub.Tensor: _subtracted,
    _aten.sub.Scalar: _subtracted,
    _aten.mul.Tensor: lambda left, right: left * right,
    _aten.mul.Scalar: lambda left, right: left * right,
    _aten.div.Tensor_mode: _divided,
    _aten.div.Scalar_mode: _divided,
    _aten.floor_divide.default: lambda left, right: left // right,
    _aten.floor_divide.Scalar: lambda left, right: left // right,
    _aten.remainder.Tensor: lambda left, right: left % right,
    _aten.remainder.Scalar: lambda left, right: left % right,
    _aten.neg.default: lambda one: -one,
    _aten.maximum.default: torch.sym_max,
    _aten.minimum.default: torch.sym_min,
    _aten.clone.default: lambda one, **_: one,
}


def size_computed(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], axes: Axes) -> int | torch.SymInt | None:
    """Return the size that a call computes from sizes and numbers alone, None where it computes something else."""
    compute = _COMPUTES.get(func)
    if compute is None:
        return None
    numbers = [_number(one) for one in args]
    if None in numbers:
        return None
    named = dict(kwargs)
    if named.get("rounding_mode") == "trunc" and all(_is_positive(one, axes) for one in numbers):
        named["rounding_mode"] = "floor"
    try:
        found = compute(*numbers, **named)
    except ZeroDivisionError:
        return None
    return found if type(found) in (int, torch.SymInt) else None


def _number(item: Any) -> _Number | None:
    if type(item) in (int, torch.SymInt):
        return item
    if not isinstance(item, FakeTensor) or item.dim() or item.dtype is not torch.int64:
        return None
    if item.constant is not None:
        return int(item.constant)
    return item.item_memo


def _is_positive(number: _Number, axes: Axes) -> bool:
    if type(number) is int:
        return bool(number > 0)
    return bool(axes.bound_sympy(axes.replace(number.node.expr)).lower >= 0)
