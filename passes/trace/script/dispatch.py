# SPDX-License-Identifier: Apache-2.0
"""Which function runs a step: the tables of primitives, builtins and tensor operators, in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lading.passes.trace.script.programs import Step

Handler = Callable[..., Any]

# Handlers that pass values on without looking at them, so that a value nobody can use may go through.
_TOLERANT = frozenset(
    {"prim::If", "prim::Loop", "prim::TupleConstruct", "prim::TupleUnpack", "prim::TupleIndex", "prim::CallMethod",
     "prim::CallFunction", "prim::ListConstruct"}
)  # fmt: skip


def handler_of(step: Step) -> tuple[Handler | None, bool]:
    """Return the handler of a step, and whether it takes values that cannot be used."""
    from lading.passes.trace.script import branches, builtins, loops, operators, primitives  # noqa: F401
    from lading.passes.trace.script.tables import BUILTINS, PRIMITIVES, TENSOR_BUILTINS

    kind = step.kind
    if kind.startswith("prim::"):
        handler = PRIMITIVES.get(kind)
        if handler is not None:
            return handler, kind in _TOLERANT
    handler = TENSOR_BUILTINS.get(kind) if step.on_tensors else BUILTINS.get(kind)
    if handler is not None:
        return handler, False
    if step.overload is not None and not kind.startswith("prim::"):
        return operators.run_operator, False
    return None, False
