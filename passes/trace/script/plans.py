# SPDX-License-Identifier: Apache-2.0
"""How one variable behaves in a loop that only the run can count: kept, or carried in one or more slots.

The plans are found by trial: at first every variable is taken to be the same in each iteration; the body runs, and what
it changed is planned more widely (a number, a tensor, a tensor with a size that changes, an Optional), until nothing
changes any more. Each widening goes one way, so this ends.
"""

# ruff: noqa: D102 - the class Plan says what the methods of every plan do

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import attrs
import onnx_ir as ir
import torch
from lading.passes.trace.recorder import Body, type_of
from lading.passes.trace.script import lists
from lading.passes.trace.script.numbers import DTYPES, is_number, kind_of, new_integer, value_of
from lading.passes.trace.script.values import List, Maybe, Number, Unset, Unusable

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


class TypeChanges(Exception):
    """A variable has another type after an iteration than before."""


@attrs.frozen
class Slot:
    """One carried value: what it is before the loop, inside, and after an iteration."""

    initial: ir.Value
    inside: ir.Value


@attrs.define(eq=False)
class Slots:
    """The slots of one trial in order, what the body gives for each, and what the loop gives for each."""

    interpreter: Interpreter
    body: Body
    carried: list[Slot] = attrs.field(factory=list)
    given: list[ir.Value] = attrs.field(factory=list)
    after: list[ir.Value] = attrs.field(factory=list)

    def inside(self) -> AbstractContextManager[None]:
        """Return a context in which the body is written."""
        return self.interpreter.recorder.inside(self.body)


class Plan:
    """How one variable behaves. `enter` opens its slots, `widen` compares, `give` closes them, `leave` reads them."""

    def enter(self, slots: Slots, initial: Any) -> Any:
        """Return the variable at the start of an iteration, taking the slots that it needs."""
        raise NotImplementedError

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        """Return the plan that covers what an iteration has made of the variable; itself where it does."""
        raise NotImplementedError

    def give(self, slots: Slots, out: Any) -> None:
        """Add what the body gives for the slots, in the order of `enter`."""
        raise NotImplementedError

    def leave(self, slots: Slots, initial: Any) -> Any:
        """Return the variable after the loop."""
        raise NotImplementedError


@attrs.frozen(eq=False)
class Keep(Plan):
    """The same in every iteration."""

    def enter(self, slots: Slots, initial: Any) -> Any:
        return initial

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        return self if same(interpreter, initial, out) else plan_for(interpreter, initial, out)

    def give(self, slots: Slots, out: Any) -> None:
        return

    def leave(self, slots: Slots, initial: Any) -> Any:
        return initial


@attrs.frozen(eq=False)
class Lost(Plan):
    """Something that a graph cannot carry; an error only if it is used."""

    why: str

    def enter(self, slots: Slots, initial: Any) -> Any:
        return Unusable(self.why)

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        return self

    def give(self, slots: Slots, out: Any) -> None:
        return

    def leave(self, slots: Slots, initial: Any) -> Any:
        return Unusable(self.why)


@attrs.frozen(eq=False)
class CarryTensor(Plan):
    """A tensor; sizes that are None change from iteration to iteration."""

    dtype: torch.dtype
    dims: tuple[Any, ...]

    def enter(self, slots: Slots, initial: Any) -> Any:
        interpreter = slots.interpreter
        if not isinstance(initial, torch.Tensor):
            initial = torch.zeros([size if isinstance(size, int) else 1 for size in self.dims], dtype=self.dtype)
        before = interpreter.tensor_value(initial)
        with slots.inside():
            tensor, value = interpreter.new_placed(self.dims, self.dtype)
        slots.carried.append(Slot(before, value))
        return tensor

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        if out is None or isinstance(out, Maybe):
            return CarryMaybe(CarryNumber(bool), self)
        if isinstance(out, Unset):
            return self
        check_types(inside, out)
        dims = tuple(
            planned if planned is not None and lists.same_size(before, after) else None
            for planned, before, after in zip(self.dims, inside.shape, out.shape, strict=True)
        )
        changed = any(a is not b for a, b in zip(dims, self.dims, strict=True))
        return CarryTensor(self.dtype, dims) if changed else self

    def give(self, slots: Slots, out: Any) -> None:
        if isinstance(out, Unset):
            out = torch.zeros([size if isinstance(size, int) else 1 for size in self.dims], dtype=self.dtype)
        slots.given.append(slots.interpreter.tensor_value(out))

    def leave(self, slots: Slots, initial: Any) -> Any:
        tensor, value = slots.interpreter.new_placed(self.dims, self.dtype)
        slots.after.append(value)
        return tensor


