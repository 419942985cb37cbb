# SPDX-License-Identifier: Apache-2.0
"""Operators on lists of tensors, ``aten::_foreach_*``, as the operator that they apply to each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_PREFIX = "aten::_foreach_"


def definition_of(overload: Any) -> Callable[..., list[torch.Tensor]] | None:
    """Return what an operator on lists does in terms of operators on tensors, or None for any other operator.

    Every argument that is a list has one member for each tensor, numbers included; the others are shared.
    """
    name = overload._schema.name
    if not name.startswith(_PREFIX):
        return None
    base = name.removeprefix(_PREFIX)
    each = _EACH.get(base) or getattr(torch, base, None)
    if each is None:
        return None

    def definition(*args: Any, **kwargs: Any) -> list[torch.Tensor]:
        count = next(len(item) for item in args if isinstance(item, (list, tuple)))
        return [each(*(_member(item, n) for item in args), **kwargs) for n in range(count)]

    return definition


def _member(item: Any, index: int) -> Any:
    return item[index] if isinstance(item, (list, tuple)) else item


def _bounded(by_number: Callable[..., torch.Tensor], by_tensor: Callable[..., torch.Tensor]) -> Any:
    def bounded(x: torch.Tensor, bound: Any) -> torch.Tensor:
        return (by_tensor if isinstance(bound, torch.Tensor) else by_number)(x, bound)

    return bounded


def _scaled(function: Callable[..., torch.Tensor]) -> Any:
    def scaled(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, value: Any = 1) -> torch.Tensor:
        made: torch.Tensor = function(x, a, b, value=value)
        return made

    return scaled


def _norm(x: torch.Tensor, ord: Any = 2, dtype: Any = None) -> torch.Tensor:
    made: torch.Tensor = torch.linalg.vector_norm(x, ord, dtype=dtype)
    return made


def _power_sum(x: torch.Tensor, ord: Any = 2, dtype: Any = None) -> torch.Tensor:
    return torch.pow(_norm(x, ord, dtype), ord)


_EACH: dict[str, Callable[..., torch.Tensor]] = {
    "addcdiv": _scaled(torch.addcdiv),
    "addcmul": _scaled(torch.addcmul),
    "copy": torch.ops.aten.copy.default,
    "maximum": _bounded(torch.clamp_min, torch.maximum),
    "minimum": _bounded(torch.clamp_max, torch.minimum),
    "norm": _norm,
    "powsum": _power_sum,
    "zero": torch.zeros_like,
}
"""The operators whose name or arguments differ from those of the function on one tensor."""
