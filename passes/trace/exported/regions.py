# SPDX-License-Identifier: Apache-2.0
"""Higher-order operators of an exported program: regions that only say how PyTorch runs, and control flow.

A choice becomes `prim::If`, and every loop a `prim::Loop`: `while_loop` with its condition computed before the first
iteration and at the end of each, `scan` and `map` by taking one slice of the inputs in each iteration and stacking what
it gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from lading.passes.control_flow import body_graph, if_node, loop_node
from lading.passes.dialect import held
from lading.passes.trace.exported.graph import ProgramGraph
from lading.passes.trace.exported.places import line_of
from lading.passes.trace.exported.walk import Walk
from lading.pipeline.errors import CaptureError

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_select = torch.ops.aten.select.int

# Where the body stands among the arguments, and from which one on its operands; the rest says how PyTorch runs it.
_INLINED = {
    "wrap": (0, 1),
    "wrap_with_set_grad_enabled": (1, 2),
    "wrap_with_autocast": (4, 5),
    "wrap_activation_checkpoint": (0, 1),
    "tag_activation_checkpoint": (0, 1),
    "inductor_compiled_code": (0, 1),
    "invoke_subgraph": (0, 2),
}
_HINTS = {
    "triton_kernel_wrapper_mutation": "replace the Triton kernel by torch operators for the export",
    "triton_kernel_wrapper_functional": "replace the Triton kernel by torch operators for the export",
    "auto_functionalized": "register the operator so that it returns its result and writes into none of its arguments",
    "auto_functionalized_v2": "register the operator so that it returns its result and writes into no argument",
}


def call_region(walk: Walk, node: torch.fx.Node) -> Any:
    """Write the call of a higher-order operator down, and return what stands for its result.

    Raises:
        CaptureError: the operator has no counterpart in a file.
    """
    name = region_name(node)
    place = _INLINED.get(name)
    if place is not None:
        body, first = place
        return _inlined(walk.graph, walk.value(node.args[body]), _values(walk, node.args[first:]))  # type: ignore[arg-type]
    writer = _WRITERS.get(name)
    if writer is not None:
        return writer(walk, node)
    raise CaptureError(
        f"the exported program calls torch.ops.higher_order.{name}, which has no counterpart in ONNX",
        where=line_of(node) or None,
        hint=_HINTS.get(name, "write that part of the model with torch operators"),
    )


def region_name(node: torch.fx.Node) -> str:
    """Return the name of the higher-order operator that a node calls."""
    target: Any = node.target
    return target.name() if callable(getattr(target, "name", None)) else str(target)


def _values(walk: Walk, arguments: Any) -> list[Any]:
    return list(torch.fx.map_arg(tuple(arguments), walk.value))


# ---- bodies ----------------------------------------------------------------------------------------------------------


def _inlined(graph: ProgramGraph, body: torch.fx.GraphModule, operands: Sequence[Any]) -> Any:
    """Walk a body in a graph; `operands` are what its placeholders stand for."""
    inner = Walk(body, graph)
    placeholders = [node for node in body.graph.nodes if node.op == "placeholder"]
    for node, operand in zip(placeholders, operands, strict=True):
        number = node.meta.get("val")
        if isinstance(number, _SYMBOLIC):
            # The body computes with a symbol of its own.
            graph.bind_number(number, graph.value_of(operand))
            inner.values[node] = number
        else:
            inner.values[node] = operand
    return inner.run()


def _as_outputs(graph: ProgramGraph, results: Any) -> list[ir.Value]:
    """Return one value of its own, made by a node of the body, for each result."""
    made = {id(output) for node in graph.nodes for output in node.outputs}
    outputs = []
    for result in results if isinstance(results, (list, tuple)) else (results,):
        value = graph.value_of(result)
        if id(value) not in made:
            value = graph.alias(value)
        made.discard(id(value))
        value.name = graph.names.take("result")
        outputs.append(value)
    return outputs


def _placeholders(body: torch.fx.GraphModule, count: int) -> list[Any]:
    """Return the fake values of a body's first placeholders."""
    nodes = [node for node in body.graph.nodes if node.op == "placeholder"]
    return [node.meta.get("val") for node in nodes[:count]]


# ---- choice ----------------------------------------------------------------------------------------------------------


def _cond(walk: Walk, node: torch.fx.Node) -> Any:
    condition, then_body, else_body, *rest = _values(walk, node.args)
    operands = list(rest[0]) if rest else []
    chosen = _known(walk, condition)
    if chosen is not None:
        return _inlined(walk.graph, then_body if chosen else else_body, operands)
    graphs = []
    for kind, body in (("then", then_body), ("else", else_body)):
        inner = ProgramGraph(walk.graph.sizes, walk.graph)
        results_inside = _as_outputs(inner, _inlined(inner, body, operands))
        graphs.append(body_graph([], results_inside, inner.nodes, walk.graph.names.take(kind)))
    outputs: list[ir.Value] = []
    results = walk.graph.results(node.meta["val"], outputs)
    walk.graph.append(if_node(walk.graph.value_of(condition), graphs[0], graphs[1], outputs))
    return results


