# SPDX-License-Identifier: Apache-2.0
"""Symbolic functions that others have registered with PyTorch's exporter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lading.passes.torch_private.announcing import announced_onnx_export
from lading.passes.torch_private.names import find

_REGISTRATION = "torch.onnx._internal.torchscript_exporter.registration"
_OLDEST_REGISTERED, _NEWEST_REGISTERED = 9, 20


def registered_symbolics(opset: int) -> dict[str, Callable[..., Any]]:
    """Return the functions of `torch.onnx.register_custom_op_symbolic` for an opset, by operator; no built-in ones.

    As there, the newest that is not above the opset counts, and those for 9 serve 7 and 8 too.
    """
    if _REGISTRATION not in sys.modules:
        return {}
    registry = sys.modules[_REGISTRATION].registry
    found = {}
    for name in registry.all_functions():
        given = registry.get_function_group(name)._functions._overrides
        versions = [version for version in given if version <= max(opset, _OLDEST_REGISTERED)]
        if versions:
            found[name] = given[max(versions)]
    return found


class SymbolicGraph:
    """A graph that symbolic functions write into, in PyTorch's own classes, which they look closely at.

    Args:
        opset: the opset to write for; the functions of PyTorch's that symbolic functions call end at 20.
    """

    def __init__(self, opset: int) -> None:
        private: Any = torch._C
        self._private = private
        self._graph = private.Graph()
        self._opset = min(opset, _NEWEST_REGISTERED)
        context = find("torch.onnx._internal.torchscript_exporter.jit_utils", "GraphContext")
        self._context = context(self._graph, self._graph.block(), self._opset, None, {}, {}, set())

    def input(self, dtype: torch.dtype, sizes: Sequence[int | None] | None) -> Any:
        """Return a new tensor input."""
        value = self._graph.addInput()
        kind = self._private.TensorType.get().with_dtype(dtype).with_device(torch.device("cpu"))
        value.setType(kind if sizes is None else kind.with_sizes(list(sizes)))
        return value

    def constant(self, value: Any) -> Any:
        """Return a number, a list of numbers, a string or None as a value."""
        if value is None:
            node = self._graph.insertNode(self._graph.create("prim::Constant"))
            node.output().setType(self._private.NoneType.get())
            return node.output()
        if isinstance(value, str):
            return self._context.op("Constant", value_s=value)
        return self._context.op("Constant", value_t=torch.tensor(value))

    def members(self, values: Sequence[Any]) -> Any:
        """Return a list of values as a value."""
        node = self._graph.insertNode(self._graph.create("prim::ListConstruct", list(values)))
        node.output().setType(self._private.ListType(self._private.TensorType.get()))
        return node.output()

    def call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Call a symbolic function with the graph in front of its arguments."""
        settings = find("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS")
        before = settings.export_onnx_opset_version
        settings.export_onnx_opset_version = self._opset
        try:
            with announced_onnx_export():
                return function(self._context, *arguments)
        finally:
            settings.export_onnx_opset_version = before

    def nodes(self) -> list[Any]:
        """Return what was written, in order."""
        return list(self._graph.nodes())

    def is_value(self, item: Any) -> bool:
        """Whether an object is a value of such a graph."""
        return isinstance(item, self._private.Value)
