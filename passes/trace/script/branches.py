# SPDX-License-Identifier: Apache-2.0
"""`if` in TorchScript: one side where the condition is known, `prim::If` where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.control_flow import body_graph, distinct_outputs, forget, if_node, sequence_node
from lading.passes.trace.recorder import Body, type_of
from lading.passes.trace.script import columns, lists
from lading.passes.trace.script.numbers import is_number, kind_of, new_integer, value_of
from lading.passes.trace.script.programs import Program, Step
from lading.passes.trace.script.snapshots import Snapshot, rebind
from lading.passes.trace.script.tables import primitive
from lading.passes.trace.script.values import (
    Appended,
    Chain,
    Columns,
    Items,
    List,
    ListRead,
    Maybe,
    NotUniform,
    Number,
    Raised,
    Stack,
    Unset,
    Unusable,
    plain_number,
)

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


@primitive("If")
def run_if(interpreter: Interpreter, step: Step, condition: Any) -> Any:
    """Run the side that is known to be taken, or write both."""
    settled = interpreter.decide(condition)
    if settled is not None:
        return _run_side(interpreter, step.blocks[0 if settled else 1])
    return _Choice(interpreter, step, condition).result()


def _run_side(interpreter: Interpreter, program: Program) -> Any:
    interpreter.run(program)
    values = interpreter.values(program.outputs)
    return values[0] if len(values) == 1 else values


@attrs.define(eq=False)
class _Side:
    """What one side of a choice has done."""

    body: Body
    values: list[Any]
    tensors: dict[int, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = attrs.field(factory=dict)
    lists: dict[int, tuple[List, Any, Any]] = attrs.field(factory=dict)
    dicts: dict[int, Any] = attrs.field(factory=dict)
    attributes: dict[tuple[int, str], Any] = attrs.field(factory=dict)
    raised: Raised | None = None


class _Choice:
    """One `if` on a condition of the run."""

    def __init__(self, interpreter: Interpreter, step: Step, condition: Any) -> None:
        self.interpreter = interpreter
        self.recorder = interpreter.recorder
        self.step = step
        self.condition = condition

    def result(self) -> Any:
        """Run both sides and join what they give."""
        interpreter, step = self.interpreter, self.step
        condition = value_of(interpreter, self.condition)
        then_side, else_side = (
            self._run(program, taken) for program, taken in zip(step.blocks, (True, False), strict=False)
        )
        if then_side.raised is not None and else_side.raised is not None:
            raise then_side.raised
        for side, other in ((then_side, 1), (else_side, 0)):
            if side.raised is not None:
                interpreter.decided("assertion left out", f"the file takes it to hold: {side.raised.message}")
                with self._assuming(other == 0):
                    return _run_side(interpreter, step.blocks[other])
        join = Join(interpreter, then_side.body, else_side.body)
        joined = [self._joined_bools(a, b, join) for a, b in zip(then_side.values, else_side.values, strict=True)]
        changes = self._join_changes(join, then_side, else_side)
        join.write(condition)
        changes.apply(interpreter)
        return joined[0] if len(joined) == 1 else joined

    def _joined_bools(self, a: Any, b: Any, join: Join) -> Any:
        if a is True and b is False:
            return self.condition
        if a is False and b is True:
            from lading.passes.trace.script.arithmetic import negated

            return negated(self.interpreter, self.condition)
        return join.of(a, b)

    def _assuming(self, taken: bool) -> Any:
        return assuming(self.interpreter, self.condition, taken)

    def _run(self, program: Program, taken: bool) -> _Side:
        interpreter = self.interpreter
        snapshot = Snapshot(interpreter)
        around = set(interpreter.frame.variables)
        side = _Side(self.recorder.open_body(), [])
        with self.recorder.inside(side.body), self._assuming(taken):
            try:
                interpreter.run(program)
                side.values = interpreter.values(program.outputs)
            except Raised as raised:
                side.raised = raised
                forget(side.body.nodes)
            side.tensors = {id(change[0]): change for change in snapshot.written_tensors()}
        side.lists = {id(change[0]): change for change in snapshot.changed_lists()}
        side.dicts = {id(change[0]): change for change in snapshot.changed_dicts()}
        side.attributes = {(id(change[0]), change[1]): change for change in snapshot.changed_attributes()}
        interpreter.forget_all_but(around)
        snapshot.put_back()
        return side

    def _join_changes(self, join: Join, then_side: _Side, else_side: _Side) -> Changes:
        changes = Changes()
        for key in {**then_side.tensors, **else_side.tensors}:
            tensor, before, _ = then_side.tensors.get(key) or else_side.tensors[key]
            after = [side.tensors[key][2] if key in side.tensors else before for side in (then_side, else_side)]
            changes.tensors.append((tensor, torch_private.unwrap_functional(join.fakes(*after))))
        for key in {**then_side.lists, **else_side.lists}:
            subject, before, _ = then_side.lists.get(key) or else_side.lists[key]
            states = [side.lists[key][2] if key in side.lists else before for side in (then_side, else_side)]
            changes.lists.append((subject, join.states(subject, *states)))
        for key in {**then_side.dicts, **else_side.dicts}:
            content, earlier, _ = then_side.dicts.get(key) or else_side.dicts[key]
            contents = [side.dicts[key][2] if key in side.dicts else earlier for side in (then_side, else_side)]
            changes.dicts.append((content, join.dicts(*contents)))
        for place in {**then_side.attributes, **else_side.attributes}:
            holder, name, held, _ = then_side.attributes.get(place) or else_side.attributes[place]
            values = [
                side.attributes[place][3] if place in side.attributes else held for side in (then_side, else_side)
            ]
            changes.entries.append((holder.written, name, join.of(*values)))
        return changes


@attrs.define(eq=False)
class Changes:
    """What control flow has changed outside of its bodies."""

    tensors: list[tuple[torch.Tensor, torch.Tensor]] = attrs.field(factory=list)
    lists: list[tuple[List, Any]] = attrs.field(factory=list)
    dicts: list[tuple[dict[Any, Any], dict[Any, Any]]] = attrs.field(factory=list)
    entries: list[tuple[dict[Any, Any], Any, Any]] = attrs.field(factory=list)

    def apply(self, interpreter: Interpreter) -> None:
        """Make the changes visible to what follows."""
        rebind(interpreter, self.tensors)
        for subject, state in self.lists:
            subject.state = state
        for content, now in self.dicts:
            content.clear()
            content.update(now)
        for holder, key, value in self.entries:
            holder[key] = value


@contextlib.contextmanager
def assuming(interpreter: Interpreter, condition: Any, holds: bool) -> Iterator[None]:
    """Let a condition of the run be known to hold, or not to, while the context is open."""
    table = interpreter.assumed
    facts: dict[Any, bool]
    with contextlib.ExitStack() as stack:
        if isinstance(condition, torch.SymBool):
            expression, opposite = condition.node.expr, torch.sym_not(condition).node.expr
            facts = {expression: holds, opposite: not holds}
            stack.enter_context(interpreter.axes.supposing(expression if holds else opposite))
        else:
            facts = {id(condition): holds}
        before = {key: table.get(key) for key in facts}
        table.update(facts)
        try:
            yield
        finally:
            for key, value in before.items():
                if value is None:
                    del table[key]
                else:
                    table[key] = value


class Join:
    """Makes one value of two, each made in a body of its own, by an output of an If."""

    def __init__(self, interpreter: Interpreter, then_body: Body, else_body: Body) -> None:
        self.interpreter = interpreter
        self.recorder = interpreter.recorder
        self.bodies = (then_body, else_body)
        self._outputs: list[ir.Value] = []
        self._given: tuple[list[ir.Value], list[ir.Value]] = ([], [])
        self._lists: dict[tuple[int, int], List] = {}

    def write(self, condition: ir.Value) -> None:
        """Append the If."""
        graphs = []
        for kind, body, given in zip(("then", "else"), self.bodies, self._given, strict=True):
            with self.recorder.inside(body):
                outputs = close_outputs(self.interpreter, body, given, kind)
            graphs.append(body_graph([], outputs, prune(body.nodes, outputs), self.interpreter.names.take(kind)))
        if self._outputs:
            self.recorder.append(if_node(condition, graphs[0], graphs[1], self._outputs))

    # ---- by kind -----------------------------------------------------------------------------------------------------

    def of(self, a: Any, b: Any) -> Any:
        """Return the value that is `a` on one side and `b` on the other."""
        if a is b:
            return a
        if isinstance(a, Unusable):
            return a
        if isinstance(b, Unusable):
            return b
        if isinstance(a, Unset) or isinstance(b, Unset):
            return self._unset(a, b)
        if a is None or b is None or isinstance(a, Maybe) or isinstance(b, Maybe):
            return self._maybe(a, b)
        if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
            return self.tensors(a, b)
        if is_number(a) and is_number(b):
            return self.numbers(a, b)
        if isinstance(a, List) and isinstance(b, List):
            return self._lists_of(a, b)
        if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
            members = [self.of(one, other) for one, other in zip(a, b, strict=True)]
            return type(a)(*members) if hasattr(a, "_fields") else tuple(members)
        if isinstance(a, dict) and isinstance(b, dict):
            return self.dicts(a, b)
        if type(a) is type(b) and a == b:
            return a
        return Unusable("a value differs in kind between the sides of an if that only the run decides")

    def dicts(self, a: dict[Any, Any], b: dict[Any, Any]) -> Any:
        """Return a dict whose values are joined by key."""
        if a.keys() != b.keys():
            raise self.interpreter.cannot("a dict has other keys on the other side of an if that only the run decides")
        return {key: self.of(a[key], b[key]) for key in a}

    def _maybe(self, a: Any, b: Any) -> Any:
        present = [value.present if isinstance(value, Maybe) else value is not None for value in (a, b)]
        values = [value.value if isinstance(value, Maybe) else Unset() if value is None else value for value in (a, b)]
        return Maybe(self.of(*present), self.of(*values))

    def _unset(self, a: Any, b: Any) -> Any:
        """Return the side that is set; the other one gives something of the same type that nobody reads."""
        side, known = (1, b) if isinstance(a, Unset) else (0, a)
        body = self.bodies[1 - side]
        if isinstance(known, Unset):
            return known
        with self.recorder.inside(body):
            filler = filler_like(self.interpreter, known)
        if filler is None:
            return known
        return self.of(filler, known) if side else self.of(known, filler)

    def numbers(self, a: Any, b: Any) -> Any:
        """Return a number that is one of two."""
        if isinstance(a, (bool, int, float)) and type(a) is type(b) and a == b:
            return a
        if isinstance(a, torch.SymInt) and isinstance(b, torch.SymInt) and a.node.expr == b.node.expr:
            return a
        kind = kind_of(a)
        if kind is not kind_of(b):
            return Unusable("a number is of another kind on the other side of an if that only the run decides")
        dtype = {bool: torch.bool, int: torch.int64, float: torch.float64}[kind]
        output = ir.Value(type=type_of(dtype), shape=ir.Shape(()))
        for body, given, value in zip(self.bodies, self._given, (a, b), strict=True):
            with self.recorder.inside(body):
                given.append(value_of(self.interpreter, value))
        self._outputs.append(output)
        if kind is int:
            return new_integer(self.interpreter, output)
        return Number(self.interpreter.standing_for(output, (), dtype), kind)

    def tensors(self, a: torch.Tensor, b: torch.Tensor) -> Any:
        """Return a tensor that is one of two, known by what both have in common."""
        if a.dtype != b.dtype:
            return Unusable(
                f"a tensor is {dtype_name(a)} on one side of an if that only the run decides and {dtype_name(b)} on "
                "the other, and a graph has one type for each value"
            )
        if a.dim() != b.dim():
            return Unusable(
                f"a tensor has {a.dim()} dimensions on one side of an if that only the run decides and {b.dim()} on "
                "the other, and a graph has one rank for each value"
            )
        inner = []
        for body, tensor in zip(self.bodies, (a, b), strict=True):
            with self.recorder.inside(body):
                self.interpreter.read(tensor)
                inner.append(torch_private.unwrap_functional(tensor) if torch_private.is_functional(tensor) else tensor)
        joined = self.fakes(*inner)
        for tensor in (a, b):
            self.interpreter.aliases.add(tensor, joined)
        return joined

    def fakes(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Join two fake tensors that no longer have a wrapper."""
        if a.dim() != b.dim():
            raise self.interpreter.cannot("a tensor changes its rank in an if that only the run decides")
        for body, given, inner in zip(self.bodies, self._given, (a, b), strict=True):
            with self.recorder.inside(body):
                given.append(self.recorder.value_of(inner))
        dims = [one if lists.same_size(one, other) else None for one, other in zip(a.shape, b.shape, strict=True)]
        tensor, value = self.interpreter.new_placed(dims, a.dtype)
        self._outputs.append(value)
        return tensor

    # ---- lists -------------------------------------------------------------------------------------------------------

    def _lists_of(self, a: List, b: List) -> List:
        known = self._lists.get((id(a), id(b)))
        if known is None:
            known = self._lists[(id(a), id(b))] = List()
            known.state = self.states(known, a.state, b.state)
        return known

    def states(self, subject: List, a: Any, b: Any) -> Any:
        """Return the state of a list that is one of two."""
        if isinstance(a, Appended) or isinstance(b, Appended):
            if isinstance(a, Appended) and isinstance(b, Appended) and len(a.added) == len(b.added):
                return Appended(tuple(self.of(one, other) for one, other in zip(a.added, b.added, strict=True)))
            raise ListRead(subject)
        if isinstance(a, Items) and isinstance(b, Items) and len(a.members) == len(b.members):
            return Items(tuple(self.of(one, other) for one, other in zip(a.members, b.members, strict=True)))
        for state in (a, b):
            self.interpreter.aliases.add_members(state, subject)
        shape = columns.shape_in(a) or columns.shape_in(b)
        if shape is not None:
            pairs = zip(columns.of(a, shape).lists, columns.of(b, shape).lists, strict=True)
            return Columns(tuple(self._lists_of(one, other) for one, other in pairs), shape)
        try:
            return self._as_stacks(a, b)
        except NotUniform:
            return self._as_chains(a, b)

    def _as_stacks(self, a: Any, b: Any) -> Stack:
        stacks: list[Stack] = []
        for body, state, other in zip(self.bodies, (a, b), (b, a), strict=True):
            with self.recorder.inside(body):
                stacks.append(stack_like(self.interpreter, state, other))
        if stacks[0].kind is not stacks[1].kind or stacks[0].tensor.dtype != stacks[1].tensor.dtype:
            raise NotUniform(None)
        if not lists.same_dims(stacks[0].tensor.shape[1:], stacks[1].tensor.shape[1:]):
            raise NotUniform(None)
        return Stack(self.tensors(stacks[0].tensor, stacks[1].tensor), stacks[0].kind)

    def _as_chains(self, a: Any, b: Any) -> Chain:
        chains: list[Chain] = []
        for body, state, other in zip(self.bodies, (a, b), (b, a), strict=True):
            holder = List()
            holder.state = state
            with self.recorder.inside(body):
                chains.append(lists.chained(self.interpreter, holder, like_of(other)))
        for given, chain in zip(self._given, chains, strict=True):
            given.append(chain.value)
        output = ir.Value(type=ir.SequenceType(type_of(chains[0].dtype)))
        self._outputs.append(output)
        dims = lists.common_dims(self.interpreter, chains[0].dims, chains[1].dims)
        return Chain(output, chains[0].dtype, dims)


