# SPDX-License-Identifier: Apache-2.0
"""The table of rules, and what several rules need to say of shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

RULES: dict[Any, Callable[..., Any]] = {}
"""Rule by public function, method or builtin."""

R = TypeVar("R", bound=Callable[..., Any])


def rule(*functions: Any) -> Callable[[R], R]:
    """Let a function be the rule for the given torch functions."""

    def registered(function: R) -> R:
        for target in functions:
            RULES[target] = function
        return function

    return registered


def same(left: Any, right: Any) -> bool:
    """Whether two sizes are equal; asks the symbols, and so leaves a guard, only where that is not plain."""
    if type(left) is int and type(right) is int:
        return left == right
    if type(left) is not int and type(right) is not int and left.node.expr == right.node.expr:
        return True
    return bool(left == right)


def broadcast(left: Sequence[Any], right: Sequence[Any]) -> list[Any] | None:
    """Return the broadcast of two shapes, or None if they do not fit."""
    if len(left) < len(right):
        left, right = right, left
    shape = list(left)
    offset = len(left) - len(right)
    for index, size in enumerate(right, start=offset):
        other = shape[index]
        if type(other) is int and other == 1:
            shape[index] = size
        elif not (type(size) is int and size == 1) and not same(other, size):
            return None
    return shape


def sizes_of(value: Any, count: int) -> list[Any]:
    """Return a size argument as PyTorch reads it: one number stands for every dimension."""
    if isinstance(value, (list, tuple)):
        return list(value) * count if len(value) == 1 else list(value)
    return [value] * count
