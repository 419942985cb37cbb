# SPDX-License-Identifier: Apache-2.0
"""How a list behaves in a loop that only the run can count: kept, appended to, or carried in one of its forms."""

# ruff: noqa: D102 - the class Plan says what the methods of every plan do

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import onnx_ir as ir
import torch
from lading.passes.trace.recorder import type_of
from lading.passes.trace.script import columns, lists
from lading.passes.trace.script.branches import like_of, stack_like
from lading.passes.trace.script.numbers import is_number, kind_of
from lading.passes.trace.script.plans import (
    CarryTensor,
    Keep,
    Plan,
    Slot,
    Slots,
    TypeChanges,
    outer_dims,
    plan_for,
    same,
)
from lading.passes.trace.script.values import Appended, Chain, Columns, Items, List, NotUniform, Stack

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


@attrs.frozen(eq=False)
class CarryList(Plan):
    """A list that a loop replaces by another one: the plan of its state."""

    state: Plan

    def enter(self, slots: Slots, initial: Any) -> Any:
        return _list(self.state.enter(slots, initial.state))

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        state = self.state.widen(interpreter, initial.state, inside.state, out.state)
        return self if state is self.state else CarryList(state)

    def give(self, slots: Slots, out: Any) -> None:
        self.state.give(slots, out.state)

    def leave(self, slots: Slots, initial: Any) -> Any:
        return _list(self.state.leave(slots, initial.state))


def _list(state: Any) -> List:
    made = List()
    made.state = state
    return made


# ---- states of lists -------------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class KeepState(Plan):
    """A list that no iteration changes."""

    def enter(self, slots: Slots, initial: Any) -> Any:
        return initial

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        return self if initial is out else state_plan(interpreter, initial, out)

    def give(self, slots: Slots, out: Any) -> None:
        return

    def leave(self, slots: Slots, initial: Any) -> Any:
        return initial


@attrs.frozen(eq=False)
class CarryItems(Plan):
    """A list that keeps its length: member by member."""

    members: tuple[Plan, ...]

    def enter(self, slots: Slots, initial: Any) -> Any:
        return Items(tuple(plan.enter(slots, one) for plan, one in zip(self.members, initial.members, strict=True)))

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        if not isinstance(out, Items) or len(out.members) != len(self.members):
            return state_plan(interpreter, initial, out, grows=True)
        members = tuple(
            plan.widen(interpreter, before, within, after)
            for plan, before, within, after in zip(
                self.members, initial.members, inside.members, out.members, strict=True
            )
        )
        changed = any(a is not b for a, b in zip(members, self.members, strict=True))
        return CarryItems(members) if changed else self

    def give(self, slots: Slots, out: Any) -> None:
        for plan, one in zip(self.members, out.members, strict=True):
            plan.give(slots, one)

    def leave(self, slots: Slots, initial: Any) -> Any:
        return Items(tuple(plan.leave(slots, one) for plan, one in zip(self.members, initial.members, strict=True)))


@attrs.frozen(eq=False)
class CarryStack(Plan):
    """A list whose members are alike, as one tensor that grows or shrinks."""

    kind: type
    dtype: torch.dtype
    dims: tuple[Any, ...]

    def enter(self, slots: Slots, initial: Any) -> Any:
        interpreter = slots.interpreter
        sample = Stack(torch.zeros([0, *self.dims], dtype=self.dtype), self.kind)
        whole = stack_like(interpreter, initial, sample)
        return Stack(CarryTensor(self.dtype, (None, *self.dims)).enter(slots, whole.tensor), self.kind)

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        if isinstance(out, Items):
            if not out.members:
                return self
            out = lists.stacked(interpreter, _list(out))
        if isinstance(out, Chain) or not lists.same_dims(out.tensor.shape[1:], self.dims):
            raise NotUniform(None)
        return self

    def give(self, slots: Slots, out: Any) -> None:
        whole = stack_like(slots.interpreter, out, Stack(torch.zeros([0, *self.dims], dtype=self.dtype), self.kind))
        slots.given.append(slots.interpreter.tensor_value(whole.tensor))

    def leave(self, slots: Slots, initial: Any) -> Any:
        return Stack(CarryTensor(self.dtype, (None, *self.dims)).leave(slots, None), self.kind)


@attrs.frozen(eq=False)
class CarryChain(Plan):
    """A list whose members differ in shape, as a sequence."""

    dtype: torch.dtype
    dims: tuple[Any, ...]

    def enter(self, slots: Slots, initial: Any) -> Any:
        interpreter = slots.interpreter
        chain = lists.chained(interpreter, _list(initial), (self.dtype, self.dims))
        inside = ir.Value(type=ir.SequenceType(type_of(self.dtype)))
        slots.carried.append(Slot(chain.value, inside))
        return Chain(inside, self.dtype, self.dims)

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        dims = self._common(interpreter, initial)
        like = like_of(out)
        if like is not None:
            after = lists.common_dims(interpreter, dims, like[1])
            dims = tuple(a if a is not None else None for a in after)
        changed = any(a is not b for a, b in zip(dims, self.dims, strict=True))
        return CarryChain(self.dtype, dims) if changed else self

    def _common(self, interpreter: Interpreter, initial: Any) -> tuple[Any, ...]:
        dims = self.dims
        members = initial.members if isinstance(initial, Items) else ()
        for member in members:
            dims = lists.common_dims(interpreter, dims, member.shape)
        return dims

    def give(self, slots: Slots, out: Any) -> None:
        slots.given.append(lists.chained(slots.interpreter, _list(out), (self.dtype, self.dims)).value)

    def leave(self, slots: Slots, initial: Any) -> Any:
        value = ir.Value(type=ir.SequenceType(type_of(self.dtype)))
        slots.after.append(value)
        return Chain(value, self.dtype, self.dims)


