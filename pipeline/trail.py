# SPDX-License-Identifier: Apache-2.0
"""Follow every node of a graph through a run: which step made it, from which nodes, and what became of it.

Passes need not help.  A node gets a number when it is first seen, which is kept in its origin; a pass that hands the
origin of one node on to another, as lowerings and rewriting passes do, thereby says what it was made from.  For a new
node without an origin the answer is read off the graph: its readers used to read something that is gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import is_not
from typing import TYPE_CHECKING, Any

import attrs

from .fingerprint import operator_name
from .note import Note
from .origin import NOWHERE, Origin, origin_of, set_origin

if TYPE_CHECKING:
    import onnx_ir as ir

ENTRIES_KEPT = 500_000
"""How many entries a run puts on record; a step after that is counted only, so that a log has a limit."""

_BY_VALUE = (int, float, str)
_LISTS = ("made", "changed", "renamed", "rewired", "removed")


@attrs.define(eq=False)
class _Seen:
    """What a node was like when it was last looked at."""

    number: int
    op_type: str
    domain: str
    inputs: Sequence[ir.Value | None]
    attributes: tuple[ir.Attr, ...]
    name: str | None


@attrs.frozen(eq=False)
class _Swap:
    """A place that reads another value than before: input of a node that was there before, or the graph's output."""

    reader: int
    old: ir.Value
    new: ir.Value


@attrs.define(eq=False)
class Trail:
    """The nodes of one run, by number, in the order in which they came up.

    Without `recording`, new nodes get their number and step and nothing else is found out.
    """

    recording: bool = True
    entries_left: int = attrs.field(factory=lambda: ENTRIES_KEPT)
    _seen: dict[ir.Node, _Seen] = attrs.field(factory=dict)
    _nodes: tuple[ir.Node, ...] = ()
    _outputs: tuple[ir.Value, ...] = ()
    _next: int = 1

    def begin(self, nodes: tuple[ir.Node, ...], model: ir.Model | None) -> None:
        """Number the nodes of a graph that is there before the first step."""
        for node in nodes:
            self._number(node, origin_of(node) or NOWHERE)
        self._nodes, self._outputs = nodes, _outputs_of(model)

    def step(
        self, step: str, nodes: tuple[ir.Node, ...], model: ir.Model | None, note: Note, *, changed: bool
    ) -> dict[str, Any] | None:
        """Number what is new after a step, add the step to its origin, and say what happened to which node.

        `changed` is whether the hash of the graph did.

        Returns:
            The record under the keys of `pass.nodes`, or None where there is nothing to say of any node.
        """
        if not self.recording:
            self._only_number(step, nodes)
            return None
        record: dict[str, Any] = {"first": self._next, "places": [], **{key: [] for key in _LISTS}}
        if changed or nodes != self._nodes:
            self._walk(step, nodes, _outputs_of(model), record)
        record["declined_at"] = {}
        for entry in note.declines:
            if entry.numbers:
                record["declined_at"].setdefault(entry.why, []).extend(entry.numbers)
        record["decided_at"] = [[index, *entry.numbers] for index, entry in enumerate(note.decisions) if entry.numbers]
        return self._within_limit(record)

    def end(self, model: ir.Model) -> dict[str, Any]:
        """Say which nodes the graph has in the end and what they are called, under the keys of `run.nodes`.

        A name in a function is one of its own, and stands behind that of the function: `Block:/fc/MatMul`.
        """
        inside = {node: f"{function.name}:" for function in model.functions.values() for node in function.all_nodes()}
        names = [
            [self._seen[node].number, f"{inside.get(node, '')}{node.name}" if node.name else ""] for node in self._nodes
        ]
        outputs = [[value.name, self._number_of(value.producer())] for value in self._outputs]
        fits = len(names) <= self.entries_left
        return {"names": names if fits else [], "outputs": outputs, "left_out": 0 if fits else len(names)}

    def _number_of(self, node: ir.Node | None) -> int | None:
        return self._seen[node].number if node is not None and node in self._seen else None

    def _only_number(self, step: str, nodes: tuple[ir.Node, ...]) -> None:
        if nodes == self._nodes:
            return
        for node in nodes:
            if node not in self._seen:
                self._number(node, origin_of(node) or NOWHERE, step)
        for node in self._seen.keys() - set(nodes):
            del self._seen[node]
        self._nodes = nodes

    def _walk(
        self, step: str, nodes: tuple[ir.Node, ...], outputs: tuple[ir.Value, ...], record: dict[str, Any]
    ) -> None:
        seen = self._seen
        kept = set(nodes)
        gone = {node: what for node, what in seen.items() if node not in kept}
        new = [node for node in nodes if node not in seen]
        swaps = list(self._look_again(nodes, record))
        if outputs != self._outputs and len(outputs) == len(self._outputs):
            swaps += [
                _Swap(0, old, value) for old, value in zip(self._outputs, outputs, strict=True) if old is not value
            ]
        record["rewired"] = [
            [swap.reader, gone[lost].number, 0 if found is None else seen[found].number]
            for swap in swaps
            if (lost := swap.old.producer()) in gone and ((found := swap.new.producer()) is None or found in seen)
        ]
        if new:
            self._put_down(step, new, _parents(new, gone, swaps) if seen else {}, gone, record)
        record["removed"] = [what.number for what in gone.values()]
        for node in gone:
            del seen[node]
        self._nodes, self._outputs = nodes, outputs

    def _look_again(self, nodes: Sequence[ir.Node], record: dict[str, Any]) -> Iterator[_Swap]:
        """Put on record what was done to nodes that were there before, and yield where they read something else."""
        seen, changed, renamed = self._seen, record["changed"], record["renamed"]
        for node in nodes:
            was = seen.get(node)
            if was is None:
                continue
            inputs, attributes, name = node.inputs, node.attributes.data, node.name
            if node.op_type != was.op_type or node.domain != was.domain:
                changed.append([was.number, operator_name(node.domain, node.op_type, node.overload)])
                was.op_type, was.domain, was.attributes = node.op_type, node.domain, tuple(attributes.values())
            elif len(attributes) != len(was.attributes) or (
                attributes and any(map(is_not, attributes.values(), was.attributes))
            ):
                before, was.attributes = was.attributes, tuple(attributes.values())
                if _differ(before, was.attributes):
                    changed.append([was.number, None])
            elif len(inputs) != len(was.inputs):
                changed.append([was.number, None])
            if inputs is not was.inputs:
                for old, value in zip(was.inputs, inputs, strict=False):
                    if old is not value and old is not None and value is not None:
                        yield _Swap(was.number, old, value)
                was.inputs = inputs
            if name != was.name:
                renamed.append(was.number)
                was.name = name

    def _put_down(
        self,
        step: str,
        new: Sequence[ir.Node],
        parents: Mapping[ir.Node, tuple[int, ...]],
        gone: Mapping[ir.Node, _Seen],
        record: dict[str, Any],
    ) -> None:
        places: dict[tuple[str, str, str], int] = {}
        lost = {what.number: node for node, what in gone.items()} if parents else {}
        for node in new:
            origin = origin_of(node) or NOWHERE
            if not origin.numbers and (guessed := parents.get(node)):
                # It stands where another one stood: where that came from is where this does.
                stood = origin_of(lost[guessed[0]]) if guessed[0] in lost and origin == NOWHERE else None
                origin = attrs.evolve(stood or origin, numbers=guessed)
            row: list[Any] = [operator_name(node.domain, node.op_type, node.overload), _short(origin.numbers)]
            if not origin.numbers:
                place = (origin.module, origin.module_class, origin.source)
                if any(place):
                    if place not in places:
                        places[place] = len(places)
                        record["places"].append(list(place))
                    row.append(places[place])
                elif beside := self._read_by(node):
                    row += [None, _short(beside)]
            record["made"].append(row)
            self._number(node, origin, step)

    def _number(self, node: ir.Node, origin: Origin, step: str | None = None) -> None:
        number = self._next
        self._next = number + 1
        attributes = tuple(node.attributes.data.values())
        self._seen[node] = _Seen(number, node.op_type, node.domain, node.inputs, attributes, node.name)
        set_origin(node, origin.numbered(number, step))

    def _read_by(self, node: ir.Node) -> tuple[int, ...]:
        """The numbers of the nodes that make the inputs of a node."""
        makers = (value.producer() for value in node.inputs if value is not None)
        return tuple(dict.fromkeys(self._seen[maker].number for maker in makers if maker in self._seen))

    def _within_limit(self, record: dict[str, Any]) -> dict[str, Any] | None:
        entries = sum(len(record[key]) for key in _LISTS) + sum(map(len, record["declined_at"].values()))
        if not entries and not record["decided_at"]:
            return None
        if entries <= self.entries_left:
            self.entries_left -= entries
            return {**record, "left_out": 0}
        self.entries_left = 0
        empty: dict[str, Any] = {key: [] for key in (*_LISTS, "places", "decided_at")}
        return {**record, **empty, "declined_at": {}, "left_out": entries}


