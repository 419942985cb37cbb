# SPDX-License-Identifier: Apache-2.0
"""Loops in TorchScript: run iteration by iteration where conditions are known, written as `prim::Loop` where not."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import onnx_ir as ir
import torch
from lading.passes import torch_private
from lading.passes.control_flow import BOOL, INT, body_graph, forget, loop_node
from lading.passes.trace.script import columns, lists
from lading.passes.trace.script.branches import Changes, close_outputs, prune
from lading.passes.trace.script.list_plans import AppendOnly, KeepState, chain_plan, stack_plan, state_plan
from lading.passes.trace.script.numbers import DTYPES, as_tensor, is_number, kind_of, new_integer, value_of
from lading.passes.trace.script.plans import CarryTensor, Keep, Plan, Slots, TypeChanges, outer_dims
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.snapshots import Snapshot, rebind
from lading.passes.trace.script.tables import primitive
from lading.passes.trace.script.values import (
    Appended,
    Items,
    List,
    ListRead,
    Maybe,
    NotUniform,
    Raised,
    Stack,
    plain_number,
)

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter

Steps = Generator[tuple[Any, list[Any]], list[Any], bool]

UNROLLED = 256
"""Iterations up to which a loop of known length is written out."""

_ENDLESS = 2**63 - 1
_STEPS_WITHOUT_END = 100_000
_TRIALS = 40


@primitive("Loop")
def run_loop(interpreter: Interpreter, step: Step, trip_count: Any, condition: Any, *carried: Any) -> Any:
    """Run or write a loop."""
    values = list(carried)
    program = step.blocks[0]

    def iterate(index: Any, values: Sequence[Any]) -> list[Any]:
        interpreter.bind(program.inputs, [index, *values])
        interpreter.run(program)
        return interpreter.values(program.outputs)

    done = 0
    while True:
        settled = interpreter.decide(condition)
        if settled is False or (isinstance(trip_count, int) and done >= trip_count):
            return values[0] if len(values) == 1 else values
        if settled is None or not isinstance(trip_count, int) or UNROLLED < trip_count - done < _ENDLESS - UNROLLED:
            loop = DynamicLoop(interpreter, iterate, trip_count, condition, done, values)
            if loop.capture():
                results = loop.results
                return results[0] if len(results) == 1 else results
            interpreter.decided("first iteration written apart", loop.why_apart)
        elif done > _STEPS_WITHOUT_END:
            raise interpreter.cannot("a loop does not end on the example")
        condition, *values = iterate(done, values)
        done += 1


class _OfTuples(Exception):
    """A loop lengthens a list of tuples, which is to be taken apart into one list for each place in them."""

    def __init__(self, subject: List, shape: Any) -> None:
        super().__init__("a list of tuples grows")
        self.subject = subject
        self.shape = shape


def _same_length(left: Any, right: Any) -> bool:
    return isinstance(left, Items) and isinstance(right, Items) and len(left.members) == len(right.members)


def _tensors(value: Any) -> Iterator[torch.Tensor | None]:
    """Yield the tensors of variables, tuples and Optionals included, and None for everything else."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, Maybe):
        yield from _tensors(value.value)
    else:
        yield value if isinstance(value, torch.Tensor) else None


@attrs.define(eq=False)
class _ListPlan:
    subject: List
    initial: Any
    plan: Plan
    read: bool = False
    """Whether the loop does more than append."""
    uniform: bool = True


@attrs.define(eq=False)
class _Trial:
    """One run of the body under the plans of the moment."""

    slots: Slots
    index: ir.Value
    inside: list[Any] = attrs.field(factory=list)
    tensors: dict[int, torch.Tensor] = attrs.field(factory=dict)
    states: dict[int, Any] = attrs.field(factory=dict)
    entries: dict[tuple[int, Any], Any] = attrs.field(factory=dict)
    condition: Any = None
    values: list[Any] = attrs.field(factory=list)
    stacked: list[tuple[_ListPlan, Stack, int]] = attrs.field(factory=list)
    added: list[tuple[_ListPlan, tuple[Any, ...]]] = attrs.field(factory=list)
    outputs: list[ir.Value] = attrs.field(factory=list)


