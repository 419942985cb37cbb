# SPDX-License-Identifier: Apache-2.0
"""One module call on its way from the graph into a function: what it reads, what is read of it, and its body."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import onnx_ir as ir
from lading.passes.control_flow import bodies_of
from lading.passes.outlining.functions import constant_node
from lading.passes.outlining.size_arithmetic import SizesFromTensors
from lading.passes.signature.structure import unused_name

SMALL = 4096
"""Bytes up to which a literal of the code is part of the body; a larger one is an input like a weight."""


_TENSOR, _NUMBER, _WEIGHT, _LITERAL = range(4)
_FORMAL_NAMES = {_TENSOR: "input", _NUMBER: "size"}


def _kind(value: ir.Value, afloat: Collection[ir.Node], literals: Collection[str]) -> int:
    producer = value.producer()
    if producer is not None:
        return _NUMBER if producer in afloat else _TENSOR
    if value.const_value is None:
        return _TENSOR
    return _LITERAL if value.name in literals and value.const_value.nbytes <= SMALL else _WEIGHT


def reads(node: ir.Node) -> Iterator[tuple[ir.Node, int, ir.Value]]:
    """Yield each value that a node reads, or a node in its bodies, as (reader, index, value)."""
    for index, value in enumerate(node.inputs):
        if value is not None:
            yield node, index, value
    for body in bodies_of(node):
        for inner in body:
            yield from reads(inner)


class CutOut:
    """Some nodes of a graph, about to become the body of a function.

    Args:
        graph: the graph that the nodes stand in.
        nodes: the nodes, in order, with everything on a path from one to another.
        afloat: arithmetic of sizes in the graph that is part of no call.
        literals: names of the initializers that are literals of the code.

    Attributes:
        arguments: what the nodes read from outside, in the order of first use.
        order: the places of the arguments in the order in which a reader wants them: tensors, numbers, weights.
        outputs: what is read of the nodes outside.
    """

    def __init__(
        self, graph: ir.Graph, nodes: Sequence[ir.Node], afloat: Collection[ir.Node], literals: Collection[str]
    ) -> None:
        self._graph = graph
        self._nodes = nodes
        self._inside: set[ir.Node] = set()
        self._own: set[ir.Value] = set()
        for node in nodes:
            self._take(node)
        self._kinds: dict[ir.Value, int] = {}
        for node in nodes:
            for _, _, value in reads(node):
                if value not in self._own and value not in self._kinds:
                    self._kinds[value] = _kind(value, afloat, literals)
        self._sizes = SizesFromTensors([value for value, kind in self._kinds.items() if kind == _TENSOR], afloat)
        self.arguments = [
            value
            for value, kind in self._kinds.items()
            if kind in (_TENSOR, _WEIGHT) or (kind == _NUMBER and not self._sizes.can_write(value))
        ]
        kinds = [self._kinds[value] for value in self.arguments]
        self.order = sorted(range(len(kinds)), key=lambda index: kinds[index])
        self.outputs = [output for node in nodes for output in node.outputs if self._is_read_outside(output)]

    def _take(self, node: ir.Node) -> None:
        self._inside.add(node)
        self._own.update(node.outputs)
        for body in bodies_of(node):
            self._own.update(body.inputs)
            for inner in body:
                self._take(inner)

    def _is_read_outside(self, value: ir.Value) -> bool:
        return value.is_graph_output() or any(use.node not in self._inside for use in value.uses())

    def body(self, call: ir.Node, module: str) -> ir.Graph:
        """Move the nodes to a graph of their own; `call`, which has `arguments` for inputs, gives their outputs."""
        for old, new in zip(self.outputs, call.outputs, strict=True):
            self._hand_over(old, new)
        taken: set[str] = set()
        inside: dict[ir.Value, ir.Value] = {}
        for value in self.arguments:
            wanted = _FORMAL_NAMES.get(self._kinds[value]) or (value.name or "weight").removeprefix(f"{module}.")
            inside[value] = ir.Value(name=_fresh(wanted, taken), type=value.type, shape=value.shape)
        inputs = list(inside.values())
        nodes: list[ir.Node] = []
        for node in self._nodes:
            for reader, index, value in list(reads(node)):
                if value not in self._own:
                    reader.replace_input_with(index, self._seen_inside(value, inside, nodes))
            nodes.append(node)
        self._graph.remove(self._nodes)
        for value in self.outputs:
            value.name = _fresh("output", taken)
        return ir.Graph(inputs, self.outputs, nodes=nodes)

    def _hand_over(self, old: ir.Value, new: ir.Value) -> None:
        """Let what reads a value outside read what the call gives."""
        for use in list(old.uses()):
            if use.node not in self._inside:
                use.node.replace_input_with(use.idx, new)
        outputs = self._graph.outputs
        for index, value in enumerate(outputs):
            if value is old:
                outputs[index] = new
                new.name, old.name = old.name or new.name, None

    def _seen_inside(self, value: ir.Value, inside: dict[ir.Value, ir.Value], nodes: list[ir.Node]) -> ir.Value:
        """Return what stands for a value from outside, after the nodes that it takes."""
        known = inside.get(value)
        if known is not None:
            return known
        if self._kinds[value] == _NUMBER:
            return self._sizes.write(value, inside, nodes)
        assert value.const_value is not None
        # A tensor of its own: that of a weight knows its name in the model.
        literal = ir.Tensor(value.const_value.numpy().copy(), dtype=value.const_value.dtype)
        node = constant_node(literal)
        nodes.append(node)
        inside[value] = node.outputs[0]
        return node.outputs[0]


def _fresh(name: str, taken: set[str]) -> str:
    unique = unused_name(name, taken)
    taken.add(unique)
    return unique
