# SPDX-License-Identifier: Apache-2.0
"""Readable names for nodes and values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact
from ..pipeline.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass(
    "name-values",
    requires=(Fact.ONNX,),
    after=("fold-constants", "fold-batch-norm", "drop-identity", "drop-dead", "share-equal", "infer-shapes"),
    before=("initializers",),
)
class NameValues:
    """Name nodes by module and operator, and values by their node.

    Why: names are how people find a place in a file, in a profile and in an error message of a runtime.

    A node is called `/encoder/layer.0/attention/MatMul` after the module that called it, with `_1`, `_2`, ... where a
    module has several; its value is that with `_output_0`. The call of a module that is a function is called after the
    module alone, `/encoder/layer.0`, and names in the function begin there. Initializers that are weights keep the name
    that they have in the `state_dict`, with what was done to them after it (`head.weight.T`); other constants are
    called by the first node that uses them and the place they have there (`/encoder/Reshape_shape`).

    The names of inputs and outputs are the user's and never change; a weight that has the name of one gets `_1`.
    Names follow from the graph alone, so the same graph gets the same names.

    Declines when: never.
    """

    def run(self, work: Work, note: Note) -> None:
        """Name weights, then nodes with their values, then what constants are left."""
        model = work.model
        assert model is not None
        _Naming(work.target.opset, note).model(model)


class _Naming:
    def __init__(self, opset: int, note: Note) -> None:
        self._opset = opset
        self._note = note
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}
        self._formal: dict[str, tuple[str, ...]] = {}

    def model(self, model: ir.Model) -> None:
        from lading.passes.tidying.graph_edits import is_constant, with_subgraphs

        graphs = list(with_subgraphs(model.graph))
        for graph in graphs:
            self._reserve(graph)
        initializers = {graph: list(graph.initializers.values()) for graph in graphs}
        wanted: dict[ir.Value, str] = {}
        for values in initializers.values():
            for value in values:
                name = _weight_name(value)
                if name is not None and not value.is_graph_input() and not value.is_graph_output():
                    wanted[value] = self._fresh(name)
        for graph in graphs:
            for node in graph:
                self._node(node, model.graph, model.functions)
        for values in initializers.values():
            for value in values:
                if value not in wanted and not value.is_graph_input() and not value.is_graph_output():
                    wanted[value] = self._fresh(self._constant_name(value))
        for graph, values in initializers.items():
            self._rename_initializers(graph, values, wanted)
        for function in model.functions.values():
            inside = _Naming(self._opset, self._note)
            for graph in with_subgraphs(function.graph):
                inside._reserve(graph)
            constants = []
            for graph in with_subgraphs(function.graph):
                for node in graph:
                    if is_constant(node):
                        constants.append(node)
                    else:
                        inside._node(node, function.graph, model.functions)
            # What an initializer would be elsewhere is named like one, by who reads it.
            for node in constants:
                inside._rename(node, inside._constant_name(node.outputs[0]), "")

    def _reserve(self, graph: ir.Graph) -> None:
        for value in (*graph.inputs, *graph.outputs):
            if value.name:
                self._taken.add(value.name)

    def _node(self, node: ir.Node, root: ir.Graph, functions: Mapping[ir.OperatorIdentifier, ir.Function]) -> None:
        """Name a node of the main graph or of a function, the `root`, and its values."""
        from lading.passes.outlining.functions import within

        origin = origin_of(node)
        scope = _scope("" if origin is None else within(root, origin.module))
        called = scope and node.op_identifier() in functions
        self._rename(node, scope if called else f"{scope}/{node.op_type}", "_output_{}")

    def _rename(self, node: ir.Node, wanted: str, suffix: str) -> None:
        name = self._fresh(wanted)
        if node.name != name:
            node.name = name
            self._note.count("node named")
        for index, value in enumerate(node.outputs):
            if value.is_graph_output() or value.name == "":
                continue
            text = self._fresh(f"{name}{suffix.format(index)}") if suffix else name
            if value.name != text:
                value.name = text
                self._note.count("value named")

    def _constant_name(self, value: ir.Value) -> str:
        use = next(iter(value.uses()), None)
        if use is None:
            return "constant"
        formal = self._formal_inputs(use.node)
        place = formal[min(use.idx, len(formal) - 1)] if formal else f"input_{use.idx}"
        return f"{use.node.name}_{place}"

    def _formal_inputs(self, node: ir.Node) -> tuple[str, ...]:
        import onnx

        if node.domain not in ("", "ai.onnx"):
            return ()
        known = self._formal.get(node.op_type)
        if known is None:
            try:
                schema = onnx.defs.get_schema(node.op_type, self._opset)
                known = tuple(formal.name for formal in schema.inputs)
            except onnx.defs.SchemaError:  # not an operator of this opset: its inputs go by number
                known = ()
            self._formal[node.op_type] = known
        return known

    def _rename_initializers(self, graph: ir.Graph, values: list[ir.Value], wanted: dict[ir.Value, str]) -> None:
        if all(wanted.get(value, value.name) == value.name for value in values):
            return
        # One name may have to move from one initializer to another, so all leave before any comes back.
        for value in values:
            del graph.initializers[value.name or ""]
        for value in values:
            name = wanted.get(value, value.name)
            if name != value.name:
                value.name = name
                self._note.count("initializer named")
            graph.initializers.add(value)

    def _fresh(self, wanted: str) -> str:
        number = self._next.get(wanted, 0)
        name = wanted if number == 0 else f"{wanted}_{number}"
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._next[wanted] = number + 1
        self._taken.add(name)
        return name


def _scope(module: str) -> str:
    """`encoder.layer.0.attention` as `/encoder/layer.0/attention`: an index belongs to the list that it indexes."""
    text = ""
    for part in filter(None, module.split(".")):
        text += f".{part}" if part.isdigit() and text else f"/{part}"
    return text


def _weight_name(value: ir.Value) -> str | None:
    from .weights import ComputedWeight, Weight

    tensor = value.const_value
    if isinstance(tensor, Weight):
        return tensor.view_name if tensor.parameter else value.name
    return tensor.parameter if isinstance(tensor, ComputedWeight) else None
