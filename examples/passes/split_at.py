# SPDX-License-Identifier: Apache-2.0
"""A model in two files, cut behind a module: ``passes=[SplitAt(module="encoder", part="first")]``, then "second"."""

from __future__ import annotations

import onnx_ir as ir

import lading
from lading import Fact, Note, UsageError, Work, origin_of


@lading.a_pass("split-at", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class SplitAt:
    """Keep the part of a graph up to a module, or the part behind it.

    Why: the parts run on two devices, or one of them is run once and the other one often. What the second part needs
    of the first is an output of the one and an input of the other, under one name, in one order; inputs of the model
    that the second part needs stay its inputs.
    """

    module: str = lading.option("", help="The dotted path of the module, as in named_modules().")
    part: str = lading.option("first", choices=("first", "second"), help="The part that is kept.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        first = _up_to([node for node in graph if self._is_inside(node)])
        if not first:
            modules = sorted({origin.module for node in graph if (origin := origin_of(node)) and origin.module})
            raise UsageError(f"no node comes from a module '{self.module}'", hint=f"one of: {', '.join(modules)}")
        cut = [value for node in graph if node in first for value in node.outputs if _leaves(value, first)]
        if self.part == "first":
            gone = [node for node in graph if node not in first]
            graph.outputs[:] = cut
        else:
            gone = [node for node in graph if node in first]
            if any(value.is_graph_output() for value in cut):
                raise UsageError(f"an output of the model comes from '{self.module}'", hint='part = "first" has all')
            for value in cut:
                name, value.name = value.name, f"{value.name}_inside"
                enters = ir.Value(name=name, type=value.type, shape=value.shape)
                value.replace_all_uses_with(enters)
                graph.inputs.append(enters)
        graph.remove(list(reversed(gone)), safe=True)
        graph.inputs[:] = [value for value in graph.inputs if value.uses() or value.is_graph_output()]
        for name, value in list(graph.initializers.items()):
            if not value.uses() and not value.is_graph_output():
                del graph.initializers[name]
        note.count("nodes cut off", len(gone))

    def _is_inside(self, node: ir.Node) -> bool:
        origin = origin_of(node)
        return origin is not None and f"{origin.module}.".startswith(f"{self.module}.")


def _up_to(nodes: list[ir.Node]) -> set[ir.Node]:
    """The nodes and all that they depend on, what subgraphs take from outside included."""
    found: set[ir.Node] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        used = list(node.inputs)
        for inner in ir.traversal.RecursiveGraphIterator([node]):
            used += inner.inputs
        waiting += [maker for value in used if value is not None and (maker := value.producer()) is not None]
    return {node for node in found if any(node.graph is root.graph for root in nodes)}


def _leaves(value: ir.Value, first: set[ir.Node]) -> bool:
    return value.is_graph_output() or any(user not in first for user in value.consumers())
