# SPDX-License-Identifier: Apache-2.0
"""Module-local functions of a graph: what a function stands for, and how its body holds constants."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

import onnx_ir as ir
from lading.passes.tidying.graph_edits import all_graphs, dims_of

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAIN = "modules"
"""The domain of the functions that module classes become."""

_SCOPE_KEY = "lading.scope"


def set_scope(graph: ir.Graph, module: str) -> None:
    """Keep the path of the module that the body of a function was taken from: those of its nodes begin with it."""
    graph.meta[_SCOPE_KEY] = module


def within(graph: ir.Graph, module: str) -> str:
    """Return the path of a module as seen from inside of a function's body; of other graphs, the path itself."""
    scope: str = graph.meta.get(_SCOPE_KEY, "")
    if not scope or module == scope:
        return "" if scope else module
    return module.removeprefix(f"{scope}.")


def copy_scope(source: ir.Graph, target: ir.Graph) -> None:
    """Keep the scope of one body on the body that takes its place."""
    if _SCOPE_KEY in source.meta:
        target.meta[_SCOPE_KEY] = source.meta[_SCOPE_KEY]


def is_call(node: ir.Node, functions: Container[ir.OperatorIdentifier]) -> bool:
    """Whether a node calls one of the functions of a model."""
    return node.op_identifier() in functions


def calls_of(model: ir.Model) -> Iterator[tuple[ir.Node, ir.Function]]:
    """Yield every call of a function of the model, in all graphs, with the function."""
    for graph in all_graphs(model):
        for node in graph:
            function = model.functions.get(node.op_identifier())
            if function is not None:
                yield node, function


def initializers_to_constants(graph: ir.Graph) -> None:
    """Make Constant nodes, at the start, of the initializers of a function's body, which can hold none in a file."""
    nodes = []
    for value in list(graph.initializers.values()):
        tensor = value.const_value
        assert tensor is not None
        del graph.initializers[value.name or ""]
        if not value.uses() and not value.is_graph_output():
            continue
        nodes.append(constant_node(tensor, value.name))
        # What is known of a value stays known: a later lowering may ask for it.
        output = nodes[-1].outputs[0]
        output.shape, output.const_value = value.shape, tensor
        ir.convenience.replace_all_uses_with(value, output, replace_graph_outputs=True)
    if not nodes:
        return
    if len(graph):
        graph.insert_before(graph[0], nodes)
    else:
        graph.extend(nodes)


def constant_node(tensor: ir.TensorProtocol, name: str | None = None) -> ir.Node:
    """Return a Constant node for a tensor; its output is named, and has dtype and shape."""
    node = ir.node("Constant", [], attributes={"value": tensor})
    output = node.outputs[0]
    output.name, output.type = name, ir.TensorType(tensor.dtype)
    output.shape = ir.Shape(dims_of(tensor))
    return node
