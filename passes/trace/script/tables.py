# SPDX-License-Identifier: Apache-2.0
"""The tables of the interpreter, filled by the modules that hold the handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Handler = TypeVar("Handler", bound=Callable[..., Any])

PRIMITIVES: dict[str, Callable[..., Any]] = {}
"""Handlers of the operators of the language itself, `prim::*`: (interpreter, step, *arguments) to result."""

BUILTINS: dict[str, Callable[..., Any]] = {}
"""Handlers of `aten::*` operators whose schema has no tensors: numbers, lists, dicts, strings."""

TENSOR_BUILTINS: dict[str, Callable[..., Any]] = {}
"""Handlers of `aten::*` operators on tensors that are questions or conversions, or that only scripts have."""


def _registering(table: dict[str, Callable[..., Any]], names: tuple[str, ...]) -> Callable[[Handler], Handler]:
    def register(function: Handler) -> Handler:
        for name in names:
            table[name] = function
        return function

    return register


def primitive(*names: str) -> Callable[[Handler], Handler]:
    """Let a function run the primitives `prim::<name>`."""
    return _registering(PRIMITIVES, tuple(f"prim::{name}" for name in names))


def builtin(*names: str) -> Callable[[Handler], Handler]:
    """Let a function run `aten::<name>` where no tensor is among the arguments."""
    return _registering(BUILTINS, tuple(name if "::" in name else f"aten::{name}" for name in names))


def tensor_builtin(*names: str) -> Callable[[Handler], Handler]:
    """Let a function run `aten::<name>` where the arguments are tensors."""
    return _registering(TENSOR_BUILTINS, tuple(f"aten::{name}" for name in names))
