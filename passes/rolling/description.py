# SPDX-License-Identifier: Apache-2.0
"""A model for every length, from recordings of two.

Each number in it grows by a fixed amount with the length and with the iteration, and each value that is read stands in
a fixed relation to the reader: the same iteration, the one before it, one element of what another loop has made. A
description says these rules; two recordings give one, or show that there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs
import sympy
from lading.passes.rolling.blocks import Block, blocks
from lading.passes.rolling.programs import (
    Call,
    CannotRoll,
    FromCall,
    FromInput,
    FromWeight,
    Leaf,
    Program,
    Read,
    is_unbinding,
)

_NONE = sympy.Integer(0)
_TOGETHER = 8
"""Members of a list that come from one iteration."""
_APART = 2
"""Iterations at the beginning of a loop that may be unlike the others."""


@attrs.frozen
class Line:
    """A whole number: `fixed + per_length * length + per_iteration * iteration`, over the free axes."""

    fixed: sympy.Basic
    per_length: sympy.Basic = _NONE
    per_iteration: sympy.Basic = _NONE


@attrs.frozen
class Made:
    """Output `output` of call `place` in block `block`, seen from another block, if that runs once."""

    block: int
    place: int
    output: int


@attrs.frozen
class Element:
    """What iteration `index` of a loop has made, seen from another block."""

    block: int
    place: int
    output: int
    index: Line


@attrs.frozen
class Row:
    """Element `index` of a tensor along the dimension by which call `place` in block `block` has unbound it."""

    block: int
    place: int
    index: Line


@attrs.frozen
class Here:
    """What a call of the same iteration has made."""

    place: int
    output: int


@attrs.frozen
class Before:
    """What a call of the iteration before has made; `initial` in the first one."""

    place: int
    output: int
    initial: Any


@attrs.frozen
class All:
    """What all iterations of a loop have made, in turn, from the first to the last or the other way round.

    Attributes:
        block: the loop.
        parts: place and output of what each iteration adds, in order.
        backwards: the last iteration comes first.
    """

    block: int
    parts: tuple[tuple[int, int], ...]
    backwards: bool


Source: TypeAlias = FromInput | FromWeight | Made | Element | Row | Here | Before
Operand: TypeAlias = Line | Source | tuple[Source | All, ...]


@attrs.frozen
class Step:
    """One call.

    Attributes:
        form: its form.
        operands: what it takes.
        dims: the dimensions of its outputs; None where one is not known.
        rows: it takes a tensor apart into as many outputs as the length says; readers find theirs by `Row`.
    """

    form: Any
    operands: tuple[Operand, ...]
    dims: tuple[tuple[Any, ...] | None, ...] = ()
    rows: bool = False


@attrs.frozen
class Stretch:
    """Steps that run `count` times, once where that is None."""

    count: Line | None
    steps: tuple[Step, ...]


@attrs.frozen
class Description:
    """The model for every length."""

    stretches: tuple[Stretch, ...]
    results: tuple[Operand, ...]

    @property
    def loops(self) -> int:
        """How many loops there are."""
        return sum(stretch.count is not None for stretch in self.stretches)


class _Uneven(CannotRoll):
    """An iteration is unlike the others."""

    def __init__(self, loop: int, why: str) -> None:
        super().__init__(why)
        self.loop = loop


class _LastApart(CannotRoll):
    """The last iteration makes tensors of other sizes than the others."""

    def __init__(self, loop: int) -> None:
        super().__init__("the iterations make tensors of different sizes")
        self.loop = loop


def described(shorter: Program, longer: Program) -> tuple[Description, list[Block]]:
    """Return the rules that two recordings follow, and where their calls stand in them.

    Raises:
        CannotRoll: they follow none.
    """
    apart: list[int] = []
    behind: set[int] = set()
    while True:
        found = blocks(shorter, longer, apart, behind)
        try:
            return _Rules(shorter, longer, found).description(), found
        except _LastApart as uneven:
            if uneven.loop in behind:
                raise CannotRoll(str(uneven)) from None
            behind.add(uneven.loop)
        except _Uneven as uneven:
            apart += [0] * (uneven.loop + 1 - len(apart))
            apart[uneven.loop] += 1
            if apart[uneven.loop] > _APART:
                raise CannotRoll(str(uneven)) from None


def _gives_rows(shorter: Call, longer: Call) -> bool:
    """Whether a call takes a tensor apart into as many outputs as the length says."""
    return is_unbinding(shorter.node) and len(shorter.dims) != len(longer.dims)


@attrs.frozen
class _Place:
    block: int
    iteration: int
    place: int


class _Rules:
    def __init__(self, shorter: Program, longer: Program, found: Sequence[Block]) -> None:
        self.sides = (shorter, longer)
        self.blocks = found
        self.loops = [index for index, block in enumerate(found) if block.repeats]
        self.places: tuple[list[_Place], list[_Place]] = ([], [])
        for side in (0, 1):
            for index, block in enumerate(found):
                for iteration in range(block.counts[side]):
                    self.places[side].extend(_Place(index, iteration, place) for place in range(block.size))

    def description(self) -> Description:
        stretches = tuple(self._stretch(index, block) for index, block in enumerate(self.blocks))
        results = tuple(
            self._operand([[one], [other]], None)
            for one, other in zip(self.sides[0].results, self.sides[1].results, strict=True)
        )
        return Description(stretches, results)

    def _stretch(self, index: int, block: Block) -> Stretch:
        steps = tuple(self._step(index, block, place) for place in range(block.size))
        if not block.repeats:
            return Stretch(None, steps)
        return Stretch(self._line([[sympy.Integer(count)] for count in block.counts]), steps)

    def _step(self, index: int, block: Block, place: int) -> Step:
        calls = [
            [side.calls[start + iteration * block.size + place] for iteration in range(count)]
            for side, start, count in zip(self.sides, block.starts, block.counts, strict=True)
        ]
        current = index if block.repeats else None
        first = calls[0][0]
        operands = tuple(
            self._operand([[call.leaves[leaf] for call in side] for side in calls], current)
            for leaf in range(len(first.leaves))
        )
        if _gives_rows(first, calls[1][0]):
            return Step(first.form, operands, rows=True)
        dims = tuple(
            self._dims([[call.dims[output] for call in side] for side in calls]) for output in range(len(first.dims))
        )
        return Step(first.form, operands, dims)

    # ---- numbers -----------------------------------------------------------------------------------------------------

    def _line(self, numbers: Sequence[Sequence[Any]]) -> Line:
        """Return the line that numbers lie on, given for each iteration in each of the two recordings."""
        first = numbers[0][0]
        if all(number == first for side in numbers for number in side):
            return Line(first)
        lengths = [side.length for side in self.sides]
        per_length = sympy.expand((numbers[1][0] - first) / (lengths[1] - lengths[0]))
        per_iteration = sympy.expand(numbers[1][1] - numbers[1][0]) if len(numbers[1]) > 1 else _NONE
        fixed = sympy.expand(first - per_length * lengths[0])
        for side, length in zip(numbers, lengths, strict=True):
            for iteration, number in enumerate(side):
                if sympy.expand(fixed + per_length * length + per_iteration * iteration - number) != 0:
                    raise CannotRoll("a number changes neither evenly with the length nor with the iteration")
        if not per_length.is_Integer:
            raise CannotRoll("a number grows by parts of a whole with the length")
        return Line(fixed, per_length, per_iteration)

    def _dims(self, given: Sequence[Sequence[tuple[Any, ...] | None]]) -> tuple[Any, ...] | None:
        first = given[0][0]
        if first is None:
            return None
        return tuple(self._dim([[dims[axis] for dims in side] for side in given]) for axis in range(len(first)))  # type: ignore[index]

    def _dim(self, given: Sequence[Sequence[Any]]) -> Any:
        every = {one for side in given for one in side}
        if len(every) == 1 and isinstance(given[0][0], str):
            return given[0][0]
        if any(isinstance(one, str) for one in every):
            return None
        try:
            return self._line(given)
        except CannotRoll:
            return None

    # ---- what is read ------------------------------------------------------------------------------------------------

    def _operand(self, given: Sequence[Sequence[Leaf]], current: int | None) -> Operand:
        first = given[0][0]
        if isinstance(first, sympy.Basic):
            try:
                return self._line(given)
            except CannotRoll as why:
                raise self._uneven(current, str(why)) from None
        if not isinstance(first, tuple):
            return self._source(given, current)  # type: ignore[arg-type]
        lists = [[self._gathered(one, side) for one in given[side]] for side in (0, 1)]  # type: ignore[arg-type]
        if any(len(one) != len(lists[0][0]) for side in lists for one in side):
            raise self._uneven(current, "a list has other members in other iterations or lengths")
        members: list[Any] = []
        for member in range(len(lists[0][0])):
            column = [[one[member] for one in side] for side in lists]
            if isinstance(column[0][0], All):
                if any(one != column[0][0] for side in column for one in side):
                    raise self._uneven(current, "a list has other members in other iterations or lengths")
                members.append(column[0][0])
            else:
                members.append(self._source(column, current))
        return tuple(members)

    def _gathered(self, members: Sequence[Read], side: int) -> list[Any]:
        """Return a list in which a member for each iteration of a loop, in order, has become one."""
        found: list[Any] = []
        start = 0
        while start < len(members):
            whole = self._all_from(members, start, side)
            if whole is None:
                found.append(members[start])
                start += 1
            else:
                found.append(whole)
                start += self.blocks[whole.block].counts[side] * len(whole.parts)
        return found

    def _all_from(self, members: Sequence[Read], start: int, side: int) -> All | None:
        first = members[start]
        if not isinstance(first, FromCall):
            return None
        at = self.places[side][first.call]
        if not self.blocks[at.block].repeats:
            return None
        count = self.blocks[at.block].counts[side]
        for size in range(1, min(_TOGETHER, (len(members) - start) // count) + 1):
            group = [self._made_by(one, side) for one in members[start : start + size]]
            if any(one is None or one[0] != at.block for one in group):
                return None
            parts = tuple((one[2], one[3]) for one in group if one is not None)
            for backwards in (False, True):
                turns = range(count - 1, -1, -1) if backwards else range(count)
                wanted = [(at.block, turn, *part) for turn in turns for part in parts]
                if wanted == [self._made_by(one, side) for one in members[start : start + len(wanted)]]:
                    if not all(self._is_even(at.block, *part) for part in parts):
                        raise _LastApart(self.loops.index(at.block))
                    return All(at.block, parts, backwards)
        return None

    def _is_even(self, block: int, place: int, output: int) -> bool:
        """Whether what a call makes has the same sizes in all iterations of a recording."""
        found = self.blocks[block]
        for side, start, count in zip(self.sides, found.starts, found.counts, strict=True):
            calls = [side.calls[start + turn * found.size + place] for turn in range(count)]
            if any(call.dims[output] != calls[0].dims[output] for call in calls):
                return False
        return True

    def _made_by(self, one: Read, side: int) -> tuple[int, int, int, int] | None:
        """Return block, iteration, place and output of what is read, None if no call has made it."""
        if not isinstance(one, FromCall):
            return None
        at = self.places[side][one.call]
        return at.block, at.iteration, at.place, one.output

    def _uneven(self, current: int | None, why: str) -> CannotRoll:
        return CannotRoll(why) if current is None else _Uneven(self.loops.index(current), why)

    def _source(self, given: Sequence[Sequence[Read]], current: int | None) -> Source:
        first = given[0][0]
        every = [one for side in given for one in side]
        if isinstance(first, (FromInput, FromWeight)) and all(one == first for one in every):
            return first
        if current is not None:
            inside = self._inside(given, current)
            if inside is not None:
                return inside
        if not all(isinstance(one, FromCall) for one in every):
            raise self._uneven(current, "iterations read what is not alike")
        return self._outside(given, current)

    def _inside(self, given: Sequence[Sequence[Read]], current: int) -> Source | None:
        """Return what is read of this iteration or of the one before it, None if it is of another block."""
        relations: set[tuple[int, int, int]] = set()
        initial: list[Read | None] = [None, None]
        for side, reads in enumerate(given):
            for iteration, one in enumerate(reads):
                at = self.places[side][one.call] if isinstance(one, FromCall) else None
                if at is not None and at.block == current:
                    relations.add((iteration - at.iteration, at.place, one.output))  # type: ignore[union-attr]
                elif iteration == 0:
                    initial[side] = one
                else:
                    relations.add((-1, 0, 0))
        if relations == {(-1, 0, 0)} or (not relations and all(len(side) == 1 for side in given)):
            return None
        if len(relations) != 1:
            raise self._uneven(current, "iterations read what is not alike")
        ((back, place, output),) = relations
        if back == 0 and initial == [None, None]:
            return Here(place, output)
        if back != 1 or None in initial:
            raise self._uneven(current, "an iteration reads what one long before it has made")
        return Before(place, output, self._source([[one] for one in initial], None))  # type: ignore[list-item]

    def _outside(self, given: Sequence[Sequence[Any]], current: int | None) -> Source:
        places = [[self.places[side][one.call] for one in reads] for side, reads in enumerate(given)]
        at, output = places[0][0], given[0][0].output
        if any((one.block, one.place) != (at.block, at.place) for side in places for one in side):
            raise self._uneven(current, "iterations read what is not alike")
        outputs = [[sympy.Integer(one.output) for one in side] for side in given]
        found = self.blocks[at.block]
        if not found.repeats:
            calls = [side.calls[start + at.place] for side, start in zip(self.sides, found.starts, strict=True)]
            if _gives_rows(*calls):
                return Row(at.block, at.place, self._index(outputs, current))
        if any(one != output for side in outputs for one in side):
            raise self._uneven(current, "iterations read what is not alike")
        if not found.repeats:
            return Made(at.block, at.place, output)
        iterations = [[sympy.Integer(one.iteration) for one in side] for side in places]
        last = [[sympy.Integer(count - 1)] * len(side) for count, side in zip(found.counts, places, strict=True)]
        if iterations != last and not self._is_even(at.block, at.place, output):
            raise self._uneven(current, "the iterations make tensors of different sizes")
        return Element(at.block, at.place, output, self._index(iterations, current))

    def _index(self, numbers: Sequence[Sequence[Any]], current: int | None) -> Line:
        try:
            return self._line(numbers)
        except CannotRoll as why:
            raise self._uneven(current, str(why)) from None
