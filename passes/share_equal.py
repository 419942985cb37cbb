# SPDX-License-Identifier: Apache-2.0
"""Common-subexpression elimination, of nodes and of small constants."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Hashable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, cast

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work

    Key = tuple[Hashable, ...]


@a_pass("share-equal", requires=(Fact.ONNX,), after=("drop-identity",))
class ShareEqual:
    """Compute equal expressions once, and store equal constants once.

    Why: models ask for the same sizes, masks and positions in every layer, and each layer's code computes them anew.

    Two nodes are equal if operator, attributes and inputs are; a node in a subgraph may reuse one of the graph around
    it, never the reverse. Constants are compared by type, shape and bytes up to `constant_limit`. The user's weights
    are left alone, equal or not: they have names of their own, and tied ones are the business of initializers.

    Declines when: the operator draws random numbers; it has subgraphs; it calls a function, and each call of a
    module is to be seen in the file; both nodes make graph outputs.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y)
        <float one = {1}, float uno = {1}>
        {
            a = Add(x, one)
            b = Add(x, uno)
            c = Exp(a)
            d = Exp(b)
            y = Mul(c, d)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y)
        <float one = {1}>
        {
            a = Add(x, one)
            c = Exp(a)
            y = Mul(c, c)
        }
    """

    constant_limit: int = option(4096, help="Largest constant, in bytes, that is compared with others.", at_least=0)

    def run(self, work: Work, note: Note) -> None:
        """Share constants first, so that the nodes that use them become equal; then walk each graph in order."""
        model = work.model
        assert model is not None
        self._constants(model, note)
        for graph in (model.graph, *(function.graph for function in model.functions.values())):
            self._nodes(graph, {}, model.functions, note)

    def _constants(self, model: ir.Model, note: Note) -> None:
        from lading.passes.tidying.graph_edits import is_moved_statistic, keep_knowledge, with_subgraphs

        first: dict[Key, ir.Value] = {}
        for graph in with_subgraphs(model.graph):
            for name, value in list(graph.initializers.items()):
                tensor = value.const_value
                if tensor is None or value.is_graph_input() or value.is_graph_output() or not self._may_share(tensor):
                    continue
                if is_moved_statistic(value, model.functions):
                    continue
                kept = first.setdefault((_content(tensor), None if graph is model.graph else graph), value)
                if kept is value and graph is not model.graph:
                    kept = first.get((_content(tensor), None), value)
                if kept is not value:
                    value.replace_all_uses_with(kept)
                    keep_knowledge(kept, value)
                    del graph.initializers[name]
                    note.count("shared constant")

    def _may_share(self, tensor: ir.TensorProtocol) -> bool:
        from .weights import ComputedWeight, Weight

        return not isinstance(tensor, (Weight, ComputedWeight)) and tensor.nbytes <= self.constant_limit

    def _nodes(
        self,
        graph: ir.Graph,
        outer: MutableMapping[Key, ir.Node],
        functions: Mapping[ir.OperatorIdentifier, ir.Function],
        note: Note,
    ) -> None:
        from lading.passes.tidying.graph_edits import (
            is_non_deterministic,
            keep_knowledge,
            remove_node,
            subgraphs_of,
            take_place,
        )

        # A subgraph sees what is computed before its node, and what it adds ends with it.
        seen: MutableMapping[Key, ir.Node] = ChainMap({}, outer) if outer else {}
        for node in graph:
            has_subgraphs = False
            for inner in subgraphs_of(node):
                has_subgraphs = True
                self._nodes(inner, seen, functions, note)
            if has_subgraphs or is_non_deterministic(node) or node.op_identifier() in functions:
                continue
            key = self._key(node)
            if key is None:
                continue
            twin = seen.setdefault(key, node)
            if twin is node:
                continue
            pairs = list(zip(node.outputs, twin.outputs, strict=True))
            if any(old.is_graph_output() for old, _ in pairs):
                if len(pairs) > 1 or not take_place(*pairs[0]):
                    note.declined(node, "both nodes make graph outputs, or outputs of different graphs")
                    continue
            else:
                for old, new in pairs:
                    old.replace_all_uses_with(new)
                    keep_knowledge(new, old)
            remove_node(node)
            note.count(f"shared {node.op_type}")

    def _key(self, node: ir.Node) -> Key | None:
        if not node.attributes:
            return (node.domain, node.op_type, node.overload, len(node.outputs), *map(id, node.inputs))
        attributes: list[Hashable] = []
        for name, attribute in sorted(node.attributes.items()):
            if attribute.is_ref():
                attributes.append((name, "ref", attribute.ref_attr_name))
                continue
            content = self._attribute_key(attribute)
            if content is None:
                return None
            attributes.append((name, attribute.type.value, content))
        inputs = tuple(map(id, node.inputs))
        return (node.domain, node.op_type, node.overload, len(node.outputs), *inputs, *attributes)

    def _attribute_key(self, attribute: ir.Attr) -> Hashable:
        import onnx_ir as ir

        value: Any = attribute.value
        if attribute.type == ir.AttributeType.TENSOR:
            return _content(value) if value.nbytes <= self.constant_limit else None
        if attribute.type in (ir.AttributeType.INT, ir.AttributeType.STRING):
            return cast("Hashable", value)
        if attribute.type == ir.AttributeType.FLOAT:
            return repr(value)  # tells 0.0 from -0.0, and makes a nan equal to itself
        if attribute.type in (ir.AttributeType.INTS, ir.AttributeType.STRINGS):
            return tuple(value)
        if attribute.type == ir.AttributeType.FLOATS:
            return tuple(map(repr, value))
        return None


def _content(tensor: ir.TensorProtocol) -> Hashable:
    shape = tuple(tensor.shape)
    if tensor.dtype.name == "STRING":
        return ("STRING", shape, tuple(bytes(text) for text in tensor.numpy().reshape(-1)))
    return (tensor.dtype.name, shape, tensor.tobytes())