@attrs.frozen(eq=False)
class CarryNumber(Plan):
    """A number that changes."""

    kind: type

    def enter(self, slots: Slots, initial: Any) -> Any:
        interpreter = slots.interpreter
        start = initial if is_number(initial) else self.kind(0)
        inside = ir.Value(type=type_of(DTYPES[self.kind]), shape=ir.Shape(()))
        slots.carried.append(Slot(value_of(interpreter, start), inside))
        with slots.inside():
            return self._number(interpreter, inside)

    def _number(self, interpreter: Interpreter, value: ir.Value) -> Any:
        if self.kind is int:
            return new_integer(interpreter, value)
        return Number(interpreter.standing_for(value, (), DTYPES[self.kind]), self.kind)

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        if out is None or isinstance(out, Maybe):
            return CarryMaybe(CarryNumber(bool), self)
        if not isinstance(out, Unset) and (not is_number(out) or kind_of(out) is not self.kind):
            return Lost("a number changes its kind in a loop that only the run can count")
        return self

    def give(self, slots: Slots, out: Any) -> None:
        slots.given.append(value_of(slots.interpreter, self.kind(0) if isinstance(out, Unset) else out))

    def leave(self, slots: Slots, initial: Any) -> Any:
        value = ir.Value(type=type_of(DTYPES[self.kind]), shape=ir.Shape(()))
        slots.after.append(value)
        return self._number(slots.interpreter, value)


@attrs.frozen(eq=False)
class CarryMaybe(Plan):
    """An Optional that may or may not be there."""

    present: Plan
    value: Plan

    def enter(self, slots: Slots, initial: Any) -> Any:
        present, value = taken_apart(initial)
        return Maybe(self.present.enter(slots, present), self.value.enter(slots, value))

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        (present, value), (after, content) = taken_apart(initial), taken_apart(out)
        first = self.present.widen(interpreter, present, inside.present, after)
        second = self.value
        if not isinstance(content, Unset):
            second = self.value.widen(interpreter, value, inside.value, content)
        return self if first is self.present and second is self.value else CarryMaybe(first, second)

    def give(self, slots: Slots, out: Any) -> None:
        present, value = taken_apart(out)
        self.present.give(slots, present)
        self.value.give(slots, value)

    def leave(self, slots: Slots, initial: Any) -> Any:
        present, value = taken_apart(initial)
        return Maybe(self.present.leave(slots, present), self.value.leave(slots, value))


def taken_apart(value: Any) -> tuple[Any, Any]:
    """Return whether an Optional is there, and its value."""
    if isinstance(value, Maybe):
        return value.present, value.value
    return (False, Unset()) if value is None else (True, value)


@attrs.frozen(eq=False)
class CarryTuple(Plan):
    """A tuple, member by member."""

    members: tuple[Plan, ...]
    make: Callable[[Iterable[Any]], Any]

    def _parts(self, value: Any) -> Any:
        return [Unset()] * len(self.members) if isinstance(value, Unset) else value

    def enter(self, slots: Slots, initial: Any) -> Any:
        parts = self._parts(initial)
        return self.make([plan.enter(slots, part) for plan, part in zip(self.members, parts, strict=True)])

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        if not isinstance(out, (tuple, Unset)):
            return Lost("a tuple becomes something else in a loop that only the run can count")
        members = tuple(
            plan.widen(interpreter, before, within, after)
            for plan, before, within, after in zip(
                self.members, self._parts(initial), inside, self._parts(out), strict=True
            )
        )
        changed = any(a is not b for a, b in zip(members, self.members, strict=True))
        return CarryTuple(members, self.make) if changed else self

    def give(self, slots: Slots, out: Any) -> None:
        for plan, part in zip(self.members, self._parts(out), strict=True):
            plan.give(slots, part)

    def leave(self, slots: Slots, initial: Any) -> Any:
        parts = self._parts(initial)
        return self.make([plan.leave(slots, part) for plan, part in zip(self.members, parts, strict=True)])


