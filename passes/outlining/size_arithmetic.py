# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of sizes in the ATen dialect: which nodes do it, and how it is done again from other tensors.

Capture computes each size once, where it is first needed, and reads it from an input of the model. A part of the graph
that is to stand by itself does better to read its sizes from the tensors that it gets: by the names of dimensions,
which are equal exactly where sizes are.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import onnx_ir as ir
from lading.passes.control_flow import is_control_flow, is_sequence_operator
from lading.passes.dialect import is_dialect_list, node_schema

_READ = "sym_size"
"""The one operator that makes a size of a tensor: `aten::sym_size.int(tensor, dim)`."""

_DOMAINS = ("aten", "prim")


def is_size_arithmetic(node: ir.Node | None) -> bool:
    """Whether a node reads the size of a tensor, or computes with numbers alone."""
    if node is None or node.domain not in _DOMAINS or is_dialect_list(node):
        return False
    if is_control_flow(node) or is_sequence_operator(node):
        return False
    if node.op_type == _READ:
        return True
    try:
        schema = node_schema(node)
    except LookupError:
        return False
    return not schema.returns_tensors and not any(parameter.is_tensor for parameter in schema.parameters)


class SizesFromTensors:
    """Writes sizes anew, read from some tensors.

    Args:
        tensors: where sizes may be read, the first first.
        again: the nodes that may be written again.
    """

    def __init__(self, tensors: Sequence[ir.Value], again: Container[ir.Node]) -> None:
        self._again = again
        self._at_hand = set(tensors)
        self._follows: dict[ir.Value, bool] = {}
        self._places: dict[str, tuple[ir.Value, int]] = {}
        for tensor in tensors:
            for axis, dim in enumerate(tensor.shape or ()):
                if not isinstance(dim, int) and dim.value is not None:
                    self._places.setdefault(dim.value, (tensor, axis))

    def can_write(self, size: ir.Value) -> bool:
        """Whether a size follows from those of the tensors."""
        if size in self._at_hand:
            return True
        follows = self._follows.get(size)
        if follows is None:
            follows = self._follows[size] = self._can_write(size)
        return follows

    def _can_write(self, size: ir.Value) -> bool:
        node = size.producer()
        if node is None or node not in self._again:
            return False
        if node.op_type == _READ:
            return self._place(node) is not None
        return all(value is not None and self.can_write(value) for value in node.inputs)

    def write(self, size: ir.Value, written: dict[ir.Value, ir.Value], nodes: list[ir.Node]) -> ir.Value:
        """Return a size that `can_write` says follows.

        Args:
            size: the size as the graph has it.
            written: what stands for values of the graph; what is written is added.
            nodes: gets the nodes, in order.
        """
        known = written.get(size)
        if known is not None:
            return known
        node = size.producer()
        assert node is not None
        attributes = list(node.attributes.values())
        if node.op_type == _READ:
            place = self._place(node)
            assert place is not None
            tensor, axis = place
            inputs = [written[tensor]]
            attributes = [ir.AttrInt64("dim", axis)]
        else:
            inputs = [self.write(value, written, nodes) for value in node.inputs if value is not None]
        copy = ir.Node(node.domain, node.op_type, inputs, attributes, overload=node.overload, num_outputs=1)
        copy.meta.update(node.meta)
        copy.outputs[0].type, copy.outputs[0].shape = size.type, size.shape
        nodes.append(copy)
        written[size] = copy.outputs[0]
        return copy.outputs[0]

    def _place(self, node: ir.Node) -> tuple[ir.Value, int] | None:
        tensor, axis = node.inputs[0], node.attributes["dim"].as_int()
        if tensor is None or tensor.shape is None:
            return None
        dim = tensor.shape[axis]
        named = None if isinstance(dim, int) or dim.value is None else self._places.get(dim.value)
        return named if named is not None or tensor not in self._at_hand else (tensor, axis)
