# SPDX-License-Identifier: Apache-2.0
"""What the passes that rewrite neighbouring nodes share: walking, looking behind a value, and making new constants."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from lading.passes.tidying.graph_edits import Names, dims_of, has_references, with_subgraphs
from lading.pipeline.origin import origin_of, set_origin

Dim = int | ir.SymbolicDim


def plain(node: ir.Node | None) -> bool:
    """Whether a node is of the default domain, with attributes that are all known."""
    return node is not None and node.domain in ("", "ai.onnx") and not has_references(node)


def maker(value: ir.Value | None, *op_types: str, within: ir.Node | None = None) -> ir.Node | None:
    """Return the node that makes a value as its first output, if it is one of the operators.

    `within` asks that both nodes stand in the same graph.
    """
    node = None if value is None else value.producer()
    if node is None or node.op_type not in op_types or not plain(node) or node.outputs[0] is not value:
        return None
    return None if within is not None and node.graph is not within.graph else node


def used_once(value: ir.Value) -> bool:
    """Whether one node reads the value, in one place, and nobody else does."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def same_dim(left: Dim | None, right: Dim | None) -> bool:
    """Whether two sizes are equal for certain: the same number, or the same name."""
    if isinstance(left, int) or isinstance(right, int):
        return left == right
    return left is not None and right is not None and left.value is not None and left.value == right.value


def same_shape(left: Sequence[Dim] | ir.Shape | None, right: Sequence[Dim] | ir.Shape | None) -> bool:
    """Whether two shapes are known and equal for certain."""
    if left is None or right is None or len(left) != len(right):
        return False
    return all(same_dim(one, other) for one, other in zip(left, right, strict=True))


def become(
    node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], attributes: Mapping[str, Any] | None = None
) -> None:
    """Make another operator of a node, which keeps its outputs, name and origin."""
    node.op_type = op_type
    if len(inputs) != len(node.inputs):
        node.resize_inputs(len(inputs))
    for index, value in enumerate(inputs):
        node.replace_input_with(index, value)
    node.attributes.clear()
    for name, value in (attributes or {}).items():
        node.attributes[name] = value if isinstance(value, ir.Attr) else ir.convenience.convert_attribute(name, value)


class Rewriting:
    """A walk over one model in order of computation, with a way to make constants and nodes on the way."""

    def __init__(self, model: ir.Model, opset: int) -> None:
        self.model = model
        self.opset = opset
        self._in_function = False
        self._names: Names | None = None
        self._ints: dict[tuple[int, ...], ir.Value] = {}
        self._made: list[ir.Value] = []
        self.passed: set[ir.Node] = set()
        """Nodes that a rule has looked at and wants to find again when it meets their like."""

    def nodes(self) -> Iterator[ir.Node]:
        """Yield every plain node, in subgraphs and functions too; a node may be edited or removed when it is had.

        Constants made on the way that end without a use are removed after the last one.
        """
        for graph in with_subgraphs(self.model.graph):
            yield from (node for node in graph if plain(node))
        self._in_function = True
        for function in self.model.functions.values():
            for graph in with_subgraphs(function.graph):
                yield from (node for node in graph if plain(node))
        self._in_function = False
        for value in self._made:
            name = value.name or ""
            if not value.uses() and name in self.model.graph.initializers:
                del self.model.graph.initializers[name]

    def ints(self, numbers: Sequence[int], at: ir.Node, wanted: str = "shape") -> ir.Value:
        """Return an int64 vector as a constant that `at` can read."""
        key = tuple(int(number) for number in numbers)
        known = None if self._in_function else self._ints.get(key)
        if known is None or not known.is_initializer():
            known = self.constant(ir.Tensor(np.array(key, dtype=np.int64)), wanted, at)
            if not self._in_function:
                self._ints[key] = known
        return known

    def constant(self, tensor: ir.TensorProtocol, wanted: str, at: ir.Node) -> ir.Value:
        """Store a tensor: as an initializer, or in a function, which has none, as a Constant node before `at`."""
        if self._in_function:
            node = self.node("Constant", [], at, {"value": tensor}, ir.TensorType(tensor.dtype), dims_of(tensor))
            return node.outputs[0]
        value = ir.Value(
            name=self._fresh(wanted),
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(dims_of(tensor)),
            const_value=tensor,
        )
        tensor.name = value.name
        self.model.graph.register_initializer(value)
        self._made.append(value)
        return value

    def node(
        self,
        op_type: str,
        inputs: Sequence[ir.Value | None],
        before: ir.Node,
        attributes: Mapping[str, Any] | None = None,
        dtype: ir.TypeProtocol | None = None,
        shape: Sequence[Dim] | ir.Shape | None = None,
        *,
        outputs: int = 1,
    ) -> ir.Node:
        """Put a new node before another one, whose origin it gets; type and shape are those of all its outputs."""
        made = ir.node(op_type, inputs, attributes=dict(attributes or {}), num_outputs=outputs)
        for output in made.outputs:
            output.name = self._fresh(f"{before.outputs[0].name}_{op_type}")
            output.type = dtype
            output.shape = None if shape is None else ir.Shape(list(shape))
        origin = origin_of(before)
        if origin is not None:
            set_origin(made, origin)
        assert before.graph is not None
        before.graph.insert_before(before, made)
        return made

    def set_axes(self, node: ir.Node, op_type: str, source: ir.Value, axes: Sequence[int]) -> None:
        """Make a Squeeze or Unsqueeze of a node; axes are an attribute before opset 13 and an input from then on.

        Source of the rule: the ONNX specification, Squeeze-13 and Unsqueeze-13.
        """
        if self.opset < 13:
            become(node, op_type, [source], {"axes": list(axes)})
        else:
            become(node, op_type, [source, self.ints(axes, node, "axes")])

    def _fresh(self, wanted: str) -> str:
        self._names = self._names or Names(self.model)
        return self._names.fresh(wanted)
