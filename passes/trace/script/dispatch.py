# SPDX-License-Identifier: Apache-2.0
"""Which function runs a step: the tables of primitives, builtins and tensor operators, in this order."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from lading.passes.trace.script.operators import run_operator
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.tables import BUILTINS, PRIMITIVES, TENSOR_BUILTINS

Handler = Callable[..., Any]

# Handlers that pass values on without looking at them, so that a value nobody can use may go through.
_TOLERANT = frozenset(
    {"prim::If", "prim::Loop", "prim::TupleConstruct", "prim::TupleUnpack", "prim::TupleIndex", "prim::CallMethod",
     "prim::CallFunction", "prim::ListConstruct"}
)  # fmt: skip


_MODULES = ("primitives", "arithmetic", "containers", "texts", "questions", "branches", "loops", "optimized")
"""The modules that fill the tables; `questions` gives to tensors what the two before it have for lists."""


@functools.cache
def _load() -> None:
    for name in _MODULES:
        importlib.import_module(f"lading.passes.trace.script.{name}")


def handler_of(step: Step) -> tuple[Handler | None, bool]:
    """Return the handler of a step, and whether it takes values that cannot be used."""
    _load()
    kind = step.kind
    if kind.startswith("prim::"):
        handler = PRIMITIVES.get(kind)
        if handler is not None:
            return handler, kind in _TOLERANT
    handler = TENSOR_BUILTINS.get(kind) if step.on_tensors else BUILTINS.get(kind)
    if handler is not None:
        return handler, False
    if step.overload is not None and not kind.startswith("prim::"):
        return run_operator, False
    return None, False
