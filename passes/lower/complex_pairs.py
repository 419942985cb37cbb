# SPDX-License-Identifier: Apache-2.0
"""Complex numbers in the lowered graph: a complex value becomes a real one with a last axis of two, (real, imaginary).

No runtime computes with ONNX's complex types.  Before the walk, :func:`pair_up` gives every complex value of the ATen
graph the dtype and shape that its counterpart will have, and marks it and the nodes that touch it.  A marked node is
lowered by what is registered under ``complex/`` and its name, so that the lowerings of real numbers need not know of
any of this; all that a lowering sees, shapes and results included, is in pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx_ir as ir
import torch
from lading.passes.tidying.graph_edits import constant_of_node, is_constant
from onnx_ir.tensor_adapters import TorchTensor

from ..control_flow import bodies_of
from ..dialect import is_dialect_list

PREFIX = "complex/"

_MARK = "lading.complex"
_PARTS = {ir.DataType.COMPLEX64: ir.DataType.FLOAT, ir.DataType.COMPLEX128: ir.DataType.DOUBLE}

_WHOLE = {part: whole for whole, part in _PARTS.items()}


def is_complex(value: ir.Value | None) -> bool:
    """Whether a value stands for complex numbers, as pairs."""
    return value is not None and bool(value.meta.get(_MARK))


def complex_dtype(value: ir.Value) -> ir.DataType:
    """Return the complex dtype of a value that stands for complex numbers."""
    return _WHOLE[value.dtype]  # type: ignore[index]


def touches_complex(node: ir.Node) -> bool:
    """Whether a node of the ATen dialect takes or makes complex numbers."""
    return bool(node.meta.get(_MARK))


def carry_mark(old: ir.Value, new: ir.Value) -> None:
    """Mark the lowered counterpart of a value like the value itself."""
    if is_complex(old):
        new.meta[_MARK] = True


def pair_up(graph: ir.Graph) -> bool:
    """Turn every complex value of an ATen graph to pairs, constants included, and mark what touches them.

    Returns:
        Whether there was any.
    """
    nodes = list(_with_bodies(graph))
    given = [value for value in (*graph.inputs, *graph.initializers.values()) if value.dtype in _PARTS]
    for value in given:
        _pair(value)
    return pair_up_nodes(nodes) or bool(given)


def pair_up_nodes(nodes: Sequence[ir.Node]) -> bool:
    """Turn every complex value that nodes make to pairs, and mark what touches complex numbers.

    Returns:
        Whether any node does.
    """
    for node in nodes:
        for value in (*node.outputs, *(value for body in bodies_of(node) for value in body.inputs)):
            if value.dtype in _PARTS:
                _pair(value)
    touched = [node for node in nodes if any(is_complex(value) for value in (*node.inputs, *node.outputs))]
    for node in touched:
        node.meta[_MARK] = True
        if is_dialect_list(node):
            node.outputs[0].meta[_MARK] = True
    return bool(touched)


def _with_bodies(graph: ir.Graph) -> Iterator[ir.Node]:
    for node in graph:
        yield node
        for body in bodies_of(node):
            yield from _with_bodies(body)


def _pair(value: ir.Value) -> None:
    part = _PARTS[value.dtype]  # type: ignore[index]
    if value.const_value is not None:
        numbers = torch.from_numpy(value.const_value.numpy().copy())
        value.const_value = TorchTensor(torch.view_as_real(numbers).contiguous(), name=value.name)
    node = value.producer()
    if node is not None and is_constant(node):
        tensor = constant_of_node(node)
        assert tensor is not None
        pairs = torch.view_as_real(torch.from_numpy(tensor.numpy().copy())).contiguous()
        node.attributes.add(ir.AttrTensor("value", TorchTensor(pairs, name=value.name)))
    value.type = ir.TensorType(part)
    if value.shape is not None:
        value.shape = ir.Shape([*value.shape, 2])
    value.meta[_MARK] = True
