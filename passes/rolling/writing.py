# SPDX-License-Identifier: Apache-2.0
"""The graph of a description: its loops as `prim::Loop`, its numbers as arithmetic on sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import onnx_ir as ir
import sympy
import torch
from lading.passes import dialect
from lading.passes.control_flow import BOOL, INT, BodyNames, body_graph, distinct_outputs, loop_node
from lading.passes.dialect import find_overload
from lading.passes.rolling.blocks import Block
from lading.passes.rolling.description import All, Before, Description, Element, Here, Line, Made, Row, Step
from lading.passes.rolling.programs import CannotRoll, FromInput, FromWeight, Program
from lading.passes.trace.arithmetic import Arithmetic
from lading.passes.trace.symbols import axis_symbol, text_of
from lading.pipeline.origin import META_KEY, NOWHERE

_aten = torch.ops.aten


@attrs.define(eq=False)
class _Loop:
    """What is to be written of a loop, and what has been."""

    carried: dict[Before, ir.Value] = attrs.field(factory=dict)
    last: dict[tuple[int, int], ir.Value] = attrs.field(factory=dict)
    stacked: dict[tuple[int, int], ir.Value | None] = attrs.field(factory=dict)


class Writer:
    """Writes one description.

    Args:
        description: the rules.
        example: the shorter of the two recordings that they were found in; its nodes say what is written.
        found: where its calls stand in the description.
        count: the number that says how often the loops run, over the sizes of the inputs.
        names: gives names to values at the border of bodies.
    """

    def __init__(
        self, description: Description, example: Program, found: Sequence[Block], count: sympy.Basic, names: BodyNames
    ) -> None:
        self.description = description
        self.example = example
        self.blocks = found
        self.length = count
        self.names = names
        self.nodes: list[ir.Node] = []
        self.values: dict[tuple[int, int, int], ir.Value] = {}
        self.loops: dict[int, _Loop] = {}
        self.inside: dict[tuple[int, int], ir.Value] = {}
        self.current: int | None = None
        self.iteration: sympy.Symbol | None = None
        self._node_now: ir.Node | None = None
        old = example.model.graph
        self.inputs = [ir.Value(name=one.name, type=one.type, shape=one.shape) for one in old.inputs]
        self.weights = {
            name: ir.Value(name=name, type=one.type, shape=one.shape, const_value=one.const_value)
            for name, one in old.initializers.items()
        }
        self.arithmetic = Arithmetic(self._append, str)
        for value in self.inputs:
            for place, dim in enumerate(value.shape or ()):
                if not isinstance(dim, int):
                    self.arithmetic.read_from(axis_symbol(str(dim.value)), value, place)

    def model(self) -> tuple[ir.Model, list[ir.Value]]:
        """Return the graph, and its values for the results of the description.

        Raises:
            CannotRoll: a list of what all iterations have made goes into an operator other than stack and cat.
        """
        for index, stretch in enumerate(self.description.stretches):
            if stretch.count is not None:
                self.loops[index] = self._needs(index)
        for index, stretch in enumerate(self.description.stretches):
            if stretch.count is None:
                self._straight(index, stretch.steps)
            else:
                self._loop(index, stretch.count, stretch.steps)
        results = [self._tensor(one) for one in self.description.results]
        old = self.example.model
        count = len(old.graph.outputs)
        outputs = self._distinct(results[:count])
        graph = ir.Graph(
            self.inputs,
            outputs,
            nodes=self.nodes,
            initializers=list(self.weights.values()),
            opset_imports=dict.fromkeys(sorted({node.domain for node in self.nodes}), 1),
            name=old.graph.name,
        )
        for value, recorded in zip(outputs, old.graph.outputs, strict=True):
            value.name = recorded.name
        return ir.Model(graph, ir_version=old.ir_version, producer_name=old.producer_name), [
            *outputs,
            *results[count:],
        ]

    def _distinct(self, values: Sequence[ir.Value]) -> list[ir.Value]:
        """Return values as outputs of the graph, or of the body, that is written now."""
        made = {value for node in self.nodes for value in node.outputs}
        return distinct_outputs(values, made, self._alias)

    # ---- what loops give ---------------------------------------------------------------------------------------------

    def _needs(self, index: int) -> _Loop:
        """Say what a loop carries, and of which values all iterations are wanted around it."""
        loop = _Loop()
        own = self.description.stretches[index]
        for step in own.steps:
            for operand in _flat(step.operands):
                if isinstance(operand, Before):
                    loop.carried[operand] = ir.Value()
        ends = {(one.place, one.output) for one in loop.carried}
        for place, stretch in enumerate(self.description.stretches):
            if place != index:
                for step in stretch.steps:
                    self._note_uses(loop, index, step.operands, ends)
        self._note_uses(loop, index, self.description.results, ends)
        return loop

    def _note_uses(self, loop: _Loop, index: int, operands: Sequence[Any], ends: set[tuple[int, int]]) -> None:
        for operand in _flat(operands):
            if isinstance(operand, All) and operand.block == index:
                loop.stacked.update(dict.fromkeys(operand.parts))
            elif isinstance(operand, Element) and operand.block == index:
                key = operand.place, operand.output
                if key not in ends or not self._is_last(operand):
                    loop.stacked[key] = None

    def _is_last(self, element: Element) -> bool:
        count = self.description.stretches[element.block].count
        assert count is not None
        return element.index == Line(sympy.expand(count.fixed - 1), count.per_length)

    # ---- stretches ---------------------------------------------------------------------------------------------------

    def _recorded(self, index: int, place: int) -> ir.Node:
        return self.example.calls[self.blocks[index].starts[0] + place].node

    def _straight(self, index: int, steps: Sequence[Step]) -> None:
        for place, step in enumerate(steps):
            if step.rows:
                continue  # they are read one by one
            for output, value in enumerate(self._call(self._recorded(index, place), step)):
                self.values[index, place, output] = value

    def _loop(self, index: int, count: Line, steps: Sequence[Step]) -> None:
        loop = self.loops[index]
        trips = self.arithmetic.value(self._expression(count))
        initial = [self._tensor(one.initial) for one in loop.carried]
        for operand in (one for step in steps for one in _flat(step.operands)):
            self._prepare(operand)
        around, tables = self.nodes, self.arithmetic.tables()
        self.nodes = []
        number = ir.Value(name=self.names.take("iteration"), type=INT, shape=ir.Shape(()))
        going = ir.Value(name=self.names.take("going"), type=BOOL, shape=ir.Shape(()))
        self.iteration = sympy.Symbol(f"iteration_{index}", integer=True, nonnegative=True)
        self.arithmetic.is_value(self.iteration, number)
        self.current, self.inside = index, {}
        for one, before in zip(loop.carried, initial, strict=True):
            shape = self._joined(before, steps[one.place].dims[one.output])
            loop.carried[one] = ir.Value(name=self.names.take("state"), type=before.type, shape=shape)
        for place, step in enumerate(steps):
            for output, value in enumerate(self._call(self._recorded(index, place), step)):
                self.inside[place, output] = value
        given = [self.inside[one.place, one.output] for one in loop.carried]
        pieces = [self.inside[key] for key in loop.stacked]
        outputs = self._distinct([going, *given, *pieces])
        for value in outputs:
            value.name = self.names.take("carried")
        body = body_graph([number, going, *loop.carried.values()], outputs, self.nodes, self.names.take("body"))
        self.nodes = around
        self.arithmetic.go_back(tables)
        self.current = self.iteration = None
        after = [ir.Value(type=one.type, shape=one.shape) for one in loop.carried.values()]
        rows = self._size(count)
        wholes = [ir.Value(type=one.type, shape=self._stacked_shape(rows, one)) for one in pieces]
        node = loop_node(trips, None, initial, body, [*after, *wholes])
        self._append(node)
        for one, value in zip(loop.carried, after, strict=True):
            loop.last[one.place, one.output] = value
        loop.stacked = dict(zip(loop.stacked, wholes, strict=True))

    def _joined(self, before: ir.Value, dims: tuple[Any, ...] | None) -> ir.Shape | None:
        if dims is None or before.shape is None:
            return None
        shape = self._shape(dims)
        if len(shape) != len(before.shape):
            raise CannotRoll("what an iteration hands on changes its rank")
        pairs = zip(shape, before.shape, strict=True)
        return ir.Shape([one if one == other else self.names.take("size") for one, other in pairs])

    def _stacked_shape(self, rows: int | str, piece: ir.Value) -> ir.Shape | None:
        return None if piece.shape is None else ir.Shape([rows, *piece.shape])

    # ---- numbers and shapes ------------------------------------------------------------------------------------------

    def _expression(self, line: Line) -> sympy.Basic:
        found = line.fixed + line.per_length * self.length
        return found if line.per_iteration == 0 else found + line.per_iteration * self.iteration

    def _size(self, line: Line) -> int | str:
        found = self._expression(line)
        return int(found) if found.is_Integer else text_of(found)

    def _shape(self, dims: Sequence[Any]) -> ir.Shape:
        found: list[int | str] = []
        for dim in dims:
            if isinstance(dim, str):
                found.append(dim)
            elif dim is None or dim.per_iteration != 0:
                found.append(self.names.take("size"))
            else:
                found.append(self._size(dim))
        return ir.Shape(found)

    # ---- what calls take ---------------------------------------------------------------------------------------------

    def _prepare(self, operand: Any) -> None:
        """Compute around a loop what is the same in all of its iterations."""
        if isinstance(operand, Line):
            outer = operand.fixed + operand.per_length * self.length
            if not outer.is_number:
                self.arithmetic.value(outer)
        elif isinstance(operand, (Element, Row)):
            self._prepare(operand.index)

    def _number(self, line: Line) -> Any:
        """Return a number of a call: a constant, or a value that stands for a symbolic one."""
        outer = line.fixed + line.per_length * self.length
        if line.per_iteration == 0:
            return int(outer) if outer.is_Integer else dialect.held(self.arithmetic.value(outer))
        if not outer.is_number:
            known = sympy.Dummy("outer", integer=True)
            self.arithmetic.is_value(known, self.arithmetic.value(outer))
            outer = known
        return dialect.held(self.arithmetic.value(outer + line.per_iteration * self.iteration))

    def _tensor(self, operand: Any) -> ir.Value:
        if isinstance(operand, FromInput):
            return self.inputs[operand.index]
        if isinstance(operand, FromWeight):
            return self.weights[operand.name]
        if isinstance(operand, Made):
            return self.values[operand.block, operand.place, operand.output]
        if isinstance(operand, Here):
            return self.inside[operand.place, operand.output]
        if isinstance(operand, Before):
            assert self.current is not None
            return self.loops[self.current].carried[operand]
        if isinstance(operand, Row):
            step = self.description.stretches[operand.block].steps[operand.place]
            tensor, *size, dim = step.operands
            if size:
                return self._piece(self._tensor(tensor), int(dim.fixed), size[0], operand.index)  # type: ignore[union-attr,arg-type]
            return self._select(self._tensor(tensor), int(dim.fixed), operand.index)  # type: ignore[union-attr]
        if isinstance(operand, Element):
            loop = self.loops[operand.block]
            key = operand.place, operand.output
            if key in loop.last and self._is_last(operand):
                return loop.last[key]
            whole = loop.stacked[key]
            assert whole is not None
            return self._select(whole, 0, operand.index)
        if isinstance(operand, Line):
            return self.arithmetic.value(self._expression(operand))
        raise CannotRoll("a list of what all iterations make is no tensor")

    def _select(self, tensor: ir.Value, dim: int, index: Line) -> ir.Value:
        shape = None if tensor.shape is None else ir.Shape([d for p, d in enumerate(tensor.shape) if p != dim])
        output = ir.Value(type=tensor.type, shape=shape)
        self._encode(_aten.select.int, [dialect.held(tensor), dim, self._number(index)], [output])
        return output

    def _piece(self, tensor: ir.Value, dim: int, size: Line, index: Line) -> ir.Value:
        """Return a piece of those that `split` gives: the last one ends with the tensor."""
        shape = None if tensor.shape is None else ir.Shape(list(tensor.shape))
        if shape is not None:
            shape[dim] = self.names.take("size")
        output = ir.Value(type=tensor.type, shape=shape)
        length = self._expression(size)
        start = sympy.expand(length * self._expression(index))
        ends = [
            int(one) if one.is_Integer else dialect.held(self.arithmetic.value(one)) for one in (start, start + length)
        ]
        self._encode(_aten.slice.Tensor, [dialect.held(tensor), dim, *ends, 1], [output])
        return output

    def _alias(self, value: ir.Value) -> ir.Value:
        output = ir.Value(type=value.type, shape=value.shape)
        self._encode(_aten.alias.default, [dialect.held(value)], [output])
        return output

    # ---- calls -------------------------------------------------------------------------------------------------------

    def _append(self, node: ir.Node) -> None:
        origin = self._node_now.meta.get(META_KEY, NOWHERE) if self._node_now is not None else NOWHERE
        node.meta.setdefault(META_KEY, origin)
        self.nodes.append(node)

    def _encode(self, overload: Any, args: Sequence[Any], outputs: Sequence[ir.Value]) -> None:
        dialect.encode(overload, args, {}, outputs, value_of=dialect.held_value, append=self._append)

    def _call(self, node: ir.Node, step: Step) -> list[ir.Value]:
        self._node_now = node
        outputs = [
            ir.Value(type=old.type, shape=None if dims is None else self._shape(dims))
            for old, dims in zip(node.outputs, step.dims, strict=True)
        ]
        operands = iter(step.operands)
        try:
            bound = dialect.bind(node)
        except LookupError:
            inputs = [None if old is None else self._tensor(next(operands)) for old in node.inputs]
            attributes = list(node.attributes.values())
            self._append(
                ir.Node(node.domain, node.op_type, inputs, attributes, overload=node.overload, outputs=outputs)
            )
            self._node_now = None
            return outputs
        positional = [self._filled_tensors(one, operands) for one in bound.positional]
        keywords = {name: self._filled(one, operands) for name, one in bound.keywords.items()}
        if any(isinstance(one, list) and any(isinstance(part, All) for part in one) for one in positional):
            outputs = self._of_lists(node, positional, keywords, outputs)
        else:
            tensors = iter(positional)
            given = [
                next(tensors) if parameter.is_tensor else keywords.get(parameter.name, parameter.default)
                for parameter in bound.schema.parameters
            ]
            self._encode(find_overload(node.domain, node.op_type, node.overload), given, outputs)
        self._node_now = None
        return outputs

    def _filled_tensors(self, recorded: Any, operands: Any) -> Any:
        if not isinstance(recorded, list) or None in recorded:
            return self._filled(recorded, operands)
        return [one if isinstance(one, All) else dialect.held(self._tensor(one)) for one in next(operands)]

    def _filled(self, recorded: Any, operands: Any) -> Any:
        if isinstance(recorded, ir.Value):
            operand = next(operands)
            return self._number(operand) if isinstance(operand, Line) else dialect.held(self._tensor(operand))
        if isinstance(recorded, int) and not isinstance(recorded, bool):
            return self._number(next(operands))
        if isinstance(recorded, (list, tuple)):
            return [self._filled(one, operands) for one in recorded]
        return recorded

    # ---- lists of all iterations -------------------------------------------------------------------------------------

    def _of_lists(
        self, node: ir.Node, positional: Sequence[Any], keywords: dict[str, Any], outputs: list[ir.Value]
    ) -> list[ir.Value]:
        """Write a stack or a concatenation of what all iterations of a loop have made."""
        write: dict[str, Callable[[Any, int, ir.Value | None], ir.Value]] = {"stack": self._rows, "cat": self._joint}
        if node.domain != "aten" or node.op_type not in write or len(positional) != 1 or node.overload:
            raise CannotRoll(f"{node.domain}::{node.op_type} takes what all iterations have made")
        (members,) = positional
        rank = len(node.outputs[0].shape or ())
        dim = int(keywords.get("dim", 0)) % max(rank, 1)
        alone = outputs[0] if len(members) == 1 else None
        pieces = [write[node.op_type](one, dim, alone) for one in members]
        if alone is not None:
            return [pieces[0]]
        self._encode(_aten.cat.default, [[dialect.held(one) for one in pieces], dim], outputs)
        return outputs

    def _wholes(self, members: All) -> list[ir.Value]:
        """Return what all iterations have made, along a new first dimension, for each part of an iteration."""
        found = []
        for part in members.parts:
            whole = self.loops[members.block].stacked[part]
            assert whole is not None
            if members.backwards:
                whole = self._made(_aten.flip.default, [dialect.held(whole), [0]], whole, whole.shape)
            found.append(whole)
        return found

    def _made(self, overload: Any, args: Sequence[Any], like: ir.Value, shape: Any) -> ir.Value:
        output = ir.Value(type=like.type, shape=None if shape is None else ir.Shape(shape))
        self._encode(overload, args, [output])
        return output

    def _rows(self, member: Any, dim: int, result: ir.Value | None) -> ir.Value:
        if not isinstance(member, All):
            old = dialect.held_value(member)
            shape = None if old.shape is None else [*old.shape[:dim], 1, *old.shape[dim:]]
            return self._made(_aten.unsqueeze.default, [member, dim], old, shape)
        whole, *others = self._wholes(member)
        if others:
            parts = [dialect.held(whole), *map(dialect.held, others)]
            assert whole.shape is not None
            rows, *rest = whole.shape
            whole = self._made(_aten.stack.default, [parts, 1], whole, [rows, len(parts), *rest])
            whole = self._made(
                _aten.flatten.using_ints, [dialect.held(whole), 0, 1], whole, [self.names.take("size"), *rest]
            )
        return self._moved(whole, dim, result)

    def _moved(self, whole: ir.Value, dim: int, result: ir.Value | None) -> ir.Value:
        """Return a tensor whose first dimension has become its dimension `dim`."""
        assert whole.shape is not None
        if dim == 0 and result is None:
            return whole
        order = [*range(1, dim + 1), 0, *range(dim + 1, len(whole.shape))]
        output = result or ir.Value(type=whole.type, shape=ir.Shape([whole.shape[place] for place in order]))
        self._encode(_aten.permute.default, [dialect.held(whole), order], [output])
        return output

    def _joint(self, member: Any, dim: int, result: ir.Value | None) -> ir.Value:
        if not isinstance(member, All):
            return dialect.held_value(member)
        whole, *others = self._wholes(member)
        assert whole.shape is not None
        if others:
            parts = [dialect.held(whole), *map(dialect.held, others)]
            shape: list[Any] = list(whole.shape)
            shape[dim + 1] = self.names.take("size")
            whole = self._made(_aten.cat.default, [parts, dim + 1], whole, shape)
        moved = self._moved(whole, dim, None)
        shape = list(moved.shape or ())
        shape[dim : dim + 2] = [shape[dim] if shape[dim + 1] == 1 else self.names.take("size")]
        output = result or ir.Value(type=whole.type, shape=ir.Shape(shape))
        self._encode(_aten.flatten.using_ints, [dialect.held(moved), dim, dim + 1], [output])
        return output


def _flat(operands: Sequence[Any]) -> list[Any]:
    """Return operands with the members of lists and the first values of what loops carry among them."""
    found: list[Any] = []
    for operand in operands:
        if isinstance(operand, tuple):
            found.extend(_flat(operand))
            continue
        found.append(operand)
        if isinstance(operand, Before):
            found.extend(_flat([operand.initial]))
    return found
