# SPDX-License-Identifier: Apache-2.0
"""Where the nodes of a module call stand: whether they can be one region of a graph, and what that region is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs
import onnx_ir as ir
from lading.passes.control_flow import IF, bodies_of
from lading.passes.dialect import is_dialect_list
from lading.passes.outlining.outlined_call import reads
from lading.passes.outlining.size_arithmetic import is_size_arithmetic
from lading.pipeline.origin import ModuleCall

CallsOf = Callable[[ir.Node], Sequence[ModuleCall]]
"""Tells the calls that a node is part of, outermost first."""

_Place = tuple[tuple[ir.Node, int], ...]


def calls_in_pieces(graph: ir.Graph, calls_of: CallsOf) -> list[ModuleCall]:
    """Return the calls that have nodes both inside and outside of a body which is not their own.

    A decision on sizes that reaches beyond a module leaves such pieces: some of the module's nodes are in the branches
    of an If, the others before or behind it. In the two branches of one If, each piece is the whole call.
    """
    places: dict[ModuleCall, dict[_Place, None]] = {}
    _note_places(graph, calls_of, (), (), places)
    return [call for call, found in places.items() if not _exclude_each_other(list(found))]


def _note_places(
    graph: ir.Graph,
    calls_of: CallsOf,
    around: Sequence[ModuleCall],
    place: _Place,
    places: dict[ModuleCall, dict[_Place, None]],
) -> None:
    for node in graph:
        calls = calls_of(node)
        if not is_dialect_list(node) and not is_size_arithmetic(node):
            for call in calls:
                if call not in around:
                    places.setdefault(call, {}).setdefault(place)
        for index, body in enumerate(bodies_of(node)):
            _note_places(body, calls_of, (*around, *calls), (*place, (node, index)), places)


def _exclude_each_other(places: Sequence[_Place]) -> bool:
    """Whether no two of the places are reached in one run."""
    return all(_exclusive(one, other) for index, one in enumerate(places) for other in places[:index])


def _exclusive(one: _Place, other: _Place) -> bool:
    for (node, branch), (other_node, other_branch) in zip(one, other, strict=False):
        if node is not other_node:
            return False
        if branch != other_branch:
            return node.op_type == IF
    return False


@attrs.frozen
class Region:
    """The nodes of a call, closed under the paths between them, in order; and what has to come behind the call."""

    nodes: list[ir.Node]
    after: list[ir.Node]


def region_of(
    graph: ir.Graph, nodes: Sequence[ir.Node], call: ModuleCall, owner: Mapping[ir.Node, ModuleCall]
) -> Region | ModuleCall:
    """Return the region of a call whose nodes are given in order, or the other call that is tangled up with it.

    What lies on a path from one of the nodes to another is part of the region: without it the call would need its own
    result. What stands between the nodes, and depends on them only, comes behind the call.
    """
    wanted = set(nodes)
    between = _between(graph, nodes)
    if len(between) == len(nodes):
        return Region(between, [])
    made = {output for node in nodes for output in node.outputs}
    dependent: list[ir.Node] = []
    for node in between:
        if node not in wanted and any(value in made for _, _, value in reads(node)):
            dependent.append(node)
            made.update(node.outputs)
    needed = {value for node in nodes for _, _, value in reads(node)}
    for node in reversed(dependent):
        if any(output in needed for output in node.outputs):
            other = owner.get(node, call)
            if other is not call:
                return other
            wanted.add(node)
            wanted.update(_lists(node.inputs))
            needed.update(value for _, _, value in reads(node))
    return Region(
        [node for node in graph if node in wanted],
        [node for node in dependent if node not in wanted],
    )


def _between(graph: ir.Graph, nodes: Sequence[ir.Node]) -> list[ir.Node]:
    found: list[ir.Node] = []
    for node in graph:
        if found or node is nodes[0]:
            found.append(node)
        if node is nodes[-1]:
            break
    return found


def _lists(values: Iterable[ir.Value | None]) -> list[ir.Node]:
    """Return the nodes that build those of the values that are lists."""
    nodes = [value.producer() for value in values if value is not None]
    return [node for node in nodes if node is not None and is_dialect_list(node)]
