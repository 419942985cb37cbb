# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on weights alone taken out of functions, to where the weights are known and can be folded.

A function gets its weights as inputs, so what its body does to a weight before using it (a transposition, the gates of
an LSTM in another order) would be done again in every run. It is done before each call instead, on that call's weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
import onnx_ir as ir
from lading.passes.outlining.function_borders import drop_dead_inputs
from lading.passes.outlining.functions import calls_of, within
from lading.passes.signature.structure import unused_name
from lading.passes.tidying.graph_edits import (
    constant_tensor,
    ints_of,
    is_constant,
    is_non_deterministic,
    stated_bytes,
    subgraphs_of,
)
from lading.passes.tidying.node_values import can_evaluate
from lading.passes.tidying.rewriting import plain
from lading.pipeline.origin import origin_of, set_origin

if TYPE_CHECKING:
    from lading.pipeline.note import Note


def lift_weight_arithmetic(model: ir.Model, fresh: Callable[[str], str], limit: int, note: Note) -> None:
    """Move what functions compute from weights alone in front of their calls.

    A weight that is used in its own form as well, here or elsewhere, would be stored twice: it stays as it is, and so
    does what would grow by more than `limit` bytes.

    Args:
        model: the model, changed in place.
        fresh: gives a name that no value of the model has.
        limit: how many bytes larger than the weights a result may be.
        note: gets what was lifted.
    """
    calls: dict[ir.OperatorIdentifier, list[ir.Node]] = {key: [] for key in model.functions}
    for node, function in calls_of(model):
        calls[function.identifier()].append(node)
    weights: set[ir.Value] = set()
    for key in reversed(model.functions):  # a function that calls another one comes after it
        _know_weights(model.functions[key], calls[key], weights)
    for key, function in model.functions.items():
        lift = _Lift(function, calls[key], weights, limit)
        if lift.nodes:
            lift.run(fresh)
            drop_dead_inputs(function, calls[key], note)
            note.count(f"lifted out of {function.name}", len(lift.nodes))


def _know_weights(function: ir.Function, calls: Sequence[ir.Node], weights: set[ir.Value]) -> None:
    """Add the inputs for which every call gives a weight that it alone uses, or an input of its own that is one."""
    if not calls or any(len(call.inputs) != len(function.inputs) for call in calls):
        return
    for index, formal in enumerate(function.inputs):
        values = [call.inputs[index] for call in calls]
        if all(
            value is not None
            and (value in weights or constant_tensor(value) is not None)
            and not value.is_graph_output()
            and all(use.idx == index and use.node in calls for use in value.uses())
            for value in values
        ):
            weights.add(formal)


@attrs.define(eq=False)
class _Lift:
    """What can be taken out of one function, in order of computation."""

    function: ir.Function
    calls: Sequence[ir.Node]
    weights: set[ir.Value]
    limit: int
    nodes: dict[ir.Node, None] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        for node in self.function:
            if self._is_arithmetic(node):
                self.nodes[node] = None
        count = -1
        while count != len(self.nodes):
            count = len(self.nodes)
            for node in [node for node in self.nodes if not self._uses_weights_up(node) or not self._on_weights(node)]:
                del self.nodes[node]

    def _is_arithmetic(self, node: ir.Node) -> bool:
        if not plain(node) or is_constant(node) or is_non_deterministic(node) or not can_evaluate(node):
            return False
        if any(True for _ in subgraphs_of(node)) or any(output.is_graph_output() for output in node.outputs):
            return False
        return self._is_small(node) and self._on_weights(node)

    def _is_small(self, node: ir.Node) -> bool:
        results = [stated_bytes(value) for value in node.outputs]
        operands = [stated_bytes(value) or 0 for value in node.inputs if value is not None]
        return None not in results and sum(result or 0 for result in results) - sum(operands) <= self.limit

    def _on_weights(self, node: ir.Node) -> bool:
        """Whether a node reads weights, or what is computed from them, and beside that constants only."""
        values = [value for value in node.inputs if value is not None and constant_tensor(value) is None]
        return bool(values) and all(value in self.weights or value.producer() in self.nodes for value in values)

    def _uses_weights_up(self, node: ir.Node) -> bool:
        """Whether the weights that a node reads are read by nothing that stays."""
        weights = [value for value in node.inputs if value is not None and value in self.weights]
        stays = any(use.node not in self.nodes for value in weights for use in value.uses())
        return not stays and not any(value.is_graph_output() for value in weights)

    # ---- the move ----------------------------------------------------------------------------------------------------

    def run(self, fresh: Callable[[str], str]) -> None:
        """Compute before each call what the body computed, and hand it over."""
        results = [
            output
            for node in self.nodes
            for output in node.outputs
            if any(use.node not in self.nodes for use in output.uses())
        ]
        # Each result stands behind the weight that it comes from.
        order = list(self.function.inputs)
        for result in reversed(results):
            order.insert(order.index(self._weight_behind(result)) + 1, result)
        for call in self.calls:
            self._before(call, order, fresh)
        taken = {value.name or "" for value in (*self.function.inputs, *self.function.outputs)}
        formals = {result: self._formal(result, taken) for result in results}
        self.function.inputs[:] = [formals.get(value, value) for value in order]
        for result, formal in formals.items():
            for use in list(result.uses()):
                if use.node not in self.nodes:
                    use.node.replace_input_with(use.idx, formal)
        self.function.graph.remove(list(self.nodes), safe=True)

    def _weight_behind(self, result: ir.Value) -> ir.Value:
        while result not in self.weights:
            node = result.producer()
            assert node is not None
            result = next(value for value in node.inputs if value is not None and constant_tensor(value) is None)
        return result

    def _formal(self, result: ir.Value, taken: set[str]) -> ir.Value:
        node = result.producer()
        assert node is not None
        turned = node.op_type == "Transpose" and ints_of(node, "perm") in (None, [1, 0])
        wanted = f"{self._weight_behind(result).name}.{'T' if turned else node.op_type}"
        name = unused_name(wanted, taken)
        taken.add(name)
        return ir.Value(name=name, type=result.type, shape=result.shape)

    def _before(self, call: ir.Node, order: Sequence[ir.Value], fresh: Callable[[str], str]) -> None:
        graph = call.graph
        assert graph is not None
        outside: dict[ir.Value, ir.Value | None] = dict(zip(self.function.inputs, call.inputs, strict=True))
        nodes: list[ir.Node] = []
        for node in self.nodes:
            for value in node.inputs:
                if value is not None and value not in outside:
                    nodes.append(self._copy(value.producer(), call, outside, fresh))
            nodes.append(self._copy(node, call, outside, fresh))
        graph.insert_before(call, nodes)
        call.resize_inputs(len(order))
        for index, value in enumerate(order):
            call.replace_input_with(index, outside[value])

    def _copy(
        self,
        node: ir.Node | None,
        call: ir.Node,
        outside: dict[ir.Value, ir.Value | None],
        fresh: Callable[[str], str],
    ) -> ir.Node:
        assert node is not None
        inputs = [None if value is None else outside[value] for value in node.inputs]
        copy = ir.Node("", node.op_type, inputs, list(node.attributes.values()), num_outputs=len(node.outputs))
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name, new.type, new.shape = fresh(old.name or "weight"), old.type, old.shape
            outside[old] = new
        origin, around = origin_of(node), origin_of(call)
        if origin is not None and around is not None:
            module = ".".join(filter(None, (around.module, within(self.function.graph, origin.module))))
            set_origin(copy, attrs.evolve(origin, module=module, call=around.call))
        return copy
