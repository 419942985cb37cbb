# SPDX-License-Identifier: Apache-2.0
"""Two recordings of one program as one graph: what they share stands once, where they differ an If chooses.

The nodes of both are aligned in the order in which they were recorded, as lines of two texts are. Between runs of
aligned nodes lie *hunks*: nodes of the one recording, of the other, or both. Each hunk becomes an If whose branches
hold its nodes. Arithmetic on sizes is not aligned but written anew wherever it is needed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import onnx_ir as ir
from lading.passes.control_flow import BodyNames, body_graph, if_node, like
from lading.passes.trace.sides.calls import common_origin, share_calls
from lading.passes.trace.sides.numbering import Numbering, captured, is_arithmetic, live_nodes, reads, source
from lading.pipeline.origin import META_KEY, NOWHERE, origin_of

LEFT, RIGHT = 0, 1

Condition = Callable[[Sequence[ir.Value]], tuple[list[ir.Node], ir.Value]] | tuple[ir.Value, ir.Value]
"""Writes a condition, given the inputs of the graph, as its nodes and the bool; or the value of both recordings."""


class Unmergeable(Exception):
    """The two recordings have no common graph; the text says why."""


class _Apart(Exception):
    """A value is needed in another hunk than the one that makes it: the steps between the two have to be one hunk."""

    def __init__(self, first: int, last: int) -> None:
        super().__init__(first, last)
        self.first, self.last = min(first, last), max(first, last)


class _StepAdded(Exception):
    """There is a new hunk without nodes, to choose between values that hunks did not make."""


@attrs.frozen(eq=False)
class Recording:
    """A recorded graph, and the values that it is for: its outputs, then what it writes to buffers."""

    model: ir.Model
    results: tuple[ir.Value, ...]


@attrs.define(eq=False)
class _Step:
    """A pair of aligned nodes, or a hunk: the nodes of both sides."""

    nodes: tuple[list[ir.Node], list[ir.Node]]
    paired: bool
    choices: dict[tuple[ir.Value, ir.Value], int] = attrs.field(factory=dict)


def same_program(left: Recording, right: Recording, names: BodyNames) -> bool:
    """Whether two recordings compute the same from the same inputs, whatever the order of their nodes.

    If they do, sizes of values in which they differ are no longer stated for `left`: they hold on one side only.
    """
    if len(left.results) != len(right.results):
        return False
    numbering = Numbering()
    for side in (left, right):
        numbering.number(side.model)
    if any(numbering.of(one) != numbering.of(other) for one, other in zip(left.results, right.results, strict=True)):
        return False
    shapes = {numbering.of(value): value.shape for node in right.model.graph for value in node.outputs}
    dims: dict[tuple[Any, Any], Any] = {}
    for node in left.model.graph:
        for value in node.outputs:
            other = shapes.get(numbering.of(value))
            if value.shape is not None and other is not None and value.shape != other:
                value.shape = common_shape(value.shape, other, dims, names)
    return True


def common_shape(left: ir.Shape, right: ir.Shape, known: dict[tuple[Any, Any], Any], names: BodyNames) -> ir.Shape:
    """Return a shape of as many dimensions, with a name of its own for each pair of sizes that differ."""
    dims: list[Any] = []
    for one, other in zip(left, right, strict=True):
        pair = (one if isinstance(one, int) else one.value, other if isinstance(other, int) else other.value)
        if pair[0] == pair[1]:
            dims.append(one)
            continue
        if pair not in known:
            known[pair] = names.take("size")
        dims.append(known[pair])
    return ir.Shape(dims)


def merged(
    left: Recording, right: Recording, names: BodyNames, condition: Condition
) -> tuple[ir.Model, tuple[ir.Value, ...]]:
    """Return one graph that computes as `left` where a condition holds, and as `right` where it does not.

    Args:
        left: the one recording.
        right: the other one, with the same inputs.
        names: gives names to the branches.
        condition: one on sizes is written; one on values is there in both recordings, before they part.

    Returns:
        The graph, and its values for the results of `left`.

    Raises:
        Unmergeable: the results differ in number, type or rank.
    """
    return _Merge(left, right, names, condition).run()


class _Merge:
    def __init__(self, left: Recording, right: Recording, names: BodyNames, condition: Condition) -> None:
        if len(left.results) != len(right.results):
            counts = len(left.results), len(right.results)
            raise Unmergeable(f"there are {counts[LEFT]} results on the one side and {counts[RIGHT]} on the other")
        self.sides = (left, right)
        self.results = tuple([source(value) for value in side.results] for side in self.sides)
        self.names = names
        self.condition_of = condition
        self.asked = condition if isinstance(condition, tuple) else None
        share_calls(left.model, right.model)
        self.numbering = Numbering()
        for side in self.sides:
            self.numbering.number(side.model)
        self.steps = self._aligned()

    def run(self) -> tuple[ir.Model, tuple[ir.Value, ...]]:
        for left, right in zip(*self.results, strict=True):
            _check_alike(left, right)
        while True:
            try:
                self._plan()
                return self._build()
            except _StepAdded:
                continue
            except _Apart as apart:
                self._join(apart.first, apart.last)

    # ---- alignment ---------------------------------------------------------------------------------------------------

    def _aligned(self) -> list[_Step]:
        nodes = tuple(
            [node for node in live_nodes(side.model, self._needed(index)) if not is_arithmetic(node)]
            for index, side in enumerate(self.sides)
        )
        words = tuple([self._word(node) for node in side] for side in nodes)
        steps: list[_Step] = []
        matcher = difflib.SequenceMatcher(None, words[LEFT], words[RIGHT], autojunk=False)
        for tag, i, i_end, j, j_end in matcher.get_opcodes():
            if tag != "equal":
                steps.append(_Step((nodes[LEFT][i:i_end], nodes[RIGHT][j:j_end]), False))
                continue
            for one, other in zip(nodes[LEFT][i:i_end], nodes[RIGHT][j:j_end], strict=True):
                steps.append(_Step(([one], [other]), _alike(one, other)))
        return steps

    def _needed(self, side: int) -> tuple[ir.Value, ...]:
        asked = () if self.asked is None else (self.asked[side],)
        return (*self.sides[side].results, *asked)

    def _word(self, node: ir.Node) -> Any:
        origin = origin_of(node) or NOWHERE
        return self.numbering.kind(node), len(reads(node)), origin.module, origin.source

    def _join(self, first: int, last: int) -> None:
        joined = self.steps[first : last + 1]
        left, right = ([node for step in joined for node in step.nodes[side]] for side in (LEFT, RIGHT))
        self.steps[first : last + 1] = [_Step((left, right), False)]

    # ---- planning: which values each hunk has to choose --------------------------------------------------------------

    def _plan(self) -> None:
        self.place: list[dict[ir.Value, int]] = [{}, {}]
        self.partner: dict[ir.Value, ir.Value] = {}
        for one, other in zip(*(side.model.graph.inputs for side in self.sides), strict=True):
            self.partner[one] = other
        for index, step in enumerate(self.steps):
            step.choices.clear()
            for side in (LEFT, RIGHT):
                for node in step.nodes[side]:
                    for output in node.outputs:
                        self.place[side][output] = index
            if step.paired:
                self.partner.update(zip(step.nodes[LEFT][0].outputs, step.nodes[RIGHT][0].outputs, strict=True))
        self._met: set[tuple[Any, Any]] = set()
        for index, step in enumerate(self.steps):
            if step.paired:
                one, other = step.nodes[LEFT][0], step.nodes[RIGHT][0]
                for left, right in zip(reads(one), reads(other), strict=True):
                    self._request(left, right, index)
                continue
            for side in (LEFT, RIGHT):
                for node in step.nodes[side]:
                    for value in reads(node):
                        self._check_seen(side, value, index)
        self._check_asked()
        end = len(self.steps)
        for left, right in zip(*self.results, strict=True):
            self._request(left, right, end)

    def _check_asked(self) -> None:
        """Check that a condition on values is the same on both sides, and there before the first hunk."""
        if self.asked is None:
            return
        left, right = map(source, self.asked)
        assert left is not None
        assert right is not None
        hunks = [index for index, step in enumerate(self.steps) if not step.paired]
        if not self._is_one(left, right) or self.place[LEFT].get(left, -1) > min(hunks, default=len(self.steps)):
            raise Unmergeable("what the branch asks for is not the same on both sides")

    def _roots(self, side: int, value: ir.Value) -> Iterator[ir.Value]:
        """Yield the values that are no arithmetic and that a value is computed from; itself if it is none."""
        producer = value.producer()
        if producer is None or not is_arithmetic(producer):
            yield value
            return
        for read in reads(producer):
            if read is not None:
                yield from self._roots(side, read)

    def _hunks(self, side: int, value: ir.Value) -> set[int]:
        places = (self.place[side].get(root) for root in self._roots(side, value))
        return {place for place in places if place is not None and not self.steps[place].paired}

    def _check_seen(self, side: int, value: ir.Value | None, index: int) -> None:
        """Check that a branch of a hunk sees what it reads: nothing but its own values and what comes before it."""
        if value is None:
            return
        for root in self._roots(side, value):
            place = self.place[side].get(root)
            if place is None or place == index:
                continue
            if not self.steps[place].paired or place > index:
                raise _Apart(place, index)

    def _request(self, left: ir.Value | None, right: ir.Value | None, index: int) -> None:
        if left is None or right is None:
            if left is not right:
                raise _Apart(index, index)
            return
        if (left, right) in self._met:
            return
        if self._is_one(left, right):
            return
        if self._are_parallel(left, right):
            self._met.add((left, right))
            for one, other in zip(reads(_made(left)), reads(_made(right)), strict=True):
                self._request(one, other, index)
            return
        if not _alike_values(left, right):
            raise _Apart(index, index)
        self._met.add((left, right))
        hunks = self._hunks(LEFT, left) | self._hunks(RIGHT, right)
        if not hunks and not (index and self._has_no_nodes(index - 1)):
            self.steps.insert(index, _Step(([], []), False))
            raise _StepAdded
        at = max(hunks, default=index - 1)
        for side, value in ((LEFT, left), (RIGHT, right)):
            self._check_seen(side, value, at)
        self.steps[at].choices.setdefault((left, right), len(self.steps[at].choices))

    def _has_no_nodes(self, index: int) -> bool:
        return not any(self.steps[index].nodes)

    def _is_one(self, left: ir.Value, right: ir.Value) -> bool:
        """Whether both sides have this value outside of hunks, as the same one."""
        if left in self.partner:
            place = self.place[LEFT].get(left)
            return self.partner[left] is right and (place is None or self.steps[place].paired)
        stored = left.const_value is not None and right.const_value is not None
        return stored and self.numbering.of(left) == self.numbering.of(right)

    def _are_parallel(self, left: ir.Value, right: ir.Value) -> bool:
        one, other = left.producer(), right.producer()
        if one is None or other is None or not is_arithmetic(one) or not is_arithmetic(other):
            return False
        return len(one.inputs) == len(other.inputs) and self.numbering.kind(one) == self.numbering.kind(other)

    # ---- building ----------------------------------------------------------------------------------------------------

    def _build(self) -> tuple[ir.Model, tuple[ir.Value, ...]]:
        graph = self.sides[LEFT].model.graph
        self.nodes: list[ir.Node] = []
        self.outer: list[dict[ir.Value, ir.Value]] = [{}, {}]
        self.initializers: dict[str, ir.Value] = {}
        self.stored_from: dict[ir.Value, ir.Value] = {}
        self.both: dict[tuple[ir.Value, ir.Value], ir.Value] = {}
        self.dims: dict[tuple[Any, Any], Any] = {}
        inputs = []
        for one, other in zip(graph.inputs, self.sides[RIGHT].model.graph.inputs, strict=True):
            fresh = ir.Value(name=one.name, type=one.type, shape=one.shape)
            self.outer[LEFT][one] = self.outer[RIGHT][other] = fresh
            inputs.append(fresh)
        self.condition: ir.Value | None = None
        if callable(self.condition_of):
            written, self.condition = self.condition_of(inputs)
            self.nodes.extend(written)
        for step in self.steps:
            if step.paired:
                self._pair(step.nodes[LEFT][0], step.nodes[RIGHT][0])
            elif step.choices:
                self._choose(step)
        results = self._results(len(graph.outputs))
        opsets = {**self.sides[RIGHT].model.graph.opset_imports, **graph.opset_imports, "prim": 1, "aten": 1}
        made = ir.Graph(
            inputs,
            results[: len(graph.outputs)],
            nodes=self.nodes,
            initializers=list(self.initializers.values()),
            opset_imports=opsets,
            name=graph.name,
        )
        model = self.sides[LEFT].model
        return ir.Model(made, ir_version=model.ir_version, producer_name=model.producer_name), tuple(results)

    def _results(self, outputs: int) -> list[ir.Value]:
        results: list[ir.Value] = []
        made = {output for node in self.nodes for output in node.outputs}
        for index, (left, right) in enumerate(zip(*self.results, strict=True)):
            value = self._value(left, right)
            if index < outputs:
                if value in results or value not in made:
                    value = self._alias(value, self.nodes)
                value.name = self.sides[LEFT].results[index].name
            results.append(value)
        return results

    def _stored(self, side: int, value: ir.Value) -> ir.Value:
        """Return the initializer of the merged graph for one of a side; literals of two sides may share a name."""
        known = self.outer[side].get(value)
        if known is not None:
            return known
        name = value.name or ""
        held = self.initializers.get(name)
        number = 0
        while held is not None and self.numbering.of(self.stored_from[held]) != self.numbering.of(value):
            number += 1
            held = self.initializers.get(f"{name}_{number}")
        if held is None:
            title = f"{name}_{number}" if number else name
            held = ir.Value(name=title, type=value.type, shape=value.shape, const_value=value.const_value)
            self.initializers[title] = held
            self.stored_from[held] = value
        self.outer[side][value] = held
        return held

    def _value(self, left: ir.Value | None, right: ir.Value | None) -> Any:
        """Return the merged value of a pair, outside of hunks."""
        if left is None or right is None:
            return None
        known = self.both.get((left, right))
        if known is not None:
            return known
        if self._is_one(left, right):
            found = self.outer[LEFT].get(left)
            return self._stored(LEFT, left) if found is None else found
        node = _made(left)
        inputs = [self._value(one, two) for one, two in zip(reads(node), reads(_made(right)), strict=True)]
        copy = self._copy(node, inputs, {}, self.nodes)
        self.both[left, right] = copy.outputs[left.index() or 0]
        return self.both[left, right]

    def _pair(self, one: ir.Node, other: ir.Node) -> None:
        values = [self._value(left, right) for left, right in zip(reads(one), reads(other), strict=True)]
        inside = dict(zip(captured(one), values[len(one.inputs) :], strict=True))
        copy = self._copy(one, values[: len(one.inputs)], inside, self.nodes)
        for left, right, made in zip(one.outputs, other.outputs, copy.outputs, strict=True):
            made.shape = self._shape(left, right)
            self.outer[LEFT][left] = self.outer[RIGHT][right] = made

    def _choose(self, step: _Step) -> None:
        branches = []
        for side, kind in ((LEFT, "then"), (RIGHT, "else")):
            body = _Branch(self, side)
            for node in step.nodes[side]:
                body.write(node)
            outputs = [body.result(pair[side]) for pair in step.choices]
            for output in outputs:
                output.name = self.names.take(kind)
            branches.append(body_graph([], outputs, body.nodes, self.names.take(f"{kind}_body")))
        outputs = []
        for left, right in step.choices:
            outputs.append(ir.Value(type=left.type, shape=self._shape(left, right)))
        if self.condition is None:
            assert self.asked is not None
            self.condition = self._value(*map(source, self.asked))
        node = if_node(self.condition, branches[0], branches[1], outputs)
        node.meta[META_KEY] = common_origin(node for side in step.nodes for node in side)
        self.nodes.append(node)
        self.both.update(zip(step.choices, outputs, strict=True))

    def _shape(self, left: ir.Value, right: ir.Value) -> ir.Shape | None:
        if left.shape is None or right.shape is None:
            return None
        return common_shape(left.shape, right.shape, self.dims, self.names)

    def _copy(
        self, node: ir.Node, inputs: Sequence[Any], inside: dict[ir.Value, ir.Value], nodes: list[ir.Node]
    ) -> ir.Node:
        copy = copied(node, inputs, inside, self.names)
        nodes.append(copy)
        return copy

    def _alias(self, value: ir.Value, nodes: list[ir.Node]) -> ir.Value:
        output = like(value)
        node = ir.Node("aten", "alias", [value], outputs=[output])
        node.meta[META_KEY] = NOWHERE
        nodes.append(node)
        return output


def _made(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


class _Branch:
    """The nodes of one side of a hunk."""

    def __init__(self, merge: _Merge, side: int) -> None:
        self.merge = merge
        self.side = side
        self.nodes: list[ir.Node] = []
        self.known: dict[ir.Value, ir.Value] = {}
        self.given: set[ir.Value] = set()

    def value(self, value: ir.Value | None) -> Any:
        if value is None:
            return None
        known = self.known.get(value)
        if known is not None:
            return known
        outer = self.merge.outer[self.side].get(value)
        if outer is not None:
            return outer
        producer = value.producer()
        if producer is None:
            return self.merge._stored(self.side, value)
        self.write(producer)
        return self.known[value]

    def write(self, node: ir.Node) -> None:
        inputs = [self.value(source(value)) for value in node.inputs]
        inside = {value: self.value(source(value)) for value in captured(node)}
        copy = self.merge._copy(node, inputs, inside, self.nodes)
        self.known.update(zip(node.outputs, copy.outputs, strict=True))

    def result(self, value: ir.Value) -> ir.Value:
        """Return a value as an output of the branch: made in it, and an output once."""
        found = self.value(value)
        if found in self.given or found not in self.known.values():
            found = self.merge._alias(found, self.nodes)
        self.given.add(found)
        return found


def copied(node: ir.Node, inputs: Sequence[Any], inside: dict[ir.Value, ir.Value], names: BodyNames) -> ir.Node:
    """Return a copy of a node with other inputs; `inside` maps what its bodies read from outside."""
    attributes = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            attribute = ir.AttrGraph(attribute.name, _copied_body(attribute.as_graph(), dict(inside), names))
        attributes.append(attribute)
    outputs = [ir.Value(type=output.type, shape=output.shape) for output in node.outputs]
    copy = ir.Node(node.domain, node.op_type, inputs, attributes, overload=node.overload, outputs=outputs)
    copy.meta.update(node.meta)
    return copy


def _copied_body(graph: ir.Graph, known: dict[ir.Value, ir.Value], names: BodyNames) -> ir.Graph:
    inputs = []
    for value in graph.inputs:
        fresh = ir.Value(name=names.take("bound"), type=value.type, shape=value.shape)
        known[value] = fresh
        inputs.append(fresh)
    nodes = []
    for node in graph:
        given = [None if value is None else known[value] for value in node.inputs]
        copy = copied(node, given, known, names)
        known.update(zip(node.outputs, copy.outputs, strict=True))
        nodes.append(copy)
    outputs = [known[value] for value in graph.outputs]
    for value, old in zip(outputs, graph.outputs, strict=True):
        value.name = value.name or names.take("given" if old.name is None else "result")
    return body_graph(inputs, outputs, nodes, names.take("body"))


def _alike_values(left: ir.Value, right: ir.Value) -> bool:
    if not isinstance(left.type, ir.TensorType) or left.type != right.type:
        return False
    return left.shape is not None and right.shape is not None and len(left.shape) == len(right.shape)


def _alike(one: ir.Node, other: ir.Node) -> bool:
    """Whether the results of two nodes have the same types and ranks."""
    for left, right in zip(one.outputs, other.outputs, strict=True):
        if left.type != right.type or (left.shape is None) != (right.shape is None):
            return False
        if left.shape is not None and right.shape is not None and len(left.shape) != len(right.shape):
            return False
    return True


def _check_alike(left: ir.Value, right: ir.Value) -> None:
    if not _alike_values(left, right):
        raise Unmergeable(
            f"the result '{left.name}' has another type or another number of dimensions on the other side"
        )
