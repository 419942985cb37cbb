# SPDX-License-Identifier: Apache-2.0
"""Taking both sides of the decisions that a model takes on symbolic sizes.

A recording follows one way through the model: that of the example's sizes. For each decision on the way that other
sizes would turn, the model is recorded once more at such sizes. Where the two recordings are the same program, the
decision was harmless. Where they differ, both become one graph with an If; and where that cannot be, the decision
limits the sizes for which the file is right, and stays a guard.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import onnx_ir as ir
import sympy
from lading.passes.control_flow import BodyNames
from lading.passes.signature.arguments import Arguments
from lading.passes.trace.arithmetic import Arithmetic
from lading.passes.trace.capture import Capture, Guard, Remade, Specialisation, states_equality
from lading.passes.trace.sides.joining import Way, joined
from lading.passes.trace.sides.merging import Unmergeable, same_program
from lading.passes.trace.sides.paddings import OtherAmount, Settled, first_apart
from lading.passes.trace.sides.single import agree_on_causality, axis_of_size_one
from lading.passes.trace.sides.witnesses import has_two_sides, witnesses
from lading.passes.trace.symbols import axis_symbol, text_of
from lading.pipeline.errors import CaptureError, LadingError
from lading.pipeline.origin import META_KEY, NOWHERE

_TRIES = 3
"""How many sizes on the other side of a decision are tried, if the model cannot be recorded at the first."""
_FOR_A_PADDING = 3
"""How many recordings it takes to settle a decision in the amounts of one padding."""
_PADDINGS = 3
"""How many calls that pad one decision may change."""
_TRIED_ALONE = 500
"""Combinations of sizes that are looked at for some that turn one decision and no later one."""
_PAIRS = 6
"""How many pairs of decisions without effect are turned together, beside all of them at once."""
_TRIES_OF_OPERATORS = 2
"""The same for what an operator asks: it mostly fails where sizes do not agree, whatever they are."""

Decision = tuple[Any, str, Any]
"""What was asked and what was answered."""

Record = Callable[[Arguments], tuple[ir.Model, Capture]]


class Explorer:
    """Explores the ways through one model.

    Args:
        arguments: the model with its example call.
        record: records it, at the sizes that the arguments name.
        budget: how many further recordings there may be.
    """

    def __init__(self, arguments: Arguments, record: Record, budget: int) -> None:
        self.arguments = arguments
        self._record = record
        self.budget = budget
        self.names = BodyNames()
        self.notes: list[tuple[str, str, str]] = []
        self.remade: dict[str, Remade] = {}
        self._fixed: dict[str, int] = {}
        self._is_cut_short = False

    def explore(self, model: ir.Model, capture: Capture) -> tuple[ir.Model, Capture]:
        """Return a graph that is right on both sides of as many decisions as can be, with what is left of them."""
        allowed = self.budget
        self._fixed = _fixed(capture)
        way = self._settled(Way(model, capture, dict(capture.axes)), (), frozenset(), _WithoutEffect())
        if self._is_cut_short and any(_is_of_a_branch(guard) for guard in way.capture.guards):
            # What was joined leaves decisions open in some of its branches; one recording with all of its own is sure.
            why = "the further recordings ran out in the middle of several decisions"
            self.notes = [("sizes decided for good", why, "")]
            way = Way(model, capture, dict(capture.axes))
        details = {**way.capture.details, "further_recordings": allowed - self.budget}
        notes = tuple(dict.fromkeys((*way.capture.decisions, *self.notes)))
        remade = {**self.remade, **way.capture.remade}
        return way.model, attrs.evolve(way.capture, decisions=notes, details=details, remade=remade)

    def _settled(
        self, way: Way, choices: tuple[Guard, ...], taken: frozenset[Decision], without_effect: _WithoutEffect
    ) -> Way:
        """Take both sides of the decisions of a way; its guards are what is left of them.

        Args:
            way: the way.
            choices: the decisions by which the file comes to this way, and which hold on it.
            taken: decisions that are settled already for whatever comes of this way.
            without_effect: what is known to make no difference on this way, which is taken by it alone.
        """
        guards = way.capture.guards
        limits: list[Guard] = []
        for index, asked in enumerate(guards):
            if _decision(asked) in taken or _decision(asked) in without_effect.decisions:
                continue
            found = self._other_side(asked, index, way, choices, without_effect.decisions, limits)
            if found is None:
                continue
            other, turned = found
            _agree(asked, way, other)
            if not _asks_more(other, way) and same_program(way.recording, other.recording, self.names):
                why = f"{asked.condition}: both sides are one program"
                self.notes.append(("decision without effect", why, asked.source))
                limits.append(attrs.evolve(asked, harmless=True))
                # Python may keep an answer, which then has an effect on another side of a later decision; what an
                # operator asks is forgotten with its result.
                if asked.by_user:
                    without_effect = without_effect.with_one(_Alone(asked, turned, other))
                continue
            before = taken.union(map(_decision, guards[:index])) - without_effect.decisions
            padded = self._settled_in_paddings(asked, index, way, other, choices, before, without_effect)
            if padded is not None:
                return _limited(padded, *limits, attrs.evolve(asked, harmless=True))
            here = self._settled(way, _also(choices, asked, way), before | {_decision(asked)}, without_effect)
            there = self._settled(other, _also(choices, turned, way), before | {_decision(turned)}, _WithoutEffect())
            joined = self._joined(asked, here, there)
            if joined is None:
                return _limited(here, *limits, asked)
            return _limited(joined, *limits, attrs.evolve(asked, harmless=True))
        before = taken.union(map(_decision, guards)) - without_effect.decisions
        return self._apart_together(way, limits, choices, before, without_effect.alone)

    def _apart_together(
        self,
        way: Way,
        limits: Sequence[Guard],
        choices: tuple[Guard, ...],
        taken: frozenset[Decision],
        alone: Sequence[_Alone],
    ) -> Way:
        """Return a settled way with the other sides of decisions that make a difference together, and none alone."""
        first = self._with_effect_together(way, choices, alone)
        if first is None:
            return attrs.evolve(way, capture=attrs.evolve(way.capture, guards=tuple(limits)))
        rest = [one for one in alone if one is not first]
        here = self._apart_together(way, limits, _also(choices, first.asked, first.other), taken, rest)
        turned = _also(choices, first.turned, first.other)
        there = self._settled(first.other, turned, taken | {_decision(first.turned)}, _WithoutEffect())
        joined = self._joined(first.asked, here, there)
        return _limited(here, first.asked) if joined is None else joined

    def _with_effect_together(self, way: Way, choices: tuple[Guard, ...], alone: Sequence[_Alone]) -> _Alone | None:
        """Return a decision that makes a difference where others, each without effect, go the other way too."""
        pairs = list(itertools.combinations(alone, 2))
        groups = [tuple(alone)] if len(alone) == 2 else [tuple(alone), *pairs[:_PAIRS]] if alone else []
        for group in groups:
            asked = _all_turned([one.asked for one in group])
            if len(group) < 2 or asked is None:
                continue
            turned = {_decision(one.asked) for one in group}
            others = [one for one in way.capture.guards if not one.harmless and _decision(one) not in turned]
            sizes = next(witnesses(asked, [*choices, *others], way.sizes, self.arguments.ranges, way.settled), None)
            if sizes is None or self.budget <= 0:
                continue
            other = self._recorded(sizes, asked, way.settled)
            if isinstance(other, str) or _asks_more(other, way):
                return group[0]
            if not same_program(way.recording, other.recording, self.names):
                return group[0]
        return None

    def _other_side(
        self,
        asked: Guard,
        index: int,
        way: Way,
        choices: tuple[Guard, ...],
        without_effect: frozenset[Decision],
        limits: list[Guard],
    ) -> tuple[Way, Guard] | None:
        """Return a recording of the other side of a decision, and the decision there.

        Where there is none, say what becomes of the decision.
        """
        if asked.harmless or not has_two_sides(asked):
            limits.append(asked)
            return None
        # Decisions without another side were taken before, or are ruled out by the ranges of the axes: no limit.
        why, failed = "", ""
        special: list[tuple[int, Way, Guard]] = []
        tries = _TRIES if asked.by_user else _TRIES_OF_OPERATORS
        for sizes, is_on_the_way in itertools.islice(self._sizes(asked, index, way, choices, without_effect), tries):
            if asked.required:
                why = "an operator of the model fails otherwise"
                break
            if self.budget <= 0:
                why = "no further recording is allowed"
                self._is_cut_short = True
                break
            other = self._recorded(sizes, asked, way.settled)
            if isinstance(other, Way):
                turned = next((one for one in other.capture.guards if one.expression == asked.expression), None)
                if turned is None and any(_is_all(asked, special) for special in other.capture.specialisations):
                    # Python has read the only size on that side as a number before it came to the question.
                    turned = attrs.evolve(asked, outcome=not asked.outcome)
                # Sizes may be special in another way as well: a quotient that happens to be 1, say.
                if turned is not None and turned.outcome != asked.outcome:
                    more = len(_agreements(other) - _agreements(way))
                    if not more:
                        return other, turned
                    special.append((more, other, turned))
                if is_on_the_way:
                    why = "at other sizes the question is not asked again"
                continue
            why = other
            if failed == _reason(why):
                break
            failed = _reason(why)
        if special:
            return min(special, key=lambda one: one[0])[1:]
        if why:
            self._note(asked, why)
            limits.append(asked)
        return None

    def _sizes(
        self,
        asked: Guard,
        index: int,
        way: Way,
        choices: tuple[Guard, ...],
        without_effect: frozenset[Decision] = frozenset(),
    ) -> Iterator[tuple[dict[str, int], bool]]:
        """Yield sizes that turn a decision, and whether they turn no earlier one.

        Those that turn none of the later ones come first, so that its effect is alone, and those that also turn an
        earlier one last, which may only be one without effect.
        """
        guards = way.capture.guards
        path = [*choices, *(guard for guard in guards[:index] if not guard.harmless)]
        later = [guard for guard in guards[index + 1 :] if not guard.harmless]
        ranges, settled = self.arguments.ranges, way.settled
        alone = list(itertools.islice(witnesses(asked, [*path, *later], way.sizes, ranges, settled, _TRIED_ALONE), 1))
        yield from ((sizes, True) for sizes in alone)
        for sizes in witnesses(asked, path, way.sizes, ranges, settled):
            if sizes not in alone:
                yield sizes, True
        bound = [guard for guard in path if _decision(guard) not in without_effect]
        if len(bound) < len(path):
            yield from ((sizes, False) for sizes in witnesses(asked, bound, way.sizes, ranges, settled))

    def _settled_in_paddings(
        self,
        asked: Guard,
        index: int,
        way: Way,
        other: Way,
        choices: tuple[Guard, ...],
        taken: frozenset[Decision],
        without_effect: _WithoutEffect,
    ) -> Way | None:
        """Settle a way on from a decision that changes by how much is padded, None where it changes more than that."""
        # Like one without effect, it may have one on another side of a later decision.
        if asked.by_user:
            decisions = without_effect.decisions | {_decision(asked)}
            without_effect = attrs.evolve(without_effect, decisions=decisions)
        else:
            taken |= {_decision(asked)}
        try:
            general = self._with_chosen_paddings(asked, index, way, choices, other)
            if general is None:
                return None
            found = _over_axes(self._settled(general, choices, taken, without_effect), general.settled)
        except OtherAmount as apart:
            if apart.choice in way.settled.choices.values():
                raise
            return None
        except ArithmeticError:
            return None  # sympy cannot put the numbers that are chosen into a limit
        self.notes.append(("paddings chosen", f"{asked.condition}: the file computes them", asked.source))
        return found

    def _with_chosen_paddings(
        self, asked: Guard, index: int, way: Way, choices: tuple[Guard, ...], other: Way
    ) -> Way | None:
        """Return the way as a program of both sides of a decision, if they pad by other amounts and that is all."""
        here, there = way, other
        for _ in range(_PADDINGS):
            call = first_apart(here.capture.paddings, there.capture.paddings)
            if call is None or asked.expression is None or not self.budget:
                return None
            yes, no = (here, there) if asked.outcome else (there, here)
            amounts = yes.capture.paddings[call], no.capture.paddings[call]
            settled = here.settled.with_choices(asked.expression, call, *amounts)
            again = self._recorded(way.sizes, asked, settled)
            if isinstance(again, str) or not self.budget:
                return None
            here = again
            # What is asked later can only now be said for both sides, and kept as it is.
            index = next(at for at, one in enumerate(here.capture.guards) if _decision(one) == _decision(asked))
            sizes, _ = next(self._sizes(asked, index, here, choices), (other.sizes, True))
            again = self._recorded(sizes, asked, settled)
            if isinstance(again, str):
                return None
            there = again
            if same_program(here.recording, there.recording, self.names):
                # There are as many of these as decisions, not as ways: they take nothing from what others may have.
                self.budget += _FOR_A_PADDING
                return here
        return None

    def _recorded(self, sizes: dict[str, int], asked: Guard, settled: Settled) -> Way | str:
        """Record the model at other sizes, which turn a decision, or say why that cannot be."""
        self.budget -= 1
        at = ", ".join(f"{name} = {size}" for name, size in sizes.items())
        try:
            model, capture = self._record(attrs.evolve(self.arguments, recorded_sizes=sizes, settled=settled))
        except OtherAmount:
            raise
        except LadingError as error:
            return f"the model cannot be recorded at {at}: {error.what.splitlines()[0]}"
        self.remade.update(capture.remade)
        fixed = [special for special in capture.specialisations if self._fixed.get(special.axis) != special.size]
        if any(not _is_all(asked, special) for special in fixed):
            return f"the model fixes an axis at {at}"
        return Way(model, capture, sizes, settled)

    def _joined(self, asked: Guard, here: Way, there: Way) -> Way | None:
        holds = asked.expression if asked.outcome else sympy.Not(asked.expression)
        limits = _joined_limits(holds, here.capture.guards, there.capture.guards)
        # What else the other side fixes is all of that side, which the condition says.
        fixed = attrs.evolve(there.capture, specialisations=here.capture.specialisations)
        there = attrs.evolve(there, capture=fixed)
        try:
            way = joined(here, there, self._condition(holds, here.settled), limits, self.names)
        except (Unmergeable, CaptureError) as why:
            self._note(asked, f"the two sides have no common graph: {why}")
            return None
        self.notes.append(("both sides kept", f"{asked.condition}: the file chooses at run time", asked.source))
        return way

    def _condition(
        self, holds: sympy.Basic, settled: Settled
    ) -> Callable[[Sequence[ir.Value]], tuple[list[ir.Node], ir.Value]]:
        def write(inputs: Sequence[ir.Value]) -> tuple[list[ir.Node], ir.Value]:
            nodes: list[ir.Node] = []

            def append(node: ir.Node) -> None:
                node.meta[META_KEY] = NOWHERE
                nodes.append(node)

            arithmetic = Arithmetic(append, str)
            for item, value in zip(self.arguments.inputs, inputs, strict=True):
                for axis, name in item.axes.items():
                    arithmetic.read_from(axis_symbol(name), value, axis)
            for choice in settled.choices.values():
                arithmetic.is_choice(choice.symbol, choice.expression)
            return nodes, arithmetic.value(holds)

        return write

    def _note(self, asked: Guard, why: str) -> None:
        self.notes.append(("size decided for good", f"{asked.condition}: {why}", asked.source))


@attrs.frozen(eq=False)
class _Alone:
    """A decision that makes no difference by itself, how it is answered on its other side, and that side."""

    asked: Guard
    turned: Guard
    other: Way


@attrs.frozen(eq=False)
class _WithoutEffect:
    """The model's own decisions that make no difference on a way, and those of them whose other sides are known."""

    decisions: frozenset[Decision] = frozenset()
    alone: tuple[_Alone, ...] = ()

    def with_one(self, one: _Alone) -> _WithoutEffect:
        return _WithoutEffect(self.decisions | {_decision(one.asked)}, (*self.alone, one))


