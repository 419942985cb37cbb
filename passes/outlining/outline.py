# SPDX-License-Identifier: Apache-2.0
"""Calls of modules cut out of a captured graph, as calls of functions.

Capture writes one flat graph, and each node in it knows the module calls that it ran in (`pipeline/origin.py`). The
nodes of one call become the body of a function, and a call of it takes their place. What the body reads from outside
is an input, weights included, so that layers which differ in their weights alone have one body between them; what is
read of it outside is an output.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import attrs
import onnx_ir as ir
from lading.passes.control_flow import bodies_of
from lading.passes.dialect import is_dialect_list
from lading.passes.inline import EVERY
from lading.passes.outlining.call_regions import calls_in_pieces, region_of
from lading.passes.outlining.functions import DOMAIN, set_scope
from lading.passes.outlining.outlined_call import CutOut
from lading.passes.outlining.size_arithmetic import is_size_arithmetic
from lading.passes.signature.structure import unused_name
from lading.passes.tidying.graph_edits import with_subgraphs
from lading.pipeline.fingerprint import Body, body_of
from lading.pipeline.origin import ModuleCall, Origin, origin_of, set_origin

if TYPE_CHECKING:
    from lading.pipeline.note import Note


@attrs.define(eq=False)
class _Kept:
    """A function that has been made.

    Attributes:
        function: the function.
        body: what it computes, its inputs in the order of first use.
        module: the path of the module that the body was taken from.
        order: which of these inputs each input of the function is.
        calls: how many calls it has.
        differing: by place in `body.symbols`, the sizes whose names differ between the calls.
    """

    function: ir.Function
    body: Body
    module: str
    order: Sequence[int]
    calls: int = 0
    differing: set[int] = attrs.field(factory=set)


class Outline:
    """Makes functions of the calls of some module classes in one model of the ATen dialect, in place.

    Args:
        model: the model; it gets the functions.
        classes: names of module classes; `EVERY` stands for those of all modules in the model.
        literals: names of the initializers that are neither weights nor state of a module.
        opset: the target opset.
        note: gets what was kept.
    """

    def __init__(
        self, model: ir.Model, classes: Collection[str], literals: Collection[str], opset: int, note: Note
    ) -> None:
        self._model = model
        self._classes = frozenset(classes)
        self._literals = literals
        self._opset = opset
        self._note = note
        self._kept: dict[tuple[str, str], _Kept] = {}
        self._chains: dict[ModuleCall, tuple[ModuleCall, ...]] = {}
        self._flat: set[ModuleCall] = set()
        self.called: set[str] = set()
        """The classes of all modules that were called."""
        self.left: set[str] = set()
        """The classes of calls that stay flat, each with a warning."""

    def run(self) -> None:
        """Cut the calls out, the inner ones first; one that cannot be a function stays flat, and the note says why."""
        for call in calls_in_pieces(self._model.graph, self._calls_of):
            self._leave(call, "a decision on sizes that reaches beyond it has it in pieces")
        self._graph(self._model.graph, frozenset())
        for kept in self._kept.values():
            name = kept.function.name
            _rename_sizes(kept.function.graph, {kept.body.symbols[at]: f"{name}.{at}" for at in kept.differing})
            calls = f"{kept.calls} call{'' if kept.calls == 1 else 's'}"
            self._note.decided(
                "module kept as a function", f"{calls}, one body", function=name, module=kept.module, calls=kept.calls
            )

    # ---- which nodes belong together ---------------------------------------------------------------------------------

    def _chain(self, call: ModuleCall | None) -> tuple[ModuleCall, ...]:
        """Return the calls to keep that a module call happened in, itself included, outermost first."""
        if call is None:
            return ()
        known = self._chains.get(call)
        if known is None:
            self.called.add(call.module_class)
            known = self._chain(call.outer)
            if call.module_class in self._classes or (EVERY in self._classes and call.module):
                known = (*known, call)
            self._chains[call] = known
        return known

    def _calls_of(self, node: ir.Node) -> tuple[ModuleCall, ...]:
        origin = origin_of(node)
        calls = () if origin is None else self._chain(origin.call)
        return tuple(call for call in calls if call not in self._flat) if self._flat else calls

    def _leave(self, call: ModuleCall, why: str) -> None:
        self._flat.add(call)
        self.left.add(call.module_class)
        self._note.warned("a call of a preserved module stays flat", module=call.module, why=why)

    def _graph(self, graph: ir.Graph, around: frozenset[ModuleCall]) -> None:
        """Cut calls out of a graph and of the bodies in it; `around` are those that the graph itself is part of."""
        depth = 0
        for node in graph:
            calls = self._calls_of(node)
            depth = max(depth, len(calls) - len(around.intersection(calls)))
            for body in bodies_of(node):
                self._graph(body, around.union(calls))
        for level in range(depth, 0, -1):
            self._level(graph, level, around)

    def _level(self, graph: ir.Graph, level: int, around: frozenset[ModuleCall]) -> None:
        """Cut out the calls that are so many calls deep; those inside of them are functions by now."""
        members: dict[ModuleCall, list[ir.Node]] = {}
        owner: dict[ir.Node, ModuleCall] = {}
        afloat: dict[ir.Node, None] = {}
        lists: list[ir.Node] = []
        for node in graph:
            if is_dialect_list(node):
                lists.append(node)
                continue
            calls = [call for call in self._calls_of(node) if call not in around]
            if len(calls) < level:
                if is_size_arithmetic(node):
                    afloat[node] = None
                continue
            if is_size_arithmetic(node) and not any(
                value is not None and value.producer() in owner for value in node.inputs
            ):
                # Written where it was first needed, and of use everywhere: it belongs to no call.
                afloat[node] = None
                continue
            owner[node] = calls[level - 1]
        for node in lists:  # a list is part of the operator that takes it
            for user in node.outputs[0].consumers():
                if user in owner:
                    owner[node] = owner[user]
        for node in graph:
            if node in owner:
                members.setdefault(owner[node], []).append(node)
        for call, nodes in members.items():
            self._cut(graph, call, nodes, owner, afloat)
        _drop_unread(graph, [*afloat, *lists])

    # ---- one call ----------------------------------------------------------------------------------------------------

    def _cut(
        self,
        graph: ir.Graph,
        call: ModuleCall,
        nodes: Sequence[ir.Node],
        owner: dict[ir.Node, ModuleCall],
        afloat: Collection[ir.Node],
    ) -> None:
        region = region_of(graph, nodes, call, owner)
        if isinstance(region, ModuleCall):
            self._leave(call, f"it and {region.module} ({region.module_class}) need results of each other half-way")
            return
        whole, after = region.nodes, region.after
        cut = CutOut(graph, whole, afloat, self._literals)
        if not cut.outputs:
            return
        made = self._call_node(call, whole, cut)
        # What depends on the call, and stood between its nodes, goes behind it.
        graph.insert_after(whole[-1], [made])
        if after:
            graph.remove(after)
            graph.insert_after(made, after)
        body = cut.body(made, call.module)
        kept = self._function(call, body, cut.order)
        for index, place in enumerate(kept.order):
            made.replace_input_with(index, cut.arguments[place])
        made.op_type = kept.function.name
        kept.calls += 1
        self._note.count(f"call of {kept.function.name}")

    def _call_node(self, call: ModuleCall, nodes: Sequence[ir.Node], cut: CutOut) -> ir.Node:
        outputs = [ir.Value(type=value.type, shape=value.shape) for value in cut.outputs]
        made = ir.Node(DOMAIN, call.module_class, cut.arguments, outputs=outputs)
        origins = [origin for origin in map(origin_of, nodes) if origin is not None]
        source = call.source or next((origin.source for origin in origins), "")
        numbers = dict.fromkeys(number for origin in origins for number in origin.numbers)
        set_origin(made, Origin(call.module, call.module_class, source, numbers=tuple(numbers), call=call.outer))
        return made

    def _function(self, call: ModuleCall, graph: ir.Graph, order: Sequence[int]) -> _Kept:
        """Return the function with this body: one that is there, or a new one with its inputs in this order."""
        body = body_of(graph)
        kept = self._kept.get((call.module_class, body.hash))
        if kept is not None:
            pairs = zip(kept.body.symbols, body.symbols, strict=True)
            kept.differing.update(at for at, (one, other) in enumerate(pairs) if one != other)
            return kept
        name = unused_name(call.module_class, {function.name for function in self._model.functions.values()})
        domains = sorted({node.domain for inner in with_subgraphs(graph) for node in inner})
        inputs = list(graph.inputs)
        graph.inputs[:] = [inputs[place] for place in order]
        graph.name = name
        graph.opset_imports.update((domain, 1 if domain else self._opset) for domain in domains)
        set_scope(graph, call.module)
        function = ir.Function(DOMAIN, name, graph=graph, attributes=[])
        self._model.functions[function.identifier()] = function
        self._model.graph.opset_imports.setdefault(DOMAIN, 1)
        kept = self._kept[(call.module_class, body.hash)] = _Kept(function, body, call.module, order)
        return kept


def _drop_unread(graph: ir.Graph, nodes: Iterable[ir.Node]) -> None:
    """Remove those of the nodes whose results nobody reads any more; they are given in order of computation."""
    for node in reversed(list(nodes)):
        if node.graph is graph and not any(output.uses() or output.is_graph_output() for output in node.outputs):
            graph.remove(node, safe=True)


def _rename_sizes(graph: ir.Graph, names: dict[str, str]) -> None:
    """Give symbolic sizes of a function other names: those that they have in one call would be wrong in the next."""
    if not names:
        return
    for inner in with_subgraphs(graph):
        for value in (*inner.inputs, *(output for node in inner for output in node.outputs)):
            if value.shape is not None and not value.shape.is_static():
                value.shape = ir.Shape(
                    [dim if isinstance(dim, int) else names.get(dim.value or "", dim.value) for dim in value.shape]
                )
