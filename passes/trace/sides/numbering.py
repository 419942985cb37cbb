# SPDX-License-Identifier: Apache-2.0
"""One number for all values of two graphs that are computed alike: whether two recordings are the same program."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

import onnx_ir as ir
import torch
from lading.passes.control_flow import bodies_of
from lading.passes.dialect import find_overload, is_dialect_list
from lading.pipeline.fingerprint import tensor_digest

_WHOLE = 64 << 10


@functools.cache
def draws_random_numbers(domain: str, op_type: str, overload: str) -> bool:
    """Whether two equal calls of an operator give different values."""
    try:
        found = find_overload(domain, op_type, overload)
    except LookupError:
        return False
    return torch.Tag.nondeterministic_seeded in found.tags


@functools.cache
def _returns_tensors(domain: str, op_type: str, overload: str) -> bool:
    from lading.passes.dialect import schema_of

    try:
        return schema_of(find_overload(domain, op_type, overload)).returns_tensors
    except LookupError:
        return True


def is_arithmetic(node: ir.Node) -> bool:
    """Whether a node computes with sizes, or lists them: it can be written again wherever it is needed."""
    if is_dialect_list(node):
        return True
    return not any(bodies_of(node)) and not _returns_tensors(node.domain, node.op_type, node.overload)


def captured(node: ir.Node) -> list[ir.Value]:
    """Return the values of graphs around it that the bodies of a node read, in the order of their first use."""
    found: dict[ir.Value, None] = {}
    for body in bodies_of(node):
        _captured(body, set(), found)
    return list(found)


def _captured(graph: ir.Graph, own: set[ir.Value], found: dict[ir.Value, None]) -> None:
    own = own | set(graph.inputs)
    for node in graph:
        for value in node.inputs:
            if value is not None and value not in own:
                found.setdefault(value)
        for body in bodies_of(node):
            _captured(body, own, found)
        own.update(node.outputs)
    for value in graph.outputs:
        if value not in own:
            found.setdefault(value)


_NO_END = 2**63 - 1


def source(value: ir.Value | None) -> ir.Value | None:
    """Return the value that this one merely hands on, as a slice from the first to the last element does.

    PyTorch leaves such a slice out where it knows a size, and so for one side of a decision only.
    """
    while value is not None and (node := value.producer()) is not None and _takes_all(node):
        value = node.inputs[0]
    return value


def _takes_all(node: ir.Node) -> bool:
    if node.op_type != "slice" or node.domain != "aten" or len(node.inputs) != 1:
        return False
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    whole = given.get("start", 0) == 0 and given.get("end", _NO_END) == _NO_END
    return whole and given.get("step", 1) == 1


def reads(node: ir.Node) -> list[ir.Value | None]:
    """Return all that a node reads: its inputs, then what its bodies capture, each where it was made."""
    return [source(value) for value in (*node.inputs, *captured(node))]


class Numbering:
    """Gives values of several graphs numbers; equal numbers mean equal computations from the inputs."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._of: dict[ir.Value, int] = {}
        self._drawn: dict[Hashable, int] = {}

    def _number(self, key: Hashable) -> int:
        return self._numbers.setdefault(key, len(self._numbers))

    def number(self, model: ir.Model) -> None:
        """Number all values of a model."""
        graph = model.graph
        self._drawn.clear()
        for index, value in enumerate(graph.inputs):
            self._of[value] = self._number(("input", index))
        for value in graph.initializers.values():
            self._of[value] = self._number(tensor_key(value))
        for node in graph:
            self._node(node)

    def of(self, value: ir.Value | None) -> int:
        """Return the number of a value; that of an absent one is -1."""
        made = source(value)
        return -1 if made is None else self._of[made]

    def _node(self, node: ir.Node) -> None:
        key: Hashable = (self.kind(node), tuple(self.of(value) for value in reads(node)))
        if draws_random_numbers(node.domain, node.op_type, node.overload):
            count = self._drawn[key] = self._drawn.get(key, -1) + 1
            key = (key, count)
        for index, output in enumerate(node.outputs):
            self._of[output] = self._number((key, index))

    def kind(self, node: ir.Node) -> Hashable:
        """Return what a node is apart from what it reads: operator, attributes, bodies."""
        outer = {value: index for index, value in enumerate(captured(node))}
        return self._kind(node, outer)

    def _kind(self, node: ir.Node, known: dict[ir.Value, Any]) -> Hashable:
        attributes = []
        for name, attribute in sorted(node.attributes.items()):
            if attribute.type == ir.AttributeType.GRAPH:
                attributes.append((name, self._body(attribute.as_graph(), known)))
            elif attribute.type == ir.AttributeType.TENSOR:
                attributes.append((name, tensor_digest(attribute.value)))
            else:
                attributes.append((name, repr(attribute.value)))
        return node.domain, node.op_type, node.overload, len(node.outputs), tuple(attributes)

    def _body(self, graph: ir.Graph, known: dict[ir.Value, Any]) -> Hashable:
        known = dict(known)
        for index, value in enumerate(graph.inputs):
            known[value] = ("bound", len(known), index)
        lines = []
        for node in graph:
            read = tuple(None if value is None else known[value] for value in node.inputs)
            lines.append((self._kind(node, known), read))
            for index, output in enumerate(node.outputs):
                known[output] = ("made", len(lines), index)
        return len(graph.inputs), tuple(lines), tuple(known[value] for value in graph.outputs)


def computed_alike(left: ir.Value, right: ir.Value) -> bool:
    """Whether two values of one graph are the same whatever the inputs are: one value, or computed alike from such."""
    kinds = Numbering()
    met: set[tuple[ir.Value, ir.Value]] = set()
    waiting: list[tuple[ir.Value | None, ir.Value | None]] = [(left, right)]
    while waiting:
        one, other = map(source, waiting.pop())
        if one is other or (one, other) in met:
            continue
        if one is None or other is None:
            return False
        met.add((one, other))
        node, twin = one.producer(), other.producer()
        if node is None or twin is None or node.outputs.index(one) != twin.outputs.index(other):
            return False
        if kinds.kind(node) != kinds.kind(twin) or draws_random_numbers(node.domain, node.op_type, node.overload):
            return False
        read, too = reads(node), reads(twin)
        if len(read) != len(too):
            return False
        waiting.extend(zip(read, too, strict=True))
    return True


def tensor_key(value: ir.Value) -> Hashable:
    """Return what is equal for initializers of equal content; large weights are told apart by where they are."""
    tensor = value.const_value
    raw = getattr(tensor, "raw", None)
    if tensor is None or (isinstance(raw, torch.Tensor) and tensor.nbytes > _WHOLE):
        return "tensor", value.name, id(raw)
    return "literal", tensor_digest(tensor)


def _producer(value: ir.Value | None) -> ir.Node | None:
    made = source(value)
    return None if made is None else made.producer()


def live_nodes(model: ir.Model, results: Sequence[ir.Value]) -> Iterator[ir.Node]:
    """Yield the nodes that results depend on, in the order of the graph."""
    wanted: set[ir.Node] = set()
    waiting = [_producer(value) for value in results]
    while waiting:
        node = waiting.pop()
        if node is None or node in wanted:
            continue
        wanted.add(node)
        waiting.extend(_producer(value) for value in reads(node))
    return (node for node in model.graph if node in wanted)