def _all_turned(guards: Sequence[Guard]) -> Guard | None:
    """Return the question whether all of these decisions go the other way, which they do not."""
    turned = [sympy.Not(one.expression) if one.outcome else one.expression for one in guards]
    at_once = sympy.And(*turned)
    if at_once is sympy.false:
        return None
    return Guard(text_of(at_once), False, guards[0].source, True, expression=at_once)


def _reason(why: str) -> str:
    """Return why the model cannot be recorded, without the sizes: the same one twice is no matter of sizes."""
    return re.sub(r"\d+", "", why)


def _fixed(capture: Capture) -> dict[str, int]:
    """Return the axes that are constants, with their sizes."""
    return {special.axis: special.size for special in capture.specialisations}


def _decision(guard: Guard) -> Decision:
    return guard.expression, guard.condition, guard.outcome


def _agreements(way: Way) -> set[Decision]:
    """Return what a recording relies on beyond the model's own questions: sizes that have to agree."""
    return {
        _decision(guard)
        for guard in way.capture.guards
        if not guard.by_user and not guard.harmless and states_equality(guard.expression, guard.outcome)
    }


def _asks_more(other: Way, way: Way) -> bool:
    """Whether one way comes to questions that the other does not, as in `length > 8 and rows > 2`."""
    known = {guard.expression for guard in way.capture.guards}
    return any(
        guard.by_user and not guard.harmless and has_two_sides(guard) and guard.expression not in known
        for guard in other.capture.guards
    )


