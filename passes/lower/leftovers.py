# SPDX-License-Identifier: Apache-2.0
"""What the fallback pass does with each operator that lowering left in the ATen dialect."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import onnx_ir as ir
from lading.passes.control_flow import is_control_flow, is_sequence_operator
from lading.passes.dialect import is_dialect_list
from lading.passes.lower.complex_pairs import carry_mark
from lading.passes.lower.decompose import NoDefinition, NotDecomposed, decomposed
from lading.passes.lower.emitter import Emitter
from lading.passes.lower.graph import MANNER, WHY_LEFT, discard, lower_node, lowest_opset_for
from lading.passes.lower.inexpressible import LEFT_BY_RECIPE, Inexpressible
from lading.passes.lower.kept_operators import keep_operator, remove_with_lists, write_aten
from lading.passes.lower.schemas import newest_opset
from lading.passes.lower.session import Manner, Session
from lading.passes.outlining.functions import initializers_to_constants
from lading.pipeline.errors import UnsupportedOperators
from lading.pipeline.note import Note
from lading.pipeline.origin import origin_of
from lading.pipeline.work import Target

# How many places of one operator an error names before it only counts.
_PLACES_NAMED = 3

# A decomposition of a decomposition of ...: PyTorch's own definitions end after a few steps.
_DEEPEST = 6


def leftovers(graph: ir.Graph) -> list[ir.Node]:
    """Return the nodes that lowering left, in graph order, those in the bodies of control flow included."""
    return [node for node in ir.traversal.RecursiveGraphIterator(graph) if WHY_LEFT in node.meta]


def settle(model: ir.Model, target: Target, note: Note, export_type: str, *, decompose: bool) -> None:
    """Decompose, keep or report every node that lowering left; the graph is changed in place.

    Raises:
        UnsupportedOperators: the export type keeps nothing and nodes remain.
    """
    bodies = [function.graph for function in model.functions.values()]
    sessions: dict[ir.Node, Session] = {}
    for graph in (model.graph, *bodies):
        nodes = leftovers(graph)
        if nodes:
            manner, repeated = model.meta.get(MANNER), graph is not model.graph
            session = Session(target.opset, target.custom_opsets, graph, manner, repeated=repeated)
            sessions.update(dict.fromkeys(nodes, session))
    _settle(sessions, target, note, export_type, decompose=decompose)
    for graph in bodies:
        initializers_to_constants(graph)


def _settle(sessions: dict[ir.Node, Session], target: Target, note: Note, export_type: str, *, decompose: bool) -> None:
    left = list(sessions)
    if decompose:
        # What the recipe names is to stay whole, unless nothing may stay.
        kept = [node for node in left if export_type != "onnx" and node.meta[WHY_LEFT] == LEFT_BY_RECIPE]
        left = kept + [node for node in left if node not in kept and not _expanded(node, sessions[node], note)]
    if not left:
        return
    bound = [node for node in left if is_control_flow(node) or is_sequence_operator(node)]
    if export_type == "onnx" or bound:
        # What carries bodies or sequences means something in this dialect only: it cannot be kept as one operator.
        manner = next(iter(sessions.values())).manner
        raise _report(left if export_type == "onnx" else bound, target, manner)
    for node in left:
        if export_type == "fallthrough":
            keep_operator(node, sessions[node])
            note.count("kept as custom operators")
        else:
            write_aten(node, sessions[node])
            note.count("written as ATen")
        note.decided(f"kept {_name(node)}", node.meta.pop(WHY_LEFT), node)


def _name(node: ir.Node) -> str:
    name = f"{node.domain}::{node.op_type}"
    return f"{name}.{node.overload}" if node.overload else name


# ---- decomposition ---------------------------------------------------------------------------------------------------


class _Stuck(Exception):
    """A part of a decomposition has neither a lowering nor a decomposition."""


def _expanded(node: ir.Node, session: Session, note: Note) -> bool:
    """Replace a node by its lowered decomposition; says whether that left nothing in the ATen dialect."""
    graph = _graph_of(node)
    try:
        made, results = _lowered_parts(node, session, _DEEPEST)
    except NotDecomposed as reason:
        if not isinstance(reason, NoDefinition):
            node.meta[WHY_LEFT] += f"; {reason}"
        note.declined(node, str(reason))
        return False
    except _Stuck as part:
        node.meta[WHY_LEFT] += f"; its decomposition needs {part}"
        note.declined(node, "its decomposition has no lowering either")
        return False
    graph.insert_before(node, made)
    for old, new in zip(node.outputs, results, strict=True):
        if new is None:
            continue
        if old.dtype is not None and new.dtype != old.dtype:
            cast: list[ir.Node] = []
            new = Emitter(session, cast, origin=origin_of(node)).cast(new, old.dtype)
            graph.insert_before(node, cast)
        if old.is_graph_output() and (new.producer() is None or new.is_graph_output()):
            identity = ir.node("Identity", [new])
            graph.insert_before(node, identity)
            identity.outputs[0].type = new.type
            new = identity.outputs[0]
        if old.shape is not None and new.producer() is not None:
            new.shape = old.shape
        if old.is_graph_output():
            new.name = old.name
        carry_mark(old, new)
        session.values[old] = new
        ir.convenience.replace_all_uses_with(old, new, replace_graph_outputs=True)
    remove_with_lists(node)
    note.count(f"decomposed {_name(node)}")
    return True


def _lowered_parts(node: ir.Node, session: Session, depth: int) -> tuple[list[ir.Node], list[ir.Value | None]]:
    """Return the lowered nodes of a node's decomposition and what its outputs become; parts may be expanded again."""
    if is_control_flow(node) or is_sequence_operator(node):
        raise NotDecomposed("control flow has no decomposition")
    parts = decomposed(node, session)
    made: list[ir.Node] = []
    try:
        for part in parts.nodes:
            if is_dialect_list(part):
                continue
            try:
                nodes, results = lower_node(session, part)
            except Inexpressible as reason:
                if depth == 0:
                    raise _Stuck(f"{_name(part)}: {reason.why}") from reason
                try:
                    nodes, results = _lowered_parts(part, session, depth - 1)
                except NotDecomposed as none:
                    raise _Stuck(f"{_name(part)}: {reason.why}") from none
            made.extend(nodes)
            session.values.update(zip(part.outputs, results, strict=False))
        return made, [None if output is None else session.values.get(output, output) for output in parts.outputs]
    except _Stuck:
        discard(made)
        raise
    finally:
        discard(parts.nodes)


