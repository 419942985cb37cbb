# SPDX-License-Identifier: Apache-2.0
"""TorchScript from the inside."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lading.passes.torch_private.names import find


def is_script_object(value: Any) -> bool:
    """Whether a value is a TorchScript module or object, in C++ or in its Python clothes."""
    return isinstance(value, (torch._C.ScriptModule, torch._C.ScriptObject, torch.jit.ScriptModule))


def script_method(module: Any, name: str) -> Any:
    """Return a method of a scripted module: its graph and its schema."""
    return getattr(module, "_c", module)._get_method(name)


def has_script_method(module: Any, name: str) -> bool:
    """Whether a scripted module has a method."""
    return bool(getattr(module, "_c", module)._has_method(name))


def script_type_name(handle: Any) -> str:
    """Return the qualified name of a TorchScript object's type."""
    return str(handle._type().annotation_str)


def script_function_graph(call: Any) -> Any:
    """Return the graph of the TorchScript function that a node calls.

    A module that was loaded brings functions of its own, which nothing but their calls leads to: such a call in a graph
    of its own is inlined. That has lost the calls inside; so where this process has the very same function under the
    name, it is that one's graph.
    """
    private: Any = torch._C
    function, *arguments = call.inputs()
    alone = private.Graph()
    inside = {function.debugName(): alone.insertNode(alone.createClone(function.node(), lambda value: value)).output()}
    for index, argument in enumerate(arguments):
        # An argument that is given twice is two of the function's inputs.
        inside[index] = alone.addInput().setType(argument.type())
    order = iter([inside[function.debugName()], *(inside[index] for index in range(len(arguments)))])
    clone = alone.insertNode(alone.createClone(call, lambda value: next(order)))
    for output in clone.outputs():
        alone.registerOutput(output)
    private._jit_pass_inline(alone)
    named = find("torch.jit._state", "_python_cu").find_function(function.type().annotation_str)
    if named is None:
        return alone
    copy = named.graph.copy()
    private._jit_pass_inline(copy)
    return named.graph if _body(copy) == _body(alone) else alone


def _body(graph: Any) -> list[tuple[Any, ...]]:
    """Return what a graph does, without names of values and without what nothing uses."""
    private: Any = torch._C
    canonical = graph.copy()
    private._jit_pass_dce(canonical)
    text = private._jit_pass_canonicalize(canonical).str(False)
    return [tuple(line.split()) for line in text.splitlines() if "=" in line]


def script_class_method(class_name: str, method: str) -> Any:
    """Return the graph of a method of a TorchScript class by the qualified name of the class, or None."""
    unit = find("torch.jit._state", "_python_cu")
    function = unit.find_function(f"{class_name}.{method}")
    return None if function is None else function.graph


@contextlib.contextmanager
def script_calls_by(function: Callable[..., Any], method: Callable[..., Any]) -> Iterator[None]:
    """Let calls of TorchScript functions and methods from Python go to `function` and `method` for a while.

    Both get the called object first: for a method, `owner` and `name` say which.
    """
    kinds: tuple[Any, Any] = (torch.jit.ScriptFunction, torch._C.ScriptMethod)
    before = [kind.__call__ for kind in kinds]
    for kind, call in zip(kinds, (function, method), strict=True):
        kind.__call__ = call
    try:
        yield
    finally:
        for kind, call in zip(kinds, before, strict=True):
            kind.__call__ = call