def _is_all(asked: Guard, special: Specialisation) -> bool:
    """Whether the size that an axis is fixed to is the only one on the other side of a decision."""
    turned = attrs.evolve(asked, outcome=not asked.outcome)
    return turned.only_size == (special.axis, special.size)


def _agree(asked: Guard, way: Way, other: Way) -> None:
    """Take differences out of the side on which an axis has size one that make none there."""
    outcome = bool(asked.outcome)
    for side, general, value in ((other, way, not outcome), (way, other, outcome)):
        axis = axis_of_size_one(asked, value)
        if axis is not None:
            agree_on_causality(general.model, side.model, axis)


def _over_axes(way: Way, settled: Settled) -> Way:
    """Return a way whose limits are over the sizes of axes alone; what is no limit is left as words."""
    found = []
    for guard in way.capture.guards:
        if guard.harmless and guard.expression is not None and settled.is_in(guard.expression):
            guard = attrs.evolve(guard, expression=None)
        found.append(_guard_over_axes(guard, settled))
    return attrs.evolve(way, capture=attrs.evolve(way.capture, guards=tuple(found)))


def _also(choices: tuple[Guard, ...], guard: Guard, way: Way) -> tuple[Guard, ...]:
    """Return the choices with one more, over axes, as other ways have other numbers chosen."""
    try:
        return (*choices, _guard_over_axes(guard, way.settled))
    except ArithmeticError:
        return choices  # more sizes are looked at than lead there