def _known(walk: Walk, condition: Any) -> bool | None:
    """Return the value of a condition that is a constant of the program."""
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, torch.SymBool):
        expression = walk.graph.sizes.expression(condition)
        if not expression.free_symbols:
            return bool(expression)
    return None


# ---- loops -----------------------------------------------------------------------------------------------------------


class _Loop:
    """The body of a loop while it is written."""

    def __init__(self, walk: Walk, body: torch.fx.GraphModule, carried: Sequence[Any]) -> None:
        self.outer = walk.graph
        self.graph = ProgramGraph(walk.graph.sizes, walk.graph)
        names = walk.graph.names
        self.iteration = self.graph.scalar(torch.SymInt, names.take("iteration"))
        self.condition = self.graph.scalar(torch.SymBool, names.take("condition"))
        self.initial = [self.outer.value_of(item) for item in carried]
        self.carried: list[ir.Value] = []
        for fake in _placeholders(body, len(carried)):
            name = names.take("carried")
            if isinstance(fake, torch.Tensor):
                self.carried.append(self.graph.tensor(fake, name))
            else:
                self.carried.append(self.graph.scalar(type(fake), name))

    def close(
        self, outputs: Sequence[ir.Value], node: torch.fx.Node, trip_count: ir.Value | None, condition: ir.Value | None
    ) -> Any:
        """Append the loop to the graph around it, and return what stands for its results."""
        inputs = [self.iteration, self.condition, *self.carried]
        body = body_graph(inputs, outputs, self.graph.nodes, self.outer.names.take("body"))
        values: list[ir.Value] = []
        results = self.outer.results(node.meta["val"], values)
        self.outer.append(loop_node(trip_count, condition, self.initial, body, values))
        return results


def _while_loop(walk: Walk, node: torch.fx.Node) -> Any:
    condition, body, carried, extra = _values(walk, (*node.args, ())[:4])
    first = _asked(walk.graph, condition, [*carried, *extra])
    loop = _Loop(walk, body, carried)
    after = _inlined(loop.graph, body, [*loop.carried, *extra])
    again = _asked(loop.graph, condition, [*after, *extra])
    outputs = _as_outputs(loop.graph, [again, *after])
    return loop.close(outputs, node, None, first)


def _asked(graph: ProgramGraph, condition: torch.fx.GraphModule, operands: Sequence[Any]) -> ir.Value:
    """Write the condition of a loop down for one state of it; its symbols have other values for the next state."""
    scope = graph.scope()
    return scope.value_of(_inlined(scope, condition, operands))


def _scan(walk: Walk, node: torch.fx.Node) -> Any:
    body, carried, scanned, *rest = _values(walk, node.args)
    extra = list(rest[0]) if rest else []
    return _over_slices(walk, node, body, carried, scanned, extra)


def _map(walk: Walk, node: torch.fx.Node) -> Any:
    body, scanned, *rest = _values(walk, node.args)
    return _over_slices(walk, node, body, [], scanned, list(rest[0]) if rest else [])


def _over_slices(
    walk: Walk,
    node: torch.fx.Node,
    body: torch.fx.GraphModule,
    carried: Sequence[Any],
    scanned: Sequence[Any],
    extra: Sequence[Any],
) -> Any:
    """Write a loop over the slices along the first dimension of what is scanned."""
    loop = _Loop(walk, body, carried)
    fakes = _placeholders(body, len(carried) + len(scanned))[len(carried) :]
    index = held(loop.iteration)
    slices = [
        loop.graph.call(_select, (held(value), 0, index), {}, fake) for value, fake in zip(scanned, fakes, strict=True)
    ]
    results = _inlined(loop.graph, body, [*loop.carried, *slices, *extra])
    goes_on = ir.Value(type=loop.condition.type, shape=loop.condition.shape)
    loop.graph.copy(loop.condition, goes_on)
    outputs = _as_outputs(loop.graph, [goes_on, *results])
    length = _length(walk, scanned[0], node)
    return loop.close(outputs, node, length, walk.graph.number(True))


def _length(walk: Walk, value: ir.Value, node: torch.fx.Node) -> ir.Value:
    shape = value.shape
    if shape is not None and isinstance(shape[0], int):
        return walk.graph.number(shape[0])
    output = walk.graph.scalar(torch.SymInt, walk.graph.names.take("length"))
    walk.graph.size(value, 0, output)
    return output


_WRITERS: dict[str, Callable[[Walk, torch.fx.Node], Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
}
