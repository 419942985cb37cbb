# SPDX-License-Identifier: Apache-2.0
"""Inference from a model in training mode: ``recipe="training", passes=[StripTraining(outputs=("loss",))]``."""

from __future__ import annotations

import onnx_ir as ir

import lading
from lading import Fact, Note, UsageError, Work


@lading.a_pass("strip-training", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class StripTraining:
    """Take out of a graph what only training needs: dropout, batch statistics, losses, and inputs that serve them.

    Why: one program exports the model that it trains; the file for inference need not be a second export.
    """

    outputs: tuple[str, ...] = lading.option((), help="Outputs that go too, such as the loss.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        names = [value.name for value in graph.outputs]
        if missing := [name for name in self.outputs if name not in names]:
            raise UsageError(f"there is no output '{missing[0]}'", hint=f"one of: {', '.join(map(str, names))}")
        graph.outputs[:] = [value for value in graph.outputs if value.name not in self.outputs]
        for node in list(graph):
            if node.op_type == "Dropout" and not node.domain:
                _bypass(node)
                note.count("dropouts removed")
            elif node.op_type == "BatchNormalization" and node.attributes.get_int("training_mode", 0):
                self._normalise_by_running_statistics(node)
                note.count("batch normalizations set to inference")
        for node in reversed(graph):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                graph.remove(node, safe=True)
        unused = [value for value in graph.inputs if not value.uses() and not value.is_graph_output()]
        graph.inputs[:] = [value for value in graph.inputs if value not in unused]
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]
        note.count("inputs removed", len(unused))

    def _normalise_by_running_statistics(self, node: ir.Node) -> None:
        del node.attributes["training_mode"]
        for value in node.outputs[1:]:
            if value.is_graph_output():
                raise UsageError(f"output '{value.name}' is a running statistic", hint="name it in outputs as well")
        node.resize_outputs(1)


def _bypass(node: ir.Node) -> None:
    """Let the input of a dropout serve in its place, or an Identity where the output's name has to stay."""
    kept, into = node.outputs[0], node.inputs[0]
    if kept.is_graph_output():
        same = ir.node("Identity", [into])
        node.graph.insert_before(node, same)
        name, kept.name = kept.name, f"{kept.name}_dropout"
        same.outputs[0].name, same.outputs[0].type, same.outputs[0].shape = name, kept.type, kept.shape
        into = same.outputs[0]
    kept.replace_all_uses_with(into, replace_graph_outputs=True)