def _guard_over_axes(guard: Guard, settled: Settled) -> Guard:
    if guard.expression is None or not settled.is_in(guard.expression):
        return guard
    return attrs.evolve(guard, expression=settled.over_axes(guard.expression))


def _limited(way: Way, *limits: Guard) -> Way:
    return attrs.evolve(way, capture=attrs.evolve(way.capture, guards=(*limits, *way.capture.guards)))


def _joined_limits(holds: sympy.Basic, here: Sequence[Guard], there: Sequence[Guard]) -> list[Guard]:
    """Return the limits of both sides: one that is of one side only binds where that side is taken."""
    common = [guard for guard in here if guard in there]
    limits = list(common)
    for guards, other in ((here, sympy.Not(holds)), (there, holds)):
        for guard in guards:
            if guard in common or guard.harmless:
                continue
            if guard.expression is None or not isinstance(guard.outcome, bool):
                limits.append(guard)
                continue
            kept = guard.expression if guard.outcome else sympy.Not(guard.expression)
            either = sympy.Or(other, kept)
            limits.append(attrs.evolve(guard, condition=text_of(either), outcome=True, expression=either))
    return limits


def _is_of_a_branch(guard: Guard) -> bool:
    """Whether a limit holds on some sides of other decisions alone."""
    return not guard.harmless and guard.expression is not None and guard.expression.has(sympy.Or, sympy.And)