def _parents(
    new: Sequence[ir.Node], gone: Mapping[ir.Node, _Seen], swaps: Sequence[_Swap]
) -> dict[ir.Node, tuple[int, ...]]:
    """For each new node that does not say what it was made from, the numbers of the nodes in whose place it stands."""
    found: dict[ir.Node, dict[int, None]] = {}
    silent: set[ir.Node] = set()
    for node in new:
        origin = origin_of(node)
        numbers = () if origin is None else origin.numbers
        found[node] = dict.fromkeys(numbers)
        if not numbers:
            silent.add(node)
    if not silent:
        return {}
    for swap in swaps:
        lost, stands = swap.old.producer(), swap.new.producer()
        if stands is not None and stands in silent and lost is not None and lost in gone:
            found[stands][gone[lost].number] = None
    # What feeds nothing but other new nodes stands where those do.
    for node in reversed(new):
        if node in silent and not found[node]:
            for value in node.outputs:
                for reader, _ in value.uses():
                    found[node].update(found.get(reader, {}))
    return {node: tuple(found[node]) for node in silent}


def _outputs_of(model: ir.Model | None) -> tuple[ir.Value, ...]:
    return () if model is None else tuple(model.graph.outputs)


def _differ(some: tuple[ir.Attr, ...], others: tuple[ir.Attr, ...]) -> bool:
    return len(some) != len(others) or any(
        # Tensors and graphs are compared by identity: their content may be large, and a new one is a change made.
        one is not other and not (one.name == other.name and _plainly_equal(one.value, other.value))
        for one, other in zip(some, others, strict=True)
    )


def _plainly_equal(one: Any, other: Any) -> bool:
    if isinstance(one, (tuple, list)) and len(one) < 64:
        return isinstance(other, (tuple, list)) and len(one) == len(other) and all(map(_plainly_equal, one, other))
    return isinstance(one, _BY_VALUE) and bool(one == other)


def _short(numbers: tuple[int, ...]) -> int | list[int] | None:
    """Numbers as a log has them: most nodes are made from one other."""
    if not numbers:
        return None
    return numbers[0] if len(numbers) == 1 else list(numbers)
