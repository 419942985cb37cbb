# SPDX-License-Identifier: Apache-2.0
"""Higher-order operators: torch.cond and its kin."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lading.passes.torch_private.names import find

_HIGHER_ORDER = (
    ("torch._higher_order_ops.cond", "cond_op"),
    ("torch._higher_order_ops.while_loop", "while_loop_op"),
    ("torch._higher_order_ops.scan", "scan_op"),
    ("torch._higher_order_ops.map", "map_impl"),
)


@contextlib.contextmanager
def higher_order_calls_by(handlers: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Let calls of `torch.cond` and its kin go to handlers for a while, by the operator's name, uncompiled.

    A handler gets what the operator would get: functions and flat operands. The Python faces of the operators would
    compile the call in eager; meanwhile they do not.
    """

    def called(handler: Callable[..., Any]) -> Callable[..., Any]:
        return lambda operator, *args, **kwargs: handler(*args, **kwargs)

    def directly(function: Callable[..., Any], args: Sequence[Any], kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))

    places: list[tuple[Any, str, Any]] = [
        (find("torch._higher_order_ops.utils", ""), "_hop_compile_and_call", directly)
    ]
    for module, name in _HIGHER_ORDER:
        operator = find(module, name)
        places.append((type(operator), "__call__", called(handlers[operator.name()])))
    before = [(holder, name, getattr(holder, name)) for holder, name, _ in places]
    for holder, name, replacement in places:
        setattr(holder, name, replacement)
    try:
        yield
    finally:
        for holder, name, ordinary in before:
            setattr(holder, name, ordinary)