@attrs.frozen(eq=False)
class AppendOnly(Plan):
    """A list that each iteration adds the same number of members to: they are stacked by the loop itself."""

    def enter(self, slots: Slots, initial: Any) -> Any:
        return Appended()

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        return self if isinstance(out, Appended) and out.added else KeepState()

    def give(self, slots: Slots, out: Any) -> None:
        return

    def leave(self, slots: Slots, initial: Any) -> Any:
        return initial  # the loop itself gives what was stacked


@attrs.frozen(eq=False)
class CarryColumns(Plan):
    """A list of tuples that changes its length: column by column."""

    columns: tuple[Plan, ...]
    shape: Any

    def _states(self, state: Any) -> list[Any]:
        return [column.state for column in columns.of(state, self.shape).lists]

    def enter(self, slots: Slots, initial: Any) -> Any:
        states = [plan.enter(slots, one) for plan, one in zip(self.columns, self._states(initial), strict=True)]
        return Columns(tuple(_list(state) for state in states), self.shape)

    def widen(self, interpreter: Interpreter, initial: Any, inside: Any, out: Any) -> Plan:
        widened = tuple(
            plan.widen(interpreter, before, within, after)
            for plan, before, within, after in zip(
                self.columns, self._states(initial), self._states(inside), self._states(out), strict=True
            )
        )
        changed = any(a is not b for a, b in zip(widened, self.columns, strict=True))
        return CarryColumns(widened, self.shape) if changed else self

    def give(self, slots: Slots, out: Any) -> None:
        for plan, one in zip(self.columns, self._states(out), strict=True):
            plan.give(slots, one)

    def leave(self, slots: Slots, initial: Any) -> Any:
        states = [plan.leave(slots, one) for plan, one in zip(self.columns, self._states(initial), strict=True)]
        return Columns(tuple(_list(state) for state in states), self.shape)


# ---- finding plans ---------------------------------------------------------------------------------------------------


def state_plan(interpreter: Interpreter, before: Any, after: Any, *, grows: bool = False) -> Plan:
    """Return the plan for the state of a list that an iteration changes; `grows` rules appending only out."""
    if isinstance(before, Items) and isinstance(after, Items) and len(before.members) == len(after.members):
        return CarryItems(
            tuple(
                Keep() if same(interpreter, a, b) else plan_for(interpreter, a, b)
                for a, b in zip(before.members, after.members, strict=True)
            )
        )
    shape = columns.shape_in(after) or columns.shape_in(before)
    if shape is not None:
        pairs = zip(columns.of(before, shape).lists, columns.of(after, shape).lists, strict=True)
        return CarryColumns(tuple(stack_plan(interpreter, a.state, b.state) for a, b in pairs), shape)
    prefix = before.members if isinstance(before, Items) else None
    if prefix is not None and isinstance(after, Items) and len(after.members) > len(prefix) and not grows:
        unchanged = all(a is b for a, b in zip(prefix, after.members, strict=False))
        if unchanged:
            return AppendOnly()
    if isinstance(before, Stack) and not grows:
        return AppendOnly()
    return stack_plan(interpreter, before, after)


def stack_plan(interpreter: Interpreter, before: Any, after: Any) -> Plan:
    """Return the plan that carries a list as one tensor, or as a sequence where its members differ."""
    if isinstance(before, Chain) or isinstance(after, Chain):
        return chain_plan(interpreter, before, after)
    sample = after if not isinstance(after, Items) or after.members else before
    if isinstance(sample, Items) and sample.members and is_number(sample.members[-1]):
        kind = kind_of(sample.members[-1])
        return CarryStack(kind, lists.as_dtype(kind), ())
    like = like_of(sample)
    if like is None:
        raise TypeChanges("a list changes whose members are no tensors")
    kind = sample.kind if isinstance(sample, Stack) else torch.Tensor
    dims = outer_dims(interpreter, like[1])
    members = [m for state in (before, after) if isinstance(state, Items) for m in state.members]
    uniform = all(lists.same_dims(member.shape, dims) for member in members if isinstance(member, torch.Tensor))
    if None in dims or not uniform:
        return chain_plan(interpreter, before, after)
    return CarryStack(kind, like[0], tuple(dims))


def chain_plan(interpreter: Interpreter, before: Any, after: Any) -> CarryChain:
    """Return the plan that carries a list as a sequence."""
    likes = [like for like in (like_of(before), like_of(after)) if like is not None]
    if not likes:
        raise TypeChanges("a list changes whose members are no tensors")
    dims = likes[0][1]
    for state in (before, after):
        for member in state.members if isinstance(state, Items) else ():
            dims = lists.common_dims(interpreter, dims, member.shape)
    for like in likes:
        dims = lists.common_dims(interpreter, dims, like[1])
    return CarryChain(likes[0][0], tuple(outer_dims(interpreter, dims)))