# ---- finding plans ---------------------------------------------------------------------------------------------------


def same(interpreter: Interpreter, before: Any, after: Any) -> bool:
    """Whether a variable is after an iteration what it was before."""
    if before is after:
        return True
    if isinstance(before, Unset) and isinstance(after, Unset):
        return True
    if isinstance(before, torch.Tensor) and isinstance(after, torch.Tensor):
        return interpreter.tensor_value(before) is interpreter.tensor_value(after)
    if isinstance(before, torch.SymInt) and isinstance(after, torch.SymInt):
        return bool(before.node.expr == after.node.expr)
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        return all(same(interpreter, a, b) for a, b in zip(before, after, strict=True))
    plain = (bool, int, float, str, torch.dtype, torch.device)
    return isinstance(before, plain) and type(before) is type(after) and before == after


def check_types(before: torch.Tensor, after: Any) -> None:
    """See that a tensor stays a tensor of the same dtype and rank.

    Raises:
        TypeChanges: it does not.
    """
    if not isinstance(after, torch.Tensor):
        raise TypeChanges("a tensor becomes something else")
    if before.dtype != after.dtype:
        raise TypeChanges(f"a tensor of {str(before.dtype)[6:]} becomes one of {str(after.dtype)[6:]}")
    if before.dim() != after.dim():
        raise TypeChanges(f"a tensor of {before.dim()} dimensions becomes one of {after.dim()}")


def plan_for(interpreter: Interpreter, before: Any, after: Any) -> Plan:
    """Return the plan for a variable that an iteration changes.

    Raises:
        TypeChanges: it changes its dtype or rank.
    """
    if isinstance(after, Unset):
        before, after = after, before
    if isinstance(before, Unset):
        return plan_like(interpreter, after)
    if before is None or after is None or isinstance(before, Maybe) or isinstance(after, Maybe):
        (_, first), (_, second) = taken_apart(before), taken_apart(after)
        return CarryMaybe(CarryNumber(bool), plan_for(interpreter, first, second))
    if isinstance(before, torch.Tensor):
        check_types(before, after)
        dims = [a if lists.same_size(a, b) else None for a, b in zip(before.shape, after.shape, strict=True)]
        return CarryTensor(before.dtype, tuple(outer_dims(interpreter, dims)))
    if is_number(before) and is_number(after):
        kind = kind_of(before)
        if kind is not kind_of(after):
            raise TypeChanges(f"a number of kind {kind.__name__} becomes one of kind {kind_of(after).__name__}")
        return CarryNumber(kind)
    if isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        members = tuple(
            Keep() if same(interpreter, a, b) else plan_for(interpreter, a, b)
            for a, b in zip(before, after, strict=True)
        )
        kind_made = type(before)
        return CarryTuple(members, kind_made._make if hasattr(kind_made, "_make") else tuple)
    if isinstance(before, List) and isinstance(after, List):
        from lading.passes.trace.script.list_plans import CarryList, state_plan

        return CarryList(state_plan(interpreter, before.state, after.state, grows=True))
    return Lost("a variable changes in a loop that only the run can count, and a graph cannot carry its kind")


def plan_like(interpreter: Interpreter, value: Any) -> Plan:
    """Return the plan for a variable that is not set before the loop, and is a value of this kind in it."""
    if isinstance(value, Maybe):
        return CarryMaybe(CarryNumber(bool), plan_like(interpreter, value.value))
    if isinstance(value, torch.Tensor):
        return CarryTensor(value.dtype, tuple(outer_dims(interpreter, value.shape)))
    if is_number(value):
        return CarryNumber(kind_of(value))
    if isinstance(value, tuple):
        make = value._make if hasattr(value, "_make") else tuple
        return CarryTuple(tuple(plan_like(interpreter, member) for member in value), make)
    if isinstance(value, Unset) or value is None:
        return Keep()
    return Lost("a variable is first set in a loop that only the run can count, and a graph cannot carry its kind")


def outer_dims(interpreter: Interpreter, dims: Iterable[Any]) -> list[Any]:
    """Return sizes with None for one that only the body knows."""
    return [dim if dim is None or interpreter.known_outside(dim) else None for dim in dims]