def dtype_name(tensor: torch.Tensor) -> str:
    """Return a tensor's dtype without `torch.`."""
    return str(tensor.dtype).removeprefix("torch.")


def like_of(state: Any) -> tuple[torch.dtype, tuple[Any, ...]] | None:
    """Return dtype and sizes of the members of a list of tensors, None for an empty one."""
    if isinstance(state, Chain):
        return state.dtype, state.dims
    if isinstance(state, Stack):
        return state.tensor.dtype, tuple(state.tensor.shape[1:])
    if isinstance(state, Items) and state.members and isinstance(state.members[0], torch.Tensor):
        return state.members[0].dtype, tuple(state.members[0].shape)
    return None


def stack_like(interpreter: Interpreter, state: Any, other: Any) -> Stack:
    """Return a list's state as one tensor; an empty list takes the type of its members from `other`."""
    if isinstance(state, Items) and not state.members:
        like = like_of(other)
        if like is None:
            if isinstance(other, Items) and other.members and is_number(other.members[0]):
                kind = kind_of(other.members[0])
                return Stack(torch.zeros([0], dtype=lists.as_dtype(kind)), kind)
            raise NotUniform(None)
        kind = other.kind if isinstance(other, Stack) else torch.Tensor
        return Stack(torch.zeros([0, *like[1]], dtype=like[0]), kind)
    holder = List()
    holder.state = state
    return lists.stacked(interpreter, holder)


