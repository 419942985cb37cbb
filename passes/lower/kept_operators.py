# SPDX-License-Identifier: Apache-2.0
"""How an operator that has no ONNX form is kept: as ``org.pytorch.aten::ATen``, or under its own name.

The layout is the classic exporter's, so that what reads its files reads these.  Every argument of the operator's
schema is an input, in schema order: integers are int64 scalars, floats float64 scalars, booleans bool scalars, lists
of them vectors, data types the integers of PyTorch's ``ScalarType``, strings scalars of strings.  An absent argument
is an empty input, and empty inputs at the end are left out.  A list of tensors is a sequence, or the output of a
``prim::ListConstruct`` node where the opset or the members do not allow one.

Source: ``torch.onnx.OperatorExportTypes`` in the documentation of PyTorch 1.8, whose example has the constant 0 of
``aten::triu`` as the node's second input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from lading.passes.dialect import LIST_DOMAIN, LIST_OP, Parameter, bind, is_dialect_list
from lading.passes.lower.emitter import Emitter
from lading.passes.lower.graph import WHY_LEFT
from lading.passes.lower.session import Session
from lading.passes.trace.script.scalar_types import number_of
from lading.pipeline.origin import origin_of

ATEN_DOMAIN = "org.pytorch.aten"
OPSET_OF_SEQUENCES = 11

_DTYPES = {bool: ir.DataType.BOOL, int: ir.DataType.INT64, float: ir.DataType.DOUBLE, complex: ir.DataType.COMPLEX128}
_KINDS = {"bool": bool, "int": int, "float": float, "complex": complex}


def write_aten(node: ir.Node, session: Session) -> None:
    """Write a node as ``org.pytorch.aten::ATen``, the operator and its overload as attributes."""
    operator = node.op_type if node.domain == "aten" else f"{node.domain}::{node.op_type}"
    attributes = [ir.AttrString("operator", operator), ir.AttrString("overload_name", node.overload)]
    _write(node, session, ATEN_DOMAIN, "ATen", attributes)


def keep_operator(node: ir.Node, session: Session) -> None:
    """Keep a node under its own name: an ATen operator in the classic exporter's domain, another one in its own."""
    domain = ATEN_DOMAIN if node.domain == "aten" else node.domain
    attributes = [ir.AttrString("overload_name", node.overload)] if node.overload else []
    _write(node, session, domain, node.op_type, attributes)


def _write(node: ir.Node, session: Session, domain: str, op_type: str, attributes: Sequence[ir.Attr]) -> None:
    graph, root = node.graph, session.graph
    assert isinstance(graph, ir.Graph)
    assert root is not None
    arguments = _Arguments(session, node)
    made = ir.Node(domain, op_type, arguments.in_order(), attributes, num_outputs=len(node.outputs))
    made.meta.update((key, value) for key, value in node.meta.items() if key != WHY_LEFT)
    for old, new in zip(node.outputs, made.outputs, strict=True):
        new.name, new.type, new.shape = old.name, old.type, old.shape
    graph.insert_before(node, [*arguments.nodes, made])
    ir.convenience.replace_all_uses_with(node.outputs, made.outputs, replace_graph_outputs=True)
    remove_with_lists(node)
    for used in {domain, *(one.domain for one in arguments.nodes if one.domain)}:
        root.opset_imports.setdefault(used, session.custom_opsets.get(used, 1))


def remove_with_lists(node: ir.Node) -> None:
    """Take a node of the ATen dialect out of its graph, and the lists that nothing else reads."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    lists = [value.producer() for value in node.inputs if value is not None and is_dialect_list(value.producer())]
    graph.remove(node, safe=True)
    for built in lists:
        if built is not None and built.graph is graph and not built.outputs[0].uses():
            graph.remove(built, safe=True)


class _Arguments:
    """Writes the arguments of dialect nodes as values; the nodes that make them go to `nodes`."""

    def __init__(self, session: Session, node: ir.Node) -> None:
        self.nodes: list[ir.Node] = []
        self._session = session
        self._op = Emitter(session, self.nodes, origin=origin_of(node))
        self._bound = bind(node)

    def in_order(self) -> list[ir.Value | None]:
        """Return the arguments in schema order."""
        tensors = iter(self._bound.positional)
        arguments: list[ir.Value | None] = []
        for parameter in self._bound.schema.parameters:
            if parameter.is_tensor:
                value = next(tensors)
                arguments.append(self._sequence(value) if isinstance(value, list) else value)
            elif parameter.ambient:
                arguments.append(None)
            else:
                arguments.append(self._constant(self._bound.keywords[parameter.name], parameter))
        while arguments and arguments[-1] is None:
            arguments.pop()
        return arguments

    def _sequence(self, members: list[ir.Value | None]) -> ir.Value:
        dtypes = {None if member is None else member.dtype for member in members}
        (dtype,) = dtypes if len(dtypes) == 1 else (None,)
        if dtype is not None and self._session.opset >= OPSET_OF_SEQUENCES:
            sequence: ir.Value = self._op.SequenceConstruct(*members)
            sequence.type = ir.SequenceType(ir.TensorType(dtype))
            return sequence
        built = ir.Node(LIST_DOMAIN, LIST_OP, members, num_outputs=1)
        self.nodes.append(built)
        return built.outputs[0]

    def _constant(self, value: Any, parameter: Parameter) -> ir.Value | None:
        if value is None:
            return None
        if isinstance(value, ir.Value):
            return self._op.scalar(value, value.dtype or ir.DataType.INT64)
        if isinstance(value, torch.dtype):
            return self._op.const(number_of(value), ir.DataType.INT64)
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, (list, tuple)):
            return self._op.const(value, _DTYPES[type(value)])
        if any(isinstance(item, ir.Value) for item in value):
            vector = self._op.int_vector(value)
            assert isinstance(vector, ir.Value)
            return vector
        if parameter.kind == "str":
            return self._text(list(value))
        kind = _KINDS.get(parameter.kind) or (type(value[0]) if value else int)
        return self._op.const(np.array(value), _DTYPES[kind])

    def _text(self, value: str | list[str]) -> ir.Value:
        """Return strings as an initializer: Constant knows them from opset 12 on only."""
        graph = self._session.graph
        assert graph is not None
        texts = np.array(value, dtype=object)
        shape = ir.Shape(texts.shape)
        encoded = np.array([text.encode() for text in texts.reshape(-1)], dtype=object).reshape(texts.shape)
        name = f"text_{len(graph.initializers)}"
        while name in graph.initializers:
            name += "_"
        tensor = ir.StringTensor(encoded, shape=shape, name=name)
        text = ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.STRING), const_value=tensor)
        graph.register_initializer(text)
        return text
