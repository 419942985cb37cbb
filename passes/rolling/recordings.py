# SPDX-License-Identifier: Apache-2.0
"""The loops over one axis of a model, rolled up: recorded at two lengths, proved at two more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import attrs
import onnx_ir as ir
import sympy
from lading.passes.control_flow import BodyNames
from lading.passes.rolling.description import Description, described
from lading.passes.rolling.programs import CannotRoll, Program, program
from lading.passes.rolling.proof import follows
from lading.passes.rolling.writing import Writer
from lading.passes.signature.arguments import Arguments
from lading.passes.trace.capture import Capture, Guard, Specialisation
from lading.passes.trace.record import record
from lading.passes.trace.sides.answers import answer
from lading.passes.trace.sides.exploring import Explorer
from lading.passes.trace.symbols import axis_symbol, text_of
from lading.pipeline.errors import LadingError

_LENGTHS = (6, 7, 9, 10)
"""At which a model is recorded; where sizes happen to equal others of the model, at the next ones."""
_SIDES = 4
"""How many further recordings may show the other sides of decisions."""
_OTHER_LENGTHS = (11, 13, 17, 19)
_LONG = 260
"""At which it is recorded once more: Python may do something else from a certain iteration on (`if step < 100`)."""
_SEARCHED = 5000
"""Sizes of an axis among which those are looked for at which something is as often as wanted."""
_CALLS = 1500
"""Calls that may be in that recording; where the iterations are long, it has fewer of them."""


class _NothingGrows(CannotRoll):
    """A model has as many calls at one length as at the next: no other lengths show a loop."""


@attrs.frozen
class Driver:
    """What says how often loops run: the size of an axis, or a number that Python or an operator reads off it.

    Attributes:
        axis: its name.
        count: the number, over the symbol of the axis.
        source: the user's line.
    """

    axis: str
    count: sympy.Basic
    source: str

    @property
    def fewest(self) -> int:
        """The least number that there can be: axes have one element or more."""
        return 1 if self.count == axis_symbol(self.axis) else 0

    def size(self, count: int) -> int:
        """Return a size of the axis at which the number is `count`: another one of those that there are each time.

        Raises:
            CannotRoll: there is none.
        """
        if self.count == axis_symbol(self.axis):
            return count
        sizes = [size for size in range(1, _SEARCHED) if answer(self.count, {self.axis: size}) == count]
        if not sizes:
            raise CannotRoll(f"{text_of(self.count)} is {count} for no size")
        return sizes[-1 - count % len(sizes)]


def driver_of(special: Specialisation) -> Driver:
    """Return what drives the loops over an axis that Python has read."""
    return Driver(special.axis, axis_symbol(special.axis), special.source)


@attrs.frozen(eq=False)
class Rolled:
    """A graph whose loops over an axis run as often as the input says.

    Attributes:
        model: the graph.
        capture: what was decided on the way.
        loops: how many loops there are.
        lengths: the sizes of the axis at which the model was recorded.
    """

    model: ir.Model
    capture: Capture
    loops: int
    lengths: tuple[int, ...]


def rolled(arguments: Arguments, driver: Driver) -> Rolled:
    """Record a model at several lengths of an axis and roll up the loops that its Python runs over it.

    Two recordings give the rules by which the model grows with the length; two longer ones have to follow the same.

    Args:
        arguments: the model with its example call.
        driver: the axis and the number read off it, which a capture of the example has fixed.

    Raises:
        CannotRoll: the model cannot be recorded at other lengths, or follows no rule that a loop could.
    """
    why: CannotRoll | None = None
    for lengths in (_LENGTHS, _OTHER_LENGTHS):
        try:
            return _rolled(arguments, driver, lengths)
        except _NothingGrows:
            raise
        except CannotRoll as error:
            why = why or error
    assert why is not None
    raise why


def _rolled(arguments: Arguments, driver: Driver, lengths: Sequence[int]) -> Rolled:
    recordings = [_recorded(arguments, driver, length) for length in lengths[:2]]
    programs = [one for one, _ in recordings]
    rules, found = described(programs[0], programs[1])
    if not rules.loops:
        grows = len(programs[0].calls) != len(programs[1].calls)
        raise (CannotRoll if grows else _NothingGrows)("nothing in the model is repeated as often as the axis is long")
    recordings += [_recorded(arguments, driver, length) for length in lengths[2:]]
    programs = [one for one, _ in recordings]
    _prove(rules, programs[2:])
    longest = _longest(arguments, driver, rules, programs)
    model, results = Writer(rules, programs[0], found, driver.count, BodyNames()).model()
    captures = [capture for _, capture in recordings]
    short = {length: _holds(arguments, driver, length, rules) for length in range(driver.fewest, lengths[0])}
    # What long loops ask, short ones need not.
    captures += [one for one in short.values() if one is not None][:1]
    limits = [_is(driver, length, False) for length, one in short.items() if one is None]
    first = captures[0]
    outputs = len(model.graph.outputs)
    capture = attrs.evolve(
        first,
        guards=(*_common_guards(captures), *limits),
        buffer_writes=dict(zip(first.buffer_writes, results[outputs:], strict=True)),
        axes={**first.axes, driver.axis: _example_size(arguments, driver.axis)},
    )
    # What one iteration alone decides otherwise is the other side of a choice, like any other.
    model, capture = Explorer(arguments, partial(_asking, driver), _SIDES).explore(model, capture)
    if longest is not None:
        capture = attrs.evolve(capture, guards=(*capture.guards, _at_most(driver, longest)))
    return Rolled(model, capture, rules.loops, tuple(lengths))


def _recorded(arguments: Arguments, driver: Driver, length: int) -> tuple[Program, Capture]:
    axis, size = driver.axis, driver.size(length)
    at = attrs.evolve(
        arguments,
        recorded_sizes={**arguments.recorded_sizes, axis: size},
        unrolled_axes=arguments.unrolled_axes | {axis},
    )
    try:
        model, capture = record(at)
    except LadingError as error:
        raise CannotRoll(f"the model cannot be recorded at {axis} = {size}: {error.what.splitlines()[0]}") from None
    if capture.specialisations:
        raise CannotRoll(f"at {axis} = {size} it fixes the axis {capture.specialisations[0].axis}")
    return program(model, (*model.graph.outputs, *capture.buffer_writes.values()), length), capture


def _prove(rules: Description, further: Sequence[Program]) -> None:
    try:
        again, _ = described(*further)
    except CannotRoll:
        again = None
    if again != rules:
        lengths = " and ".join(str(one.length) for one in further)
        raise CannotRoll(f"what holds for short loops does not hold at the lengths {lengths}")


def _longest(arguments: Arguments, driver: Driver, rules: Description, programs: Sequence[Program]) -> int | None:
    """Return up to which length rules hold, None where a recording of many iterations follows them too.

    Python may do something else from a certain iteration on (`if step < 100`), or have a table for so many of them.
    """
    shorter, longer = programs[:2]
    growth = (len(longer.calls) - len(shorter.calls)) // (longer.length - shorter.length)
    holds = programs[-1].length
    ends = min(_LONG, max(2 * holds, _CALLS // max(growth, 1)))
    if _holds(arguments, driver, ends, rules) is not None:
        return None
    while ends - holds > 1:
        middle = (holds + ends) // 2
        if _holds(arguments, driver, middle, rules) is None:
            ends = middle
        else:
            holds = middle
    return holds


def _holds(arguments: Arguments, driver: Driver, length: int, rules: Description) -> Capture | None:
    """Return what is decided at a length at which the model follows rules, None where it does something else."""
    try:
        found, capture = _recorded(arguments, driver, length)
    except CannotRoll:
        return None
    # Pieces are joined along an axis, which takes one of them.
    return capture if follows(rules, found, fewest=1 - driver.fewest) else None


def _asking(driver: Driver, arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Record a model in which it is a question whether the number of iterations is the one that there is."""
    model, capture = record(arguments)
    guards = [
        _is(driver, int(guard.outcome), True) if guard.expression == driver.count else guard for guard in capture.guards
    ]
    return model, attrs.evolve(capture, guards=tuple(guards))


def _example_size(arguments: Arguments, axis: str) -> int:
    found = (item.tensor.shape[at] for item in arguments.inputs for at, name in item.axes.items() if name == axis)
    return next(found, 1)


def _is(driver: Driver, length: int, outcome: bool) -> Guard:
    asked = sympy.Eq(driver.count, length)
    return Guard(text_of(asked), outcome, driver.source, by_user=True, expression=asked)


def _at_most(driver: Driver, length: int) -> Guard:
    asked = driver.count <= length
    return Guard(text_of(asked), True, driver.source, by_user=True, expression=asked)


def _common_guards(captures: Sequence[Capture]) -> Iterator[Guard]:
    """Yield the decisions that were taken alike at all lengths: what is asked in one iteration alone is no rule."""
    first, *others = captures
    for guard in first.guards:
        if all(guard in other.guards for other in others):
            yield guard
