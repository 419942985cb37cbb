# SPDX-License-Identifier: Apache-2.0
"""The edits behind the initializers pass: merging tied weights, making weights inputs, choosing the IR version."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Hashable, Iterable, Iterator
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from lading.passes.tidying.graph_edits import (
    Names,
    all_graphs,
    dims_of,
    is_moved_statistic,
    keep_knowledge,
    with_subgraphs,
)
from lading.passes.weights import ComputedWeight, Weight

if TYPE_CHECKING:
    from lading.pipeline.note import Note

IR_OF_FREE_INITIALIZERS = 4
"""The first IR version whose initializers need not be graph inputs; see docs/adr/0002-ir-version.md."""

_IR_OF_TYPE = {
    ir.DataType.FLOAT8E4M3FN: 9,
    ir.DataType.FLOAT8E4M3FNUZ: 9,
    ir.DataType.FLOAT8E5M2: 9,
    ir.DataType.FLOAT8E5M2FNUZ: 9,
    ir.DataType.UINT4: 10,
    ir.DataType.INT4: 10,
    ir.DataType.FLOAT4E2M1: 11,
    ir.DataType.FLOAT8E8M0: 12,
    ir.DataType.INT2: 13,
    ir.DataType.UINT2: 13,
    ir.DataType.FLOAT6E2M3: 14,
    ir.DataType.FLOAT6E3M2: 14,
}
"""The IR version that brought an element type; source: the history of the Version enumeration in onnx.proto."""

_FIRST = 4 << 10
"""How many of their first bytes tell weights apart before any is read whole."""

_IR_OF_FUNCTIONS = 8
_IR_OF_OVERLOADS = 10


def hoist_weights(model: ir.Model, note: Note) -> None:
    """Move weights that are initializers of a nested graph to the main graph, where they can be shared and streamed."""
    names: Names | None = None
    for graph in with_subgraphs(model.graph):
        if graph is model.graph:
            continue
        for name, value in list(graph.initializers.items()):
            if not isinstance(value.const_value, Weight | ComputedWeight) or value.is_graph_output():
                continue
            names = names or Names(model)
            del graph.initializers[name]
            if name in model.graph.initializers:
                value.name = names.fresh(name)
            model.graph.register_initializer(value)
            note.count("moved to the main graph")


def merge_tied(model: ir.Model, note: Note) -> dict[str, str]:
    """Make one initializer of those that are the same view of the same memory; returns merged name -> kept name."""
    first: dict[object, ir.Value] = {}
    merged: dict[str, str] = {}
    for value in list(model.graph.initializers.values()):
        tensor = value.const_value
        if isinstance(tensor, Weight) and tensor.nbytes and not is_moved_statistic(value, model.functions):
            kept = first.setdefault(tensor.storage_key(), value)
            if kept is not value and _merge(model, value, kept, merged):
                note.count("tied")
    return merged


def merge_equal(model: ir.Model, note: Note, limit: int) -> dict[str, str]:
    """Make one initializer of those that are equal in type, shape and every byte; returns merged name -> kept name.

    Weights of one type and shape are told apart by their first bytes. Only those that agree there are read whole, and
    of these the ones above `limit` bytes stay as they are, which is put on record.
    """
    groups: dict[Hashable, list[tuple[ir.Value, Weight]]] = {}
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if (
            isinstance(tensor, Weight)
            and tensor.nbytes
            and tensor.has_data
            and not is_moved_statistic(value, model.functions)
        ):
            groups.setdefault((tensor.dtype, tuple(tensor.shape)), []).append((value, tensor))
    merged: dict[str, str] = {}
    for group in _told_apart(groups.values(), _first_bytes):
        if group[0][1].nbytes > limit:
            for value, _ in group[1:]:
                note.decided("equal weights stored apart", "they are too large to compare", weight=value.name)
            continue
        for same in _told_apart([group], _whole_digest):
            kept = same[0][0]
            for value, _ in same[1:]:
                name = value.name
                if _merge(model, value, kept, merged):
                    note.count("equal")
                    note.decided("equal weights stored once", "they have the same bytes", weight=name, kept=kept.name)
    return merged


_Group = list[tuple[ir.Value, Weight]]


def _told_apart(groups: Iterable[_Group], key: Callable[[Weight], Hashable]) -> Iterator[_Group]:
    """Yield the parts of each group that have one key, where they have more than one member."""
    for group in groups:
        if len(group) == 1:
            continue
        parts: dict[Hashable, _Group] = {}
        for value, tensor in group:
            parts.setdefault(key(tensor), []).append((value, tensor))
        yield from (part for part in parts.values() if len(part) > 1)


def _first_bytes(tensor: Weight) -> bytes:
    return bytes(next(tensor.blocks())[:_FIRST])


def _whole_digest(tensor: Weight) -> bytes:
    state = hashlib.blake2b(digest_size=32)
    for block in tensor.blocks():
        state.update(block)
    return state.digest()


def _merge(model: ir.Model, value: ir.Value, kept: ir.Value, merged: dict[str, str]) -> bool:
    if value.is_graph_input() or value.is_graph_output():
        return False
    assert value.name is not None
    assert kept.name is not None
    value.replace_all_uses_with(kept)
    keep_knowledge(kept, value)
    del model.graph.initializers[value.name]
    merged[value.name] = kept.name
    return True


def weights_to_inputs(
    model: ir.Model,
    note: Note,
    *,
    keep_values: bool,
    keep_constants: bool = False,
    constants: Container[str | None] = (),
) -> dict[str, ir.TensorProtocol]:
    """Append every weight to the graph's inputs; returns name -> tensor of those whose value is not stored any more.

    Constants become Constant nodes, unless they are to stay initializers. They are what lowering made, and tensors of
    the model that are neither parameter nor buffer, whose names `constants` has: no `state_dict` knows them.
    """
    graph = model.graph
    fed: dict[str, ir.TensorProtocol] = {}
    first = graph[0] if len(graph) else None
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or value.is_graph_input():
            continue
        parameter = tensor.parameter if isinstance(tensor, (Weight, ComputedWeight)) else None
        is_weight = isinstance(tensor, (Weight, ComputedWeight))
        if not is_weight or (parameter is not None and parameter in constants):
            if not keep_constants:
                _to_constant_node(graph, value, first)
            continue
        value.type = value.type or ir.TensorType(tensor.dtype)
        value.shape = value.shape or ir.Shape(dims_of(tensor))
        graph.inputs.append(value)
        note.count("weight listed as input" if keep_values else "weight left to the caller")
        if keep_values:
            continue
        fed[name] = tensor
        del graph.initializers[name]
        value.const_value = None
        change = tensor.what if isinstance(tensor, ComputedWeight) else ".".join(getattr(tensor, "views", ()))
        if change:
            why = "a weight is fed as other passes changed it, not as the state_dict has it"
            note.warned(why, input=name, change=change)
    return fed


def _to_constant_node(graph: ir.Graph, value: ir.Value, before: ir.Node | None) -> None:
    tensor = value.const_value
    if tensor is None or value.is_graph_output():
        return
    assert value.name is not None
    del graph.initializers[value.name]
    if not value.uses():
        return
    node = ir.node("Constant", [], attributes={"value": tensor})
    output = node.outputs[0]
    output.name, output.type, output.shape = value.name, ir.TensorType(tensor.dtype), value.shape
    value.replace_all_uses_with(output)
    value.name = None
    if before is None:
        graph.append(node)
    else:
        graph.insert_before(before, node)


def lowest_ir_version(model: ir.Model, opset: int) -> int:
    """Return the lowest IR version that has the opset, the element types and the functions of a model."""
    imports = [onnx.helper.make_opsetid("", opset)]
    version = onnx.helper.find_min_ir_version_for(imports, ignore_unknown=True)
    if model.functions:
        version = max(version, _IR_OF_FUNCTIONS)
        if any(function.overload for function in model.functions.values()):
            version = max(version, _IR_OF_OVERLOADS)
    types: set[ir.DataType | None] = set()
    for graph in all_graphs(model):
        types.update(value.dtype for value in (*graph.inputs, *graph.initializers.values()))
        types.update(value.dtype for node in graph for value in node.outputs)
    return max([version, *(_IR_OF_TYPE.get(dtype, 0) for dtype in types if dtype is not None)])
