# SPDX-License-Identifier: Apache-2.0
"""Surveys of one model, one after another; most steps leave a graph as it was, and a walk would be for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_
from typing import TYPE_CHECKING, Any

import attrs

from .fingerprint import NOTHING, Survey, survey

if TYPE_CHECKING:
    import onnx_ir as ir


@attrs.define(eq=False)
class Surveyor:
    """Surveys a model as often as it is asked to.

    What a survey reads are strings, numbers and objects that are put in each other's place and not changed.  If the
    graph consists of the very same ones as the last time, so does its survey.
    """

    _last: Survey = NOTHING
    _content: list[Any] | None = None

    def look(self, model: ir.Model | None) -> Survey:
        """The survey of a model as it is now."""
        content = None if model is None else _content(model)
        known = self._content
        if content is None or known is None or len(content) != len(known) or not all(map(is_, content, known)):
            # Kept with what it is made of, so that no other object gets the place in memory of one of these.
            self._last, self._content = survey(model), content
        return self._last


def _content(model: ir.Model) -> list[Any] | None:
    """Everything that a survey reads, in a fixed order; None where some of it may change in its place."""
    reading = _Reading()
    try:
        reading.model(model)
    except _Changeable:
        return None
    return reading.found


class _Changeable(Exception):
    """Something of the graph can be another one without being another object."""


class _Reading:
    def __init__(self) -> None:
        import onnx_ir as ir

        self._plain_type, self._kinds = ir.TensorType, ir.AttributeType
        self.found: list[Any] = []
        self._values: set[ir.Value] = set()

    def model(self, model: ir.Model) -> None:
        """Read a model with its functions."""
        self.found += [model, model.ir_version, model.producer_name, model.producer_version, model.model_version]
        self.found += [model.domain, model.doc_string]
        self._table(model.metadata_props)
        self.graph(model.graph)
        for function in model.functions.values():
            self.found += [function, function.domain, function.name, function.overload]
            self._attributes(function.attributes.values())
            self.graph(function.graph)

    def graph(self, graph: ir.Graph) -> None:
        """Read a graph; what nodes of it hold in turn is read with them."""
        found, known = self.found, self._values
        found += [graph, graph.name, graph.doc_string]
        self._table(graph.opset_imports)
        self._table(graph.metadata_props)
        self._read(graph.inputs)
        for value in graph.initializers.values():
            self._value(value)
            self._tensor(value.const_value)
        for node in graph:
            found += (node, node.name, node.op_type, node.domain, node.overload, node.inputs, node.doc_string)
            for read in node.inputs:
                if read is not None and read not in known:
                    self._value(read)
                    self._tensor(read.const_value)
            for value in node.outputs:
                self._value(value)
            if node.metadata_props:
                self._table(node.metadata_props)
            if node.attributes.data:
                self._attributes(node.attributes.data.values())
        self._read(graph.outputs)

    def _read(self, values: Iterable[ir.Value]) -> None:
        for value in values:
            self._value(value)
        self.found.append(None)  # the end of the list

    def _value(self, value: ir.Value) -> None:
        self._values.add(value)
        kind, shape = value.type, value.shape
        self.found += (value, value.name, kind, shape)
        if kind is not None:
            self.found += (kind.dtype, kind.denotation)
            if kind.__class__ is not self._plain_type:
                raise _Changeable  # the type of what it holds
        if shape is not None:
            self.found += shape.dims
        if value.metadata_props:
            self._table(value.metadata_props)

    def _tensor(self, tensor: Any) -> None:
        # A tensor that has a place for its digest keeps the first one.
        if tensor is not None and getattr(tensor, "meta", None) is None:
            raise _Changeable
        self.found.append(tensor)

    def _attributes(self, attributes: Iterable[ir.Attr]) -> None:
        kinds = self._kinds
        for attribute in attributes:
            kind, value = attribute.type, attribute.value
            self.found += (attribute, attribute.name)
            if attribute.ref_attr_name is not None:
                continue
            if kind is kinds.GRAPH:
                self.graph(value)
            elif kind is kinds.GRAPHS:
                for graph in value:
                    self.graph(graph)
            elif kind is kinds.TENSOR:
                self._tensor(value)
            elif kind is kinds.TENSORS:
                for tensor in value:
                    self._tensor(tensor)
            elif kind is kinds.TYPE_PROTO or kind is kinds.TYPE_PROTOS:
                raise _Changeable

    def _table(self, table: Any) -> None:
        self.found += table.keys()
        self.found += table.values()