class DynamicLoop:
    """One loop that only the run can count.

    Args:
        interpreter: gives meaning to the values.
        iterate: runs the body on its index and the carried values; returns the next condition and the values then.
        trip_count: how often it runs at most.
        condition: whether it runs at all.
        start: how many iterations were written before it.
        values: the carried values before the first iteration.
    """

    def __init__(
        self,
        interpreter: Interpreter,
        iterate: Callable[[Any, Sequence[Any]], list[Any]],
        trip_count: Any,
        condition: Any,
        start: int,
        values: list[Any],
    ) -> None:
        self.interpreter = interpreter
        self.recorder = interpreter.recorder
        self.iterate = iterate
        endless = isinstance(trip_count, int) and trip_count >= _ENDLESS - UNROLLED
        self.trip_count = None if endless else plain_number(trip_count - start)
        self.condition = condition
        self.start = start
        self.initial = values
        self.plans: list[Plan] = [Keep() for _ in values]
        self.tensors: dict[int, tuple[torch.Tensor, torch.Tensor, CarryTensor]] = {}
        self.lists: dict[int, _ListPlan] = {}
        self.entries: dict[tuple[int, Any], tuple[dict[Any, Any], Any, Any, Plan]] = {}
        self.ties: dict[tuple[Any, Any], tuple[Any, Any]] = {}
        self.results: list[Any] = []
        self.why_apart = ""

    def capture(self) -> bool:
        """Write the loop; False where its first iteration must be written apart, and may be."""
        steps = self.steps()
        try:
            asked = next(steps)
            while True:
                try:
                    given = self.iterate(*asked)
                except Exception as error:
                    asked = steps.throw(error)
                else:
                    asked = steps.send(given)
        except StopIteration as end:
            return bool(end.value)

    def steps(self) -> Steps:
        """Ask for the body to be run until it is known what it carries, and write the loop.

        Yields:
            The index and the carried values of an iteration; its next condition and the values then are sent back.

        Returns:
            False where the first iteration must be written apart, and may be.
        """
        for _ in range(_TRIALS):
            try:
                if (yield from self._trial()):
                    return True
            except TypeChanges as change:
                return self._first_apart(str(change))
        raise self.interpreter.cannot("the types of a loop's variables do not settle")

    def _first_apart(self, why: str) -> bool:
        """Say that the first iteration is to be written apart, if it certainly runs."""
        runs = self.interpreter.decide(self.condition)
        if self.trip_count is not None:
            runs = runs and self.interpreter.decide(plain_number(self.trip_count > 0))
        if not runs or self.start > 2:
            raise self.interpreter.cannot(
                f"in a loop that only the run can count, {why}",
                "give the variable the dtype and rank before the loop that it has in it",
            )
        self.why_apart = f"in the others, {why}"
        return False

    # ---- one trial ---------------------------------------------------------------------------------------------------

    def _trial(self) -> Steps:
        """Run the body once under the plans; write the loop if they cover what it does, else widen them."""
        interpreter, recorder = self.interpreter, self.recorder
        snapshot = Snapshot(interpreter)
        body = recorder.open_body()
        trial = _Trial(Slots(interpreter, body), ir.Value(type=INT, shape=ir.Shape(())))
        settled = False
        of_tuples: _OfTuples | None = None
        around = set(interpreter.frame.variables)
        interpreter.levels.append(recorder.arithmetic.tables())
        try:
            self._enter(trial)
            with recorder.inside(body):
                yield from self._run(trial)
                widened = self._widen(trial, snapshot)
                settled = not self._tie(trial, snapshot) and not widened
                if settled:
                    self._give(trial)
        except ListRead as read:
            settled = False
            self._give_up_appending(read)
        except NotUniform as differs:
            settled = False
            self._give_up_stacking(differs)
        except _OfTuples as found:
            settled = False
            of_tuples = found
        finally:
            interpreter.levels.pop()
            interpreter.forget_all_but(around)
            snapshot.put_back()
            if not settled:
                forget(body.nodes)
        if of_tuples is not None:
            # From now on each of its columns is a list by itself, which the loop plans for.
            of_tuples.subject.state = columns.of(of_tuples.subject.state, of_tuples.shape)
            self.lists.pop(id(of_tuples.subject), None)
        if settled:
            self._write(trial)
        return settled

    def _give_up_appending(self, read: ListRead) -> None:
        planned = self.lists.get(id(read.subject))
        if planned is None or planned.read:
            raise read
        planned.read = True
        planned.plan = KeepState()

    def _give_up_stacking(self, differs: NotUniform) -> None:
        planned = self.lists.get(id(differs.subject))
        mine = [planned] if planned is not None else list(self.lists.values()) if differs.subject is None else []
        mine = [one for one in mine if one.uniform]
        if not mine:
            raise differs
        for one in mine:
            one.uniform = False
            one.read = True
            one.plan = KeepState()

    def _enter(self, trial: _Trial) -> None:
        """Open the slots of all plans, in the order in which they are given and left."""
        slots = trial.slots
        trial.inside = [plan.enter(slots, initial) for plan, initial in zip(self.plans, self.initial, strict=True)]
        for key, (_, held, carried) in self.tensors.items():
            trial.tensors[key] = carried.enter(slots, held)
        for key, planned in self.lists.items():
            trial.states[key] = planned.plan.enter(slots, planned.initial)
        for place, (_, _, held, plan) in self.entries.items():
            trial.entries[place] = plan.enter(slots, held)

    def _run(self, trial: _Trial) -> Generator[tuple[Any, list[Any]], list[Any], None]:
        interpreter = self.interpreter
        rebind(
            interpreter,
            [
                (self.tensors[key][0], torch_private.unwrap_functional(entered))
                for key, entered in trial.tensors.items()
            ],
        )
        for key, planned in self.lists.items():
            planned.subject.state = trial.states[key]
        for place, (holder, key, _, _) in self.entries.items():
            holder[key] = trial.entries[place]
        self._hold_ties(trial.inside)
        for before, inside in zip(_tensors(self.initial), _tensors(trial.inside), strict=False):
            if before is not inside and isinstance(before, torch.Tensor) and isinstance(inside, torch.Tensor):
                interpreter.aliases.add(inside, before)
        index: Any = new_integer(interpreter, trial.index, size=True)
        if self.trip_count is not None:
            interpreter.last_index[index.node.expr] = self.trip_count - 1
        if self.start:
            index = index + self.start
        try:
            trial.condition, *trial.values = yield index, trial.inside
        except Raised as raised:
            raise interpreter.cannot(f"the body of a loop always raises: {raised.message}") from None

    def _widen(self, trial: _Trial, snapshot: Snapshot) -> bool:
        """Compare what the body gives with the plans; whether any plan had to change."""
        interpreter = self.interpreter
        plans = [
            plan.widen(interpreter, initial, inside, out)
            for plan, initial, inside, out in zip(self.plans, self.initial, trial.inside, trial.values, strict=True)
        ]
        changed = any(a is not b for a, b in zip(plans, self.plans, strict=True))
        self.plans = plans
        for tensor, held, now in snapshot.written_tensors():
            changed = self._widen_tensor(tensor, held, now, trial) or changed
        for subject, held, now in snapshot.changed_lists():
            changed = self._widen_list(subject, held, now, trial) or changed
        for owner, name, held, now in snapshot.changed_attributes():
            changed = self._widen_entry(owner.written, name, held, now, trial) or changed
        for content, before, after in snapshot.changed_dicts():
            if before.keys() != after.keys():
                raise TypeChanges("a dict gets or loses a key")
            for key, now in after.items():
                changed = self._widen_entry(content, key, before[key], now, trial) or changed
        return changed

    def _tie(self, trial: _Trial, snapshot: Snapshot) -> bool:
        """Find what is one tensor at the end of an iteration, and two in the next one; whether that is news."""
        named: list[tuple[Any, Any]] = [
            (place, one) for place, one in enumerate(_tensors(trial.values)) if isinstance(one, torch.Tensor)
        ]
        named += [(("written", id(tensor)), tensor) for tensor, _, _ in snapshot.written_tensors()]
        members = [
            (planned.subject, one)
            for planned in self.lists.values()
            if isinstance(planned.subject.state, Appended)
            for one in planned.subject.state.added
            if isinstance(one, torch.Tensor)
        ]
        before = len(self.ties)
        for position, (key, one) in enumerate(named):
            others = [
                (other, (other if isinstance(other, int) else tensor))
                for other, tensor in named[position + 1 :]
                if torch_private.share_memory(one, tensor)
            ]
            others += [(id(subject), subject) for subject, tensor in members if torch_private.share_memory(one, tensor)]
            for other, what in others:
                if isinstance(key, int) or isinstance(other, int) or isinstance(what, List):
                    self.ties[(key, other)] = (key if isinstance(key, int) else one, what)
        return len(self.ties) > before

    def _hold_ties(self, values: Sequence[Any]) -> None:
        """Say of the values of the loop's variables which of them are one tensor in PyTorch, possibly."""
        here = list(_tensors(values))
        for tie in self.ties.values():
            one, other = (here[part] if isinstance(part, int) else part for part in tie)
            if isinstance(one, torch.Tensor) and isinstance(other, List):
                self.interpreter.aliases.add_copy(one, other)
            elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
                self.interpreter.aliases.add(one, other)

    def _widen_entry(self, holder: dict[Any, Any], key: Any, held: Any, now: Any, trial: _Trial) -> bool:
        """Compare what the body leaves under a key of a dict, or in an attribute, with its plan."""
        place = (id(holder), key)
        known = self.entries.get(place)
        plan: Plan = known[3] if known is not None else Keep()
        wider = plan.widen(self.interpreter, held, trial.entries.get(place, held), now)
        self.entries[place] = (holder, key, held, wider)
        return wider is not plan

    def _widen_tensor(self, tensor: torch.Tensor, held: torch.Tensor, now: torch.Tensor, trial: _Trial) -> bool:
        known = self.tensors.get(id(tensor))
        if known is None:
            if held.dim() != now.dim():
                raise TypeChanges("a tensor changes its rank in place")
            dims = [a if lists.same_size(a, b) else None for a, b in zip(held.shape, now.shape, strict=True)]
            plan = CarryTensor(held.dtype, tuple(outer_dims(self.interpreter, dims)))
            self.tensors[id(tensor)] = (tensor, held, plan)
            return True
        plan = known[2]
        entered = trial.tensors[id(tensor)]
        wider = plan.widen(self.interpreter, held, entered, now)
        if wider is plan:
            return False
        assert isinstance(wider, CarryTensor)
        self.tensors[id(tensor)] = (tensor, held, wider)
        return True

    def _widen_list(self, subject: List, held: Any, now: Any, trial: _Trial) -> bool:
        interpreter = self.interpreter
        shape = columns.shape_in(now)
        if shape is not None and isinstance(held, Items) and not _same_length(held, now):
            raise _OfTuples(subject, shape)
        planned = self.lists.get(id(subject))
        if planned is None:
            self.lists[id(subject)] = _ListPlan(subject, held, state_plan(interpreter, held, now))
            return True
        if isinstance(planned.plan, KeepState):
            make = stack_plan if planned.uniform else chain_plan
            planned.plan = make(interpreter, held, now) if planned.read else state_plan(interpreter, held, now)
            return True
        wider = planned.plan.widen(interpreter, held, trial.states[id(subject)], now)
        if wider is planned.plan:
            return False
        planned.plan = wider
        return True

    # ---- writing -----------------------------------------------------------------------------------------------------

    def _give(self, trial: _Trial) -> None:
        """Collect what the body gives: the condition, the carried values, what is stacked."""
        interpreter, slots = self.interpreter, trial.slots
        for plan, out in zip(self.plans, trial.values, strict=True):
            plan.give(slots, out)
        for tensor, _, carried in self.tensors.values():
            carried.give(slots, tensor)
        for planned in self.lists.values():
            planned.plan.give(slots, planned.subject.state)
            if isinstance(planned.plan, AppendOnly):
                trial.stacked.append((planned, *self._one_iteration(planned)))
                assert isinstance(planned.subject.state, Appended)
                trial.added.append((planned, planned.subject.state.added))
        for holder, key, _, plan in self.entries.values():
            plan.give(slots, holder[key])
        values = [value_of(interpreter, trial.condition), *slots.given]
        values += [interpreter.tensor_value(part.tensor) for _, part, _ in trial.stacked]
        trial.outputs = close_outputs(interpreter, slots.body, values, "carried")

    def _one_iteration(self, planned: _ListPlan) -> tuple[Stack, int]:
        """Return what one iteration appends, several members as one tensor, and how many they are."""
        interpreter = self.interpreter
        state = planned.subject.state
        added = state.added if isinstance(state, Appended) else ()
        first = added[0]
        if is_number(first):
            kind = kind_of(first)
            if any(not is_number(one) or kind_of(one) is not kind for one in added):
                raise NotUniform(planned.subject)
            numbers = [
                interpreter.standing_for(value_of(interpreter, one), (), DTYPES[kind])
                if isinstance(one, (int, torch.SymInt))
                else as_tensor(one, DTYPES[kind])
                for one in added
            ]
            return Stack(numbers[0] if len(added) == 1 else torch.stack(numbers), kind), len(added)
        if not isinstance(first, torch.Tensor) or None in outer_dims(interpreter, first.shape):
            raise NotUniform(planned.subject)
        held = planned.initial.members if isinstance(planned.initial, Items) else ()
        if not all(isinstance(one, torch.Tensor) and lists.alike(one, first) for one in (*added, *held)):
            raise NotUniform(planned.subject)
        if isinstance(planned.initial, Stack) and not lists.same_dims(planned.initial.tensor.shape[1:], first.shape):
            raise NotUniform(planned.subject)
        return Stack(first if len(added) == 1 else torch.stack(list(added)), torch.Tensor), len(added)

    def _write(self, trial: _Trial) -> None:
        interpreter, recorder, slots = self.interpreter, self.recorder, trial.slots
        inputs = [trial.index, ir.Value(type=BOOL, shape=ir.Shape(())), *(slot.inside for slot in slots.carried)]
        for value, kind in zip(inputs, ("iteration", "going", *["state"] * len(slots.carried)), strict=True):
            value.name = interpreter.names.take(kind)
        graph = body_graph(
            inputs, trial.outputs, prune(slots.body.nodes, trial.outputs), interpreter.names.take("body")
        )
        self.results = [plan.leave(slots, initial) for plan, initial in zip(self.plans, self.initial, strict=True)]
        changes = Changes()
        for tensor, _, carried in self.tensors.values():
            changes.tensors.append((tensor, torch_private.unwrap_functional(carried.leave(slots, None))))
        for planned in self.lists.values():
            state = planned.plan.leave(slots, planned.initial)
            if not isinstance(planned.plan, AppendOnly):
                changes.lists.append((planned.subject, state))
        for holder, key, held, plan in self.entries.values():
            changes.entries.append((holder, key, plan.leave(slots, held)))
        rows = self._rows(trial)
        pieces = [interpreter.new_placed([rows, *part.tensor.shape], part.tensor.dtype) for _, part, _ in trial.stacked]
        trip_count = None if self.trip_count is None else value_of(interpreter, self.trip_count)
        starts = interpreter.decide(self.condition)
        condition = None if starts else value_of(interpreter, self.condition)
        if trip_count is None and condition is None:
            condition = interpreter.constant(True)
        initial = [slot.initial for slot in slots.carried]
        outputs = [*slots.after, *(value for _, value in pieces)]
        recorder.append(loop_node(trip_count, condition, initial, graph, outputs))
        for (planned, part, count), (tensor, _) in zip(trial.stacked, pieces, strict=True):
            changes.lists.append((planned.subject, self._whole(planned, part, count, tensor)))
        changes.apply(interpreter)
        self._hold_ties(self.results)
        for planned in self.lists.values():
            interpreter.aliases.add_members(planned.initial, planned.subject)
        for planned, added in trial.added:
            interpreter.aliases.add_members(Items(added), planned.subject)

    def _rows(self, trial: _Trial) -> Any:
        """Return how many iterations there are where that is a size, None where it takes the run to know."""
        interpreter, count = self.interpreter, self.trip_count
        always = interpreter.decide(self.condition) and interpreter.decide(trial.condition)
        if not always or count is None or not (isinstance(count, int) or interpreter.never_negative(count)):
            return None
        return count

    def _whole(self, planned: _ListPlan, part: Stack, count: int, tensor: torch.Tensor) -> Stack:
        """Return a list with what the iterations have appended at its end."""
        if count > 1:
            tensor = tensor.flatten(0, 1)
        initial = planned.initial
        if isinstance(initial, Items) and not initial.members:
            return Stack(tensor, part.kind)
        before = List()
        before.state = initial
        return Stack(torch.cat([lists.stacked(self.interpreter, before).tensor, tensor]), part.kind)
