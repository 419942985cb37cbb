# SPDX-License-Identifier: Apache-2.0
"""Small graphs in ONNX text whose nodes know the module calls that they ran in."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
import onnx_ir as ir
from lading.pipeline.origin import ModuleCall, Origin, set_origin

IMPORTS = '<ir_version: 8, opset_import: ["" : 18, "aten" : 1, "prim" : 1]>\n'
ROOT = ModuleCall("", "Model")


def call(module: str, module_class: str = "Block", outer: ModuleCall = ROOT) -> ModuleCall:
    """One call of a module, directly in the model unless another call is given."""
    return ModuleCall(module, module_class, outer=outer)


def model_of(text: str, calls: Mapping[str, ModuleCall] | None = None) -> ir.Model:
    """Return the model of a text; `calls` tells the call of a node by the name of its first output.

    Values whose type the text leaves out have that of the first input: capture states one for each.
    """
    model = ir.from_proto(onnx.parser.parse_model(IMPORTS + text))
    like = model.graph.inputs[0]
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            if value.type is None:
                value.type, value.shape = like.type, like.shape
        where = (calls or {}).get(node.outputs[0].name or "", ROOT)
        set_origin(node, Origin(where.module, where.module_class, call=where))
    return model


def nodes_named(graph: ir.Graph, *names: str) -> list[ir.Node]:
    """Return the nodes of a graph whose first outputs have these names, in the order of the names."""
    by_name = {node.outputs[0].name: node for node in ir.traversal.RecursiveGraphIterator(graph)}
    return [by_name[name] for name in names]


def made(nodes: object) -> list[str | None]:
    """Return the names of the first outputs of nodes."""
    return [node.outputs[0].name for node in nodes]  # type: ignore[attr-defined]
