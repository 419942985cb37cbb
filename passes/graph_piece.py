# SPDX-License-Identifier: Apache-2.0
"""A piece of a graph of the ATen dialect, as a graph of its own: some of its nodes, and inputs for what they read."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
import onnx_ir as ir

from .control_flow import values_read
from .dialect import is_dialect_list

Place = tuple[int, int]
"""A value by the node that makes it and by its place among that node's outputs."""


@attrs.frozen
class Piece:
    """Some nodes of a graph.

    Attributes:
        model: the piece, with copies of the nodes.
        inputs: for each input that stands for what a node outside makes, the value of the whole graph.
        outputs: for each output of the piece, the value of the whole graph.
    """

    model: ir.Model
    inputs: dict[str, ir.Value]
    outputs: dict[str, ir.Value]


class Pieces:
    """Cuts pieces out of one graph, which stays as it is.

    Nodes that make lists belong to those that read them. A node with bodies stays whole.

    Attributes:
        nodes: the nodes that a piece may have, in order.
    """

    def __init__(self, model: ir.Model) -> None:
        self.model = model
        self._all = list(model.graph)
        self._index = {node: index for index, node in enumerate(self._all)}
        self._reads = [
            list(dict.fromkeys(place for value in values_read(node) if (place := self._place(value)) is not None))
            for node in self._all
        ]
        self.nodes = [node for node in self._all if not is_dialect_list(node)]

    def _place(self, value: ir.Value) -> Place | None:
        maker = value.producer()
        return None if maker not in self._index else (self._index[maker], value.index() or 0)

    def cut(self, kept: Iterable[int]) -> Piece:
        """Return the piece of the nodes at some positions of `nodes`."""
        whole = self._with_lists(self._index[self.nodes[position]] for position in kept)
        needed = {place for index in whole for place in self._reads[index] if place[0] not in whole}
        outside = {place for index in range(len(self._all)) if index not in whole for place in self._reads[index]}
        inside = {place for index in whole for place in self._reads[index]}
        graph = self.model.graph.clone(allow_outer_scope_values=True)
        _own_constants(graph)
        copies = list(graph)
        asked = {place for value in self.model.graph.outputs if (place := self._place(value)) is not None}
        graph.outputs.clear()
        outputs: dict[str, ir.Value] = {}
        for index in sorted(whole):
            if is_dialect_list(copies[index]):
                continue
            for number, value in enumerate(copies[index].outputs):
                place = (index, number)
                if value.type is not None and (place in asked or place in outside or place not in inside):
                    value.name = value.name or f"value.{index}.{number}"
                    graph.outputs.append(value)
                    outputs[value.name] = self._all[index].outputs[number]
        inputs: dict[str, ir.Value] = {}
        for index, number in sorted(needed):
            old = copies[index].outputs[number]
            name = old.name or f"value.{index}.{number}"
            made = ir.Value(name=name, type=old.type, shape=old.shape)
            made.meta.update(old.meta)
            old.name = f"{name}.outside"
            old.replace_all_uses_with(made)
            graph.inputs.append(made)
            inputs[name] = self._all[index].outputs[number]
        graph.remove([copies[index] for index in reversed(range(len(copies))) if index not in whole], safe=True)
        kept_inputs = [value for value in graph.inputs if value.uses()]
        graph.inputs[:] = kept_inputs
        for name, value in list(graph.initializers.items()):
            if not value.uses():
                del graph.initializers[name]
        functions = [function.clone() for function in self.model.functions.values()]
        made_model = ir.Model(
            graph,
            ir_version=self.model.ir_version,
            functions=functions,
            metadata_props=dict(self.model.metadata_props),
        )
        return Piece(made_model, inputs, outputs)

    def _with_lists(self, kept: Iterable[int]) -> set[int]:
        found: set[int] = set()
        todo = list(kept)
        while todo:
            index = todo.pop()
            if index not in found:
                found.add(index)
                todo.extend(maker for maker, _ in self._reads[index] if is_dialect_list(self._all[maker]))
        return found


def _own_constants(graph: ir.Graph) -> None:
    """Give a copied graph constants of its own in the place of those that belong to no graph."""
    own: dict[ir.Value, ir.Value] = {}
    for node in ir.traversal.RecursiveGraphIterator(graph):
        for index, value in enumerate(node.inputs):
            if value is None or value.producer() is not None or value.const_value is None:
                continue
            if value.is_graph_input() or value.is_initializer():
                continue
            if value not in own:
                own[value] = ir.Value(
                    name=value.name, type=value.type, shape=value.shape, const_value=value.const_value
                )
                own[value].meta.update(value.meta)
            node.replace_input_with(index, own[value])