def _graph_of(node: ir.Node) -> ir.Graph:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return graph


# ---- the report ------------------------------------------------------------------------------------------------------


@attrs.define
class _Missing:
    name: str
    why: str
    lowest: int | None
    places: list[str]


def _lowest_opset(node: ir.Node, target: Target, manner: Manner) -> int | None:
    """Return the lowest opset above the target that can write a node, or its decomposition; found by trying."""
    lowest = lowest_opset_for(node, target.opset, target.custom_opsets, manner)
    for opset in range(target.opset + 1, lowest or newest_opset() + 1):
        try:
            nodes, _ = _lowered_parts(node, Session(opset, target.custom_opsets, None, manner), _DEEPEST)
        except NotDecomposed:
            return lowest  # what the definition itself lacks, no opset has
        except _Stuck:
            continue
        discard(nodes)
        return opset
    return lowest


def _report(left: Sequence[ir.Node], target: Target, manner: Manner) -> UnsupportedOperators:
    missing: dict[tuple[str, str], _Missing] = {}
    for node in left:
        why = node.meta[WHY_LEFT]
        key = (_name(node), why)
        if key not in missing:
            missing[key] = _Missing(key[0], why, _lowest_opset(node, target, manner), [])
        origin = origin_of(node)
        missing[key].places.append(str(origin) if origin is not None else "an unknown place")
    lines = []
    for entry in sorted(missing.values(), key=lambda item: (-len(item.places), item.name)):
        times = "once" if len(entry.places) == 1 else f"{len(entry.places)} times"
        lines.append(f"  {entry.name}, {times}: {entry.why}")
        distinct = list(dict.fromkeys(entry.places))
        shown = "; ".join(distinct[:_PLACES_NAMED])
        more = f"; and {len(distinct) - _PLACES_NAMED} more" if len(distinct) > _PLACES_NAMED else ""
        lines.append(f"    in {shown}{more}")
        lines.append(
            f"    lowest opset that can: {entry.lowest}" if entry.lowest else "    no opset that this onnx knows can"
        )
    names = sorted({entry.name for entry in missing.values()})
    count = len(names)
    what = f"{count} operator{'s' if count > 1 else ''} cannot be expressed at opset {target.opset}:\n"
    lowest = [entry.lowest for entry in missing.values()]
    if all(lowest):
        hint = f"opset_version={max(opset or 0 for opset in lowest)} (the lowest that can write all of them)"
    else:
        hint = (
            f'register a lowering with @lading.lowers("{names[0]}"), or keep the operators with '
            "operator_export_type ONNX_FALLTHROUGH or ONNX_ATEN_FALLBACK"
        )
    return UnsupportedOperators(what + "\n".join(lines), hint=hint)
