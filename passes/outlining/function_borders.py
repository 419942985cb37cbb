# SPDX-License-Identifier: Apache-2.0
"""Needless inputs and outputs of functions: what a body does not read or has twice, and what no call is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir
from lading.passes.outlining.functions import calls_of
from lading.passes.tidying.graph_edits import unused

if TYPE_CHECKING:
    from lading.pipeline.note import Note


def drop_dead_borders(model: ir.Model, note: Note) -> None:
    """Take inputs that a function does not read, and outputs that no call of it gives to anyone, from both sides.

    Of two inputs for which every call gives the same value, one is left.
    """
    calls: dict[ir.OperatorIdentifier, list[ir.Node]] = {key: [] for key in model.functions}
    for node, function in calls_of(model):
        calls[function.identifier()].append(node)
    for key, function in model.functions.items():
        _read_once(function, calls[key])
        drop_dead_inputs(function, calls[key], note)
        calls[key] = _drop_outputs(function, calls[key], note)


def _read_once(function: ir.Function, calls: Sequence[ir.Node]) -> None:
    """Let a function read the first of several inputs that are the same in every call."""
    if not calls or any(len(call.inputs) != len(function.inputs) for call in calls):
        return
    first: dict[tuple[ir.Value | None, ...], ir.Value] = {}
    for index, formal in enumerate(function.inputs):
        kept = first.setdefault(tuple(call.inputs[index] for call in calls), formal)
        if kept is not formal and not formal.is_graph_output():
            formal.replace_all_uses_with(kept)


def drop_dead_inputs(function: ir.Function, calls: Sequence[ir.Node], note: Note) -> None:
    """Take the inputs that a function does not read from it and from its calls."""
    kept = [index for index, value in enumerate(function.inputs) if value.uses() or value.is_graph_output()]
    if len(kept) == len(function.inputs) or any(len(call.inputs) != len(function.inputs) for call in calls):
        return
    note.count("dropped input of a function", len(function.inputs) - len(kept))
    for call in calls:
        values = [call.inputs[index] for index in kept]
        for index in range(len(call.inputs)):
            call.replace_input_with(index, values[index] if index < len(values) else None)
        call.resize_inputs(len(values))
    function.inputs[:] = [function.inputs[index] for index in kept]


def _drop_outputs(function: ir.Function, calls: Sequence[ir.Node], note: Note) -> list[ir.Node]:
    kept = [
        index
        for index in range(len(function.outputs))
        if not all(index < len(call.outputs) and unused(call.outputs[index : index + 1]) for call in calls)
    ]
    if not kept or len(kept) == len(function.outputs):
        return list(calls)
    note.count("dropped output of a function", len(function.outputs) - len(kept))
    function.outputs[:] = [function.outputs[index] for index in kept]
    return [_with_outputs(call, kept) for call in calls]


def _with_outputs(call: ir.Node, kept: Sequence[int]) -> ir.Node:
    """Return a call in the place of another one that gives some of its outputs only."""
    graph = call.graph
    assert isinstance(graph, ir.Graph)
    names = [call.outputs[index].name for index in kept]
    made = ir.Node(call.domain, call.op_type, call.inputs, overload=call.overload, num_outputs=len(kept))
    made.meta.update(call.meta)
    for index, new in zip(kept, made.outputs, strict=True):
        new.type, new.shape = call.outputs[index].type, call.outputs[index].shape
    graph.insert_before(call, made)
    old = [call.outputs[index] for index in kept]
    ir.convenience.replace_all_uses_with(old, list(made.outputs), replace_graph_outputs=True)
    graph.remove(call, safe=True)
    for new, name in zip(made.outputs, names, strict=True):
        new.name = name
    return made
