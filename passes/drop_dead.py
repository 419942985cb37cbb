# SPDX-License-Identifier: Apache-2.0
"""Dead-code removal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("drop-dead", requires=(Fact.ONNX,))
class DropDead:
    """Remove nodes, initializers and functions that no output needs.

    Why: other passes leave their leftovers behind on purpose, and a runtime would load and plan all of it.

    Optional outputs that nobody reads go too, with one exception: the outputs of BatchNormalization say before opset 14
    whether it trains, so they stay. Inputs that a function does not read, or gets twice, go on both sides, and so do
    outputs that are read after none of its calls.

    Graph inputs stay, used or not: they are the user's, who feeds them by name and position. With `unused_inputs` those
    that nothing reads go, weights that are listed as inputs too, and each is on record. An input of which only the size
    was read is unused where that size is a constant.

    Declines when: never; what is used is not dead.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y)
        <float[4] bias = {1, 1, 1, 1}, float[4] unused = {2, 2, 2, 2}>
        {
            doubled = Add(x, x)
            dead = Exp(doubled)
            y = Add(x, bias)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y)
        <float[4] bias = {1, 1, 1, 1}>
        {
            y = Add(x, bias)
        }

    Before (unused_inputs = true)::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N] x, float[N] mask) => (float[N] y)
        {
            dead = Exp(mask)
            y = Abs(x)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N] x) => (float[N] y)
        {
            y = Abs(x)
        }
    """

    unused_inputs: bool = option(
        False, help="Remove inputs of the model that nothing reads; their names are on record."
    )

    def run(self, work: Work, note: Note) -> None:
        """Sweep each graph once, from its end."""
        from lading.passes.outlining.function_borders import drop_dead_borders

        model = work.model
        assert model is not None
        sweep = _Sweep(work.target.opset, note)
        bodies = [function.graph for function in model.functions.values()]
        for graph in (model.graph, *bodies):
            sweep.graph(graph)
        sweep.functions(model)
        drop_dead_borders(model, note)
        for graph in (model.graph, *bodies):
            sweep.initializers(graph)
        if self.unused_inputs:
            sweep.inputs(model.graph)


class _Sweep:
    def __init__(self, opset: int, note: Note) -> None:
        self._opset = opset
        self._note = note
        self._optional: dict[str, tuple[bool, ...]] = {}

    def graph(self, graph: ir.Graph) -> None:
        from lading.passes.tidying.graph_edits import remove_node, subgraphs_of, unused

        for node in reversed(graph):
            if unused(node.outputs):
                self._forget(node)
                remove_node(node)
                self._note.count(f"removed {node.op_type}")
                continue
            for inner in subgraphs_of(node):
                self.graph(inner)
            if len(node.outputs) > 1:
                self._trim(node)

    def initializers(self, graph: ir.Graph) -> None:
        from lading.passes.tidying.graph_edits import with_subgraphs

        for each in with_subgraphs(graph):
            for name, value in list(each.initializers.items()):
                if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
                    del each.initializers[name]
                    self._note.count("removed initializer")

    def inputs(self, graph: ir.Graph) -> None:
        for value in [value for value in graph.inputs if not value.uses() and not value.is_graph_output()]:
            graph.inputs.remove(value)
            graph.initializers.pop(value.name or "", None)
            self._note.decided("input removed", "nothing reads it", input=value.name)

    def functions(self, model: ir.Model) -> None:
        from lading.passes.tidying.graph_edits import with_subgraphs

        if not model.functions:
            return
        called: set[ir.OperatorIdentifier] = set()
        pending = [model.graph]
        while pending:
            for graph in with_subgraphs(pending.pop()):
                for node in graph:
                    key = node.op_identifier()
                    if key in model.functions and key not in called:
                        called.add(key)
                        pending.append(model.functions[key].graph)
        for key in [key for key in model.functions if key not in called]:
            del model.functions[key]
            self._note.count("removed function")

    def _forget(self, node: ir.Node) -> None:
        """Release what the subgraphs of a dead node use from outside, so that it can be seen to be dead as well."""
        from lading.passes.tidying.graph_edits import subgraphs_of

        for inner in subgraphs_of(node):
            for each in inner:
                self._forget(each)
                for index in range(len(each.inputs)):
                    each.replace_input_with(index, None)

    def _trim(self, node: ir.Node) -> None:
        """Drop optional outputs nobody reads: at the end of the list entirely, in the middle by an empty name."""
        from lading.passes.tidying.graph_edits import unused

        optional = self._optional_outputs(node)
        if not any(optional):
            return
        keep = len(node.outputs)
        while keep > 1 and optional[keep - 1] and unused(node.outputs[keep - 1 : keep]):
            keep -= 1
        if keep < len(node.outputs):
            self._note.count("trimmed output", len(node.outputs) - keep)
            node.resize_outputs(keep)
        for index in range(1, keep):
            output = node.outputs[index]
            if output.name != "" and optional[index] and unused((output,)):
                output.name, output.type, output.shape = "", None, None
                self._note.count("trimmed output")

    def _optional_outputs(self, node: ir.Node) -> tuple[bool, ...]:
        import onnx

        if node.domain not in ("", "ai.onnx") or node.op_type == "BatchNormalization":
            return ()
        known = self._optional.get(node.op_type)
        if known is None:
            try:
                schema = onnx.defs.get_schema(node.op_type, self._opset)
            except onnx.defs.SchemaError:  # not an operator of this opset: whoever put it there knows its outputs
                known = ()
            else:
                formal = onnx.defs.OpSchema.FormalParameterOption
                known = tuple(output.option == formal.Optional for output in schema.outputs)
            self._optional[node.op_type] = known
        return known if len(known) >= len(node.outputs) else ()
