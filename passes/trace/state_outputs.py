# SPDX-License-Identifier: Apache-2.0
"""What a model writes to its buffers: further outputs of the graph, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import onnx_ir as ir
from lading.passes.signature.structure import unused_name

if TYPE_CHECKING:
    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.capture import Capture

SUFFIX = "updated"


def add_state_outputs(model: ir.Model, capture: Capture, arguments: Arguments) -> Arguments:
    """Append an output for each buffer that the model writes, `1.running_mean.updated`, in the order of the writes.

    Returns:
        The arguments, whose eager run gives the same outputs.
    """
    graph = model.graph
    taken = {value.name or "" for value in (*graph.inputs, *graph.outputs, *graph.initializers.values())}
    for name, value in capture.buffer_writes.items():
        # A value of its own: the one written may be an input, an initializer or another output.
        output = ir.Value(name=unused_name(f"{name}.{SUFFIX}", taken), type=value.type, shape=value.shape)
        graph.append(ir.Node("aten", "alias", [value], outputs=[output]))
        graph.outputs.append(output)
        taken.add(output.name or "")
    graph.opset_imports.setdefault("aten", 1)
    return attrs.evolve(arguments, state_outputs=tuple(capture.buffer_writes))


def drop_state_writes(model: ir.Model, capture: Capture) -> None:
    """Remove the nodes that make nothing but what is written to buffers.

    Lowering asks whether results are used: a BatchNormalization whose moved statistics nobody reads is one operator.
    """
    waiting = [value.producer() for value in capture.buffer_writes.values()]
    while waiting:
        node = waiting.pop()
        if node is None or node.graph is None:
            continue
        if any(output.uses() or output.is_graph_output() for output in node.outputs):
            continue
        waiting.extend(value.producer() for value in node.inputs if value is not None)
        node.graph.remove(node, safe=True)