def filler_like(interpreter: Interpreter, known: Any) -> Any:
    """Return something of the type of a value, for a path on which nobody reads it; None where the value does."""
    if isinstance(known, torch.Tensor):
        shape = [size if isinstance(size, int) else 1 for size in known.shape]
        return torch.zeros(shape, dtype=known.dtype)
    if is_number(known):
        kind = kind_of(known)
        return plain_number(kind(0))
    if isinstance(known, tuple):
        members = [filler_like(interpreter, member) for member in known]
        members = [one if filler is None else filler for one, filler in zip(known, members, strict=True)]
        return type(known)(*members) if hasattr(known, "_fields") else tuple(members)
    if isinstance(known, Maybe):
        value = filler_like(interpreter, known.value)
        return Maybe(False, known.value if value is None else value)
    if isinstance(known, List) and isinstance(known.state, Items):
        fillers = [filler_like(interpreter, member) for member in known.state.members]
        return List(
            [one if filler is None else filler for one, filler in zip(known.state.members, fillers, strict=False)]
        )
    return None


def close_outputs(interpreter: Interpreter, body: Body, given: Sequence[ir.Value], kind: str) -> list[ir.Value]:
    """Return a body's outputs as distinct values that its nodes make, named."""
    made = {value for node in body.nodes for value in node.outputs}
    outputs = distinct_outputs(given, made, lambda value: _handed_on(interpreter, value))
    for value in outputs:
        value.name = interpreter.names.take(kind)
    return outputs


def _handed_on(interpreter: Interpreter, value: ir.Value) -> ir.Value:
    if not isinstance(value.type, ir.SequenceType):
        return interpreter.recorder.alias(value)
    output = ir.Value(type=value.type)
    interpreter.recorder.append(sequence_node("SequencePass", [value], output))
    return output


def prune(nodes: list[ir.Node], outputs: Sequence[ir.Value]) -> list[ir.Node]:
    """Drop the nodes of a body whose results nothing in it uses."""
    needed = set(outputs)
    kept: list[ir.Node] = []
    for node in reversed(nodes):
        if any(output in needed or output.uses() for output in node.outputs):
            kept.append(node)
        else:
            forget([node])
    return kept[::-1]
